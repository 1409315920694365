// What a pass is given, and what it gives back.
#ifndef GETP_ENGINE_ROWS_H
#define GETP_ENGINE_ROWS_H

#include "formats/candidates.h"

#include <stdint.h>

// Passes that may be under way at a time.
enum { ENGINE_PASSES = 2 };

// What a pass gives for each of its outputs.
enum engine_want {
  ENGINE_LOGITS,     // all logits
  ENGINE_GREEDY,     // the id of the largest logit, of equal ones the lowest
  ENGINE_CANDIDATES, // the best logits, for sampler_pick_candidates
};

// The rows of one pass. Rows of one sequence follow each other in order of position.
struct engine_rows {
  int rows, outputs;
  int32_t *token; // (rows) in [0, vocab), or HANDED_TOKEN(i): what the pass before picked,
                  // greedily, for its output i
  int32_t *position, *slot; // (rows)
  int32_t *output_row;      // (outputs) rows of which something is wanted
  float sharpness;          // of candidates: 1 / temperature
};

// What a pass gave, by its engine_want; the others are NULL.
struct engine_results {
  const float *logits;                 // (outputs, vocab)
  const int32_t *picked;               // (outputs)
  const struct candidates *candidates; // (outputs)
};

#endif
