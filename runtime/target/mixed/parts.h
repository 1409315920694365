// What attention over a long context hands on: its keys are taken in parts, whose sums another
// kernel adds.
#ifndef GETP_TARGET_MIXED_PARTS_H
#define GETP_TARGET_MIXED_PARTS_H

#include "target/mixed/machine.h"

// Of one row and one part of the keys, for each head: the mix of the values, weighted by
// p_t = 2^(score of t - base), then the base and the sum of p. The floats of gen/ops_fused.lua.
template <int N_HEADS, int D_HEAD> struct part_state {
  float mix[N_HEADS][D_HEAD];
  float2 base[N_HEADS]; // x: the base, y: the sum
};

#endif
