// The primitives of the fp32 baseline on any GPU that HIP reaches. None of them depends on the
// width of a wave: blocks are rows of threads, and they meet at __syncthreads alone.
#ifndef GETP_TARGET_HIP_H
#define GETP_TARGET_HIP_H

#include <hip/hip_runtime.h>

#include <math.h>
#include <stdint.h>
#include <string.h>

#define DEVICE static __device__ __forceinline__
#define DEVICE_MEMBER __device__ __forceinline__

constexpr int BLOCK = 256; // threads of a block; a power of two

// Starts `kernel` on a grid of blocks of BLOCK threads, in the order of the pass.
#define LAUNCH(pass, kernel, grid_x, grid_y, ...)                                                  \
  hipLaunchKernelGGL(kernel, dim3((unsigned)(grid_x), (unsigned)(grid_y)), dim3(BLOCK), 0,         \
                     (hipStream_t)(pass)->stream, __VA_ARGS__)

// Blocks of BLOCK threads that n threads need.
#define BLOCKS(n) (((n) + BLOCK - 1) / BLOCK)

// Which of the grid's threads this is, along x.
DEVICE int thread_index() {
  return (int)(blockIdx.x * BLOCK + threadIdx.x);
}

// The same bits as another type.
template <class To, class From> DEVICE To bits_as(From from) {
  static_assert(sizeof(To) == sizeof(From), "bits of one size");
  To to;
  __builtin_memcpy(&to, &from, sizeof to);
  return to;
}

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

// The sum over a block, pairwise, the same for every thread. All threads must come; `shared` is
// room for BLOCK floats.
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

// The same for the maximum.
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
