// The formulas of the reference pass that need no tensor: frequencies, activation, choice of
// experts, one group of MXFP4.
#ifndef GETP_REFERENCE_MATH_H
#define GETP_REFERENCE_MATH_H

#include "checkpoint/config.h"

enum { MXFP4_GROUP = 32, MXFP4_GROUP_BYTES = MXFP4_GROUP / 2 };

// The rotation per position of each of the head_dim / 2 pairs, in radians.
void rope_inv_freq(float *out, const struct rope_config *rope, int head_dim);

// One gate and one linear value of an expert, clamped, to one activation.
float swiglu(float gate, float linear, double limit, double alpha);

// Weights of the top_k largest of n router logits, the others' zero. Ties go to the lowest id.
void route(float *weights, const float *logits, int n, int top_k);

// 32 weights from 16 bytes of 4-bit codes and their scale byte.
void mxfp4_expand(float out[static MXFP4_GROUP], const uint8_t *codes, uint8_t scale);

#endif
