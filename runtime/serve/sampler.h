// Picks the next token of a sequence: says how, for whoever has its logits, or does it itself.
#ifndef GETP_SERVE_SAMPLER_H
#define GETP_SERVE_SAMPLER_H

#include "serve/distribution.h"

// How tokens are picked, as the command line says it.
struct sampling {
  float temperature;  // 0: greedy
  float top_p, min_p; // from 0 to 1; 0 keeps all tokens, as a top_p of 1 does
  int top_k;          // 0 keeps all tokens
  uint64_t seed;      // shared by all random streams
};

struct sampler {
  struct sampling sampling;
  struct distribution distribution; // scratch
};

bool sampler_open(struct sampler *sampler, const struct sampling *sampling, int vocab,
                  struct error *err);
void sampler_close(struct sampler *sampler);

// How to pick the token at `position` of sequence `request`, from the logits of the position
// before. The random number depends only on (seed, request, position).
struct draw sampler_draw(const struct sampler *sampler, uint64_t request, uint64_t position);

// The token that a draw picks from logits (vocab), by the rule of formats/draw.h; or PICKED_NAN or
// PICKED_NOTHING.
int32_t sampler_pick(struct sampler *sampler, const struct draw *draw, const float *logits);

// A random number in [0, 1) that depends only on the arguments.
double sampler_uniform(uint64_t seed, uint64_t request, uint64_t position);

#endif
