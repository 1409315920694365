// The rows of a pass, and its results.
#ifndef GETP_ENGINE_ROWS_H
#define GETP_ENGINE_ROWS_H

#include "formats/draw.h"

#include <stdint.h>

// The most passes that may be in flight.
enum { ENGINE_PASSES = 2 };

// What a pass returns for each of its outputs.
enum engine_result {
  ENGINE_LOGITS, // all logits
  ENGINE_PICKED, // the id that the output's draw picks
};

// The rows of one pass. Rows of one sequence follow each other in order of position.
struct engine_rows {
  int rows, outputs;
  // (rows) an id in [0, vocab), or HANDED_TOKEN(i): the id that the previous pass picked for its
  // output i
  int32_t *token;
  int32_t *position, *slot; // (rows)
  int32_t *output_row;      // (outputs) the rows whose result is wanted
  struct draw *draw;        // (outputs) how ids are picked; not read for ENGINE_LOGITS
};

// The results of a pass: the array of its engine_result; the other is NULL.
struct engine_results {
  const float *logits;   // (outputs, vocab)
  const int32_t *picked; // (outputs) ids, or PICKED_NAN or PICKED_NOTHING
};

#endif
