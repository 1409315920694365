// Helpers for the matrix instructions of both GPUs: conversion of halves to floats, and the product
// of tiles.
#ifndef SIMT_MATRIX_H
#define SIMT_MATRIX_H

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

namespace simt {

typedef uint16_t four_halves __attribute__((vector_size(8))); // as bits
typedef int32_t four_ints __attribute__((vector_size(16)));
typedef float four_floats __attribute__((vector_size(16)));

// Replaces subnormal numbers by zeros.
inline four_floats flushed(four_floats x) {
  four_ints bits = reinterpret_cast<four_ints>(x), smallest_normal = (bits ^ bits) + 0x00800000;
  four_ints kept = ((bits & 0x7fffffff) >= smallest_normal) | INT32_MIN;
  return reinterpret_cast<four_floats>(bits & kept);
}

inline float flushed(float x) {
  return flushed(four_floats{x})[0];
}

// Halves to floats, exactly; subnormal halves become zeros if `flush`. No intermediate value is a
// subnormal float, because those cost the CPU a hundred times as much.
inline four_floats widen(four_halves halves, bool flush) {
  const int32_t smallest_normal = 0x0400 << 13, infinity = 0x7c00 << 13, bias = (127 - 15) << 23;
  four_ints bits = __builtin_convertvector(halves, four_ints);
  four_ints magnitude = (bits & 0x7fff) << 13;
  four_ints wide = magnitude + bias + ((magnitude >= infinity) & bias);
  four_ints tiny = {};
  if (!flush) { // builds 2^-14 plus the value, then subtracts 2^-14
    four_floats sum = reinterpret_cast<four_floats>(magnitude + bias + (1 << 23));
    tiny = reinterpret_cast<four_ints>(sum - 0x1p-14f);
  }
  wide = magnitude < smallest_normal ? tiny : wide;
  return reinterpret_cast<four_floats>(wide | (bits & 0x8000) << 16);
}

// c (M, N) += a (M, K) b (K, N), in the order of k. The product of two halves is exact in a float,
// so each addition rounds once, like a fused multiply-add.
template <int M, int N, int K>
void multiply_add(float (&c)[M][N], const float (&a)[M][K], const float (&b)[K][N]) {
  for (int m = 0; m < M; m++) {
    four_floats sum[N / 4], factor;
    memcpy(sum, c[m], sizeof sum);
    for (int k = 0; k < K; k++) {
#pragma GCC unroll 4
      for (int j = 0; j < N / 4; j++) {
        memcpy(&factor, &b[k][4 * j], sizeof factor);
        sum[j] += a[m][k] * factor;
      }
    }
    memcpy(c[m], sum, sizeof sum);
  }
}

} // namespace simt

#endif
