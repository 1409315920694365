// Picks the next token of a sequence from its logits, or from the best of them.
#ifndef GETP_SERVE_SAMPLER_H
#define GETP_SERVE_SAMPLER_H

#include "base/error.h"
#include "formats/candidates.h"

#include <stdint.h>

struct candidate {
  double p;
  int32_t id;
};

struct sampler {
  float temperature;            // 0: greedy
  float top_p;                  // 0 or 1: all tokens
  uint64_t seed;                // of every random stream
  int vocab;                    // logits of a row
  struct candidate *candidates; // (vocab), scratch
};

bool sampler_open(struct sampler *sampler, float temperature, float top_p, uint64_t seed, int vocab,
                  struct error *err);
void sampler_close(struct sampler *sampler);

// The id that follows `position` of sequence `request`. Greedy: the largest logit, of equal ones
// the lowest id. Otherwise a draw from softmax(logits / temperature), cut to the smallest set of
// most probable tokens that holds more than top_p. The draw depends on (seed, request, position)
// alone.
int32_t sampler_pick(const struct sampler *sampler, const float *logits, uint64_t request,
                     uint64_t position);

// The same from the best logits of a row: a draw from those alone, cut to the smallest set that
// holds more than top_p of all tokens, if they have it.
int32_t sampler_pick_candidates(const struct sampler *sampler, const struct candidates *candidates,
                                uint64_t request, uint64_t position);

// 1 / temperature, finite; 0 for greedy.
float sampler_sharpness(const struct sampler *sampler);

// A number in [0, 1) that depends on its arguments alone.
double sampler_uniform(uint64_t seed, uint64_t request, uint64_t position);

#endif
