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
  float temperature; // 0: greedy
  float top_p;       // 0 or 1: all tokens
  uint64_t seed;     // shared by all random streams
  int vocab;
  struct candidate *candidates; // (vocab), scratch
};

bool sampler_open(struct sampler *sampler, float temperature, float top_p, uint64_t seed, int vocab,
                  struct error *err);
void sampler_close(struct sampler *sampler);

// The id at `position` of sequence `request`, from the logits (vocab) of the position before.
// Greedy: the id of the largest logit; the lowest id wins a tie. Otherwise it is drawn from
// softmax(logits / temperature), cut to the smallest set of most probable tokens whose probability
// exceeds top_p. The random number depends only on (seed, request, position).
int32_t sampler_pick(const struct sampler *sampler, const float *logits, uint64_t request,
                     uint64_t position);

// The same from the best logits only. It draws from the smallest set of them whose probability, by
// the sum over all tokens, exceeds top_p, or from all of them if they have less.
int32_t sampler_pick_candidates(const struct sampler *sampler, const struct candidates *candidates,
                                uint64_t request, uint64_t position);

// 1 / temperature, finite; 0 for greedy.
float sampler_sharpness(const struct sampler *sampler);

// A random number in [0, 1) that depends only on the arguments.
double sampler_uniform(uint64_t seed, uint64_t request, uint64_t position);

#endif
