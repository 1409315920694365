// The primitives of kernels of either precision on any GPU that HIP supports.
#ifndef GETP_TARGET_HIP_H
#define GETP_TARGET_HIP_H

#include <hip/hip_runtime.h>

#include <math.h>
#include <stdint.h>
#include <string.h>

#define DEVICE static __device__ __forceinline__
#define DEVICE_MEMBER __device__ __forceinline__

constexpr int BLOCK = 256; // threads per block; a power of two

// The number of blocks of BLOCK threads that n threads need.
#define BLOCKS(n) (((n) + BLOCK - 1) / BLOCK)

// The index of this thread in the grid along x.
DEVICE int thread_index() {
  return (int)(blockIdx.x * BLOCK + threadIdx.x);
}

// The lesser and the greater of a value and a bound; NaN stays NaN, unlike in fminf and fmaxf.
DEVICE float at_most(float value, float bound) {
  return value > bound ? bound : value;
}
DEVICE float at_least(float value, float bound) {
  return value < bound ? bound : value;
}

// How many of n logits rank before logit e: NaN ranks first; of equal logits, the one with the
// lower index does.
DEVICE int ranked_before(const float *logit, int n, int e) {
  const bool nan = logit[e] != logit[e];
  int before = 0;
  for (int i = 0; i < n; i++) {
    const bool equal = nan ? logit[i] != logit[i] : logit[i] == logit[e];
    before += (equal && i < e) || (!nan && !(logit[i] <= logit[e]));
  }
  return before;
}

// The bits of a value as a value of another type.
template <class To, class From> DEVICE To bits_as(From from) {
  static_assert(sizeof(To) == sizeof(From), "both types have the same size");
  To to;
  __builtin_memcpy(&to, &from, sizeof to);
  return to;
}

// The bits of a number that is no NaN, greater for the greater number; those of -0 are those of 0.
DEVICE uint32_t ordered_bits(float value) {
  const uint32_t bits = bits_as<uint32_t>(value + 0.0f);
  return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

#endif
