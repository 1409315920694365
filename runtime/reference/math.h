// The formulas of the reference pass that need no tensor: RoPE frequencies, SwiGLU, the router's
// choice, one group of MXFP4.
#ifndef GETP_REFERENCE_MATH_H
#define GETP_REFERENCE_MATH_H

#include "checkpoint/config.h"

enum { MXFP4_GROUP = 32, MXFP4_GROUP_BYTES = MXFP4_GROUP / 2 };

// out (d_head / 2) = the rotation of each pair of a head per position, in radians.
void rope_inv_freq(float *out, const struct rope_config *rope, int d_head);

// The activation of an expert from one gate value and one linear value, which it clamps first.
float swiglu(float gate, float linear, double limit, double alpha);

// weights (n) = the weights of the experts with the top_k largest of n router logits, 0 for the
// others. The lowest id wins a tie.
void route(float *weights, const float *logits, int n, int top_k);

// out (32) = the values of 16 bytes of 4-bit codes and their scale byte.
void mxfp4_expand(float out[static MXFP4_GROUP], const uint8_t *codes, uint8_t scale);

#endif
