// How the token after an output is chosen, by the host (serve/distribution.c) or on a device
// (target/mixed/draw.h). Both follow this rule.
//
// The order of the vocabulary is by logit, the greatest first; of equal logits the lowest id is
// first. A token weighs floor(2^40 exp2f((logit - greatest logit) sharpness)). Weights are
// integers, so that their sums do not depend on the order of addition. A token is kept if all of
// these hold:
//
//   the tokens before it weigh at most top_p of all tokens together
//   fewer than top_k tokens are before it
//   it weighs at least min_p of what the first token weighs
//
// The drawn token is the first kept one, in the order of ids, at which the running sum of the kept
// weights exceeds uniform times their total. With a sharpness of 0 it is the first of the order.
// If a logit is NaN, or if no logit is above -infinity, no id is picked: PICKED_NAN or
// PICKED_NOTHING stands for it. As an id, PICKED_NAN comes before every other, and PICKED_NOTHING
// after it.
#ifndef GETP_FORMATS_DRAW_H
#define GETP_FORMATS_DRAW_H

#include <stdint.h>

#define DRAW_UNIT 0x1p40f    // the weight of the first token
#define DRAW_ALL_P 1.0f      // a top_p that keeps all tokens
#define DRAW_ALL_K INT32_MAX // a top_k that keeps all tokens

#define PICKED_NAN (-1)
#define PICKED_NOTHING INT32_MAX

struct draw {
  double uniform;  // random, in [0, 1)
  float sharpness; // log2(e) / temperature, finite; 0: greedy
  float top_p;     // above 0
  float min_p;     // from 0 to 1
  int32_t top_k;   // at least 1
};

#endif
