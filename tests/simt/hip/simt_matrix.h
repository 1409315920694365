// What the matrix instructions of either GPU have in common on this CPU: halves to floats, and the
// product of tiles.
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

// Zero where subnormal.
inline four_floats flushed(four_floats x) {
  four_ints bits = reinterpret_cast<four_ints>(x), smallest_normal = (bits ^ bits) + 0x00800000;
  four_ints kept = ((bits & 0x7fffffff) >= smallest_normal) | INT32_MIN;
  return reinterpret_cast<four_floats>(bits & kept);
}

inline float flushed(float x) {
  return flushed(four_floats{x})[0];
}

// As floats, exactly; subnormal halves become zeros if `flush`. No subnormal float comes up on the
// way: those take the CPU a hundred times as long.
inline four_floats widen(four_halves halves, bool flush) {
  const int32_t smallest_normal = 0x0400 << 13, infinity = 0x7c00 << 13, bias = (127 - 15) << 23;
  four_ints bits = __builtin_convertvector(halves, four_ints);
  four_ints magnitude = (bits & 0x7fff) << 13;
  four_ints wide = magnitude + bias + ((magnitude >= infinity) & bias);
  four_ints tiny = {};
  if (!flush) { // as the fraction of 2^-14, which is then taken away
    four_floats sum = reinterpret_cast<four_floats>(magnitude + bias + (1 << 23));
    tiny = reinterpret_cast<four_ints>(sum - 0x1p-14f);
  }
  wide = magnitude < smallest_normal ? tiny : wide;
  return reinterpret_cast<four_floats>(wide | (bits & 0x8000) << 16);
}

// c += a b, k in order. The product of two halves is exact in a float, so that each step rounds
// once, as a fused multiply-add does.
template <int ROWS, int COLUMNS, int K>
void multiply_add(float (&c)[ROWS][COLUMNS], const float (&a)[ROWS][K],
                  const float (&b)[K][COLUMNS]) {
  for (int row = 0; row < ROWS; row++) {
    four_floats sum[COLUMNS / 4], factor;
    memcpy(sum, c[row], sizeof sum);
    for (int k = 0; k < K; k++) {
#pragma GCC unroll 4
      for (int j = 0; j < COLUMNS / 4; j++) {
        memcpy(&factor, &b[k][4 * j], sizeof factor);
        sum[j] += a[row][k] * factor;
      }
    }
    memcpy(c[row], sum, sizeof sum);
  }
}

} // namespace simt

#endif
