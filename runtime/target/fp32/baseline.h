// The primitives of the fp32 baseline. None of them depends on the width of a wave: threads of a
// block synchronise with __syncthreads only.
#ifndef GETP_TARGET_FP32_BASELINE_H
#define GETP_TARGET_FP32_BASELINE_H

#include "target/hip.h"

// Starts `kernel` on a grid of blocks of BLOCK threads, on the stream of the pass.
#define LAUNCH(pass, kernel, grid_x, grid_y, ...)                                                  \
  hipLaunchKernelGGL(kernel, dim3((unsigned)(grid_x), (unsigned)(grid_y)), dim3(BLOCK), 0,         \
                     (hipStream_t)(pass)->stream, __VA_ARGS__)

DEVICE float widen(float value) {
  return value;
}

// A bf16 is the upper half of a float.
DEVICE float widen(uint16_t half) {
  union {
    uint32_t bits;
    float value;
  } both = {(uint32_t)half << 16};
  return both.value;
}

// Adds the values of a block pairwise and returns the sum to every thread. All threads of the block
// must call it. `shared` is scratch memory of BLOCK floats.
//
// block_sum and block_max are not one template with the operator as an argument, because clang 15
// then no longer fuses the two LDS reads of the last round.
DEVICE float block_sum(float value, float *shared) {
  const int t = (int)threadIdx.x;
  __syncthreads();
  shared[t] = value;
  __syncthreads();
  for (int half = BLOCK / 2; half > 0; half /= 2) {
    if (t < half)
      shared[t] += shared[t + half];
    __syncthreads();
  }
  return shared[0];
}

// The maximum of the values of a block, as block_sum.
DEVICE float block_max(float value, float *shared) {
  const int t = (int)threadIdx.x;
  __syncthreads();
  shared[t] = value;
  __syncthreads();
  for (int half = BLOCK / 2; half > 0; half /= 2) {
    if (t < half)
      shared[t] = fmaxf(shared[t], shared[t + half]);
    __syncthreads();
  }
  return shared[0];
}

#endif
