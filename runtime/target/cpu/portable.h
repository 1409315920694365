// Vectors of 16 floats in plain C, which compilers turn into the vectors that a machine has.
// vectors.h says what the functions do.
#ifndef GETP_TARGET_CPU_PORTABLE_H
#define GETP_TARGET_CPU_PORTABLE_H

#include "target/cpu/lanes.h"

#define UNROLL // sums lie in memory: unrolled code would be huge

typedef struct {
  float lane[LANES];
} vec;
typedef struct {
  uint32_t lane[LANES];
} words;

#define ROWS_AT_ONCE 3
#define GROUPS_AT_ONCE(rows) 1
#define SUMS_AT_ONCE 4

ALWAYS_INLINE vec vec_set(float x) {
  vec v;
#pragma omp simd
  for (int l = 0; l < LANES; l++)
    v.lane[l] = x;
  return v;
}

ALWAYS_INLINE vec vec_zero(void) {
  return vec_set(0);
}

ALWAYS_INLINE vec vec_load(const float *x) {
  vec v;
  memcpy(&v, x, sizeof v);
  return v;
}

ALWAYS_INLINE void vec_store(float *to, vec x) {
  memcpy(to, &x, sizeof x);
}

ALWAYS_INLINE vec vec_add(vec a, vec b) {
#pragma omp simd
  for (int l = 0; l < LANES; l++)
    a.lane[l] += b.lane[l];
  return a;
}

ALWAYS_INLINE vec vec_mul(vec a, vec b) {
#pragma omp simd
  for (int l = 0; l < LANES; l++)
    a.lane[l] *= b.lane[l];
  return a;
}

ALWAYS_INLINE vec vec_fma(vec a, vec b, vec c) {
#pragma omp simd
  for (int l = 0; l < LANES; l++)
    c.lane[l] = fmaf(a.lane[l], b.lane[l], c.lane[l]);
  return c;
}

ALWAYS_INLINE words words_load(const uint8_t *x) {
  words v;
  memcpy(&v, x, sizeof v);
  return v;
}

ALWAYS_INLINE vec words_float(words x) {
  vec v;
  memcpy(&v, &x, sizeof v);
  return v;
}

ALWAYS_INLINE vec words_low(words x) {
#pragma omp simd
  for (int l = 0; l < LANES; l++)
    x.lane[l] <<= 16;
  return words_float(x);
}

ALWAYS_INLINE vec words_high(words x) {
#pragma omp simd
  for (int l = 0; l < LANES; l++)
    x.lane[l] &= 0xffff0000u;
  return words_float(x);
}

// Three bits of a code are exponent and mantissa of a small number: {0, 1, 2, 3, 4, 6, 8, 12}
// halves.
ALWAYS_INLINE vec words_code(words x, int i) {
  vec v;
#pragma omp simd
  for (int l = 0; l < LANES; l++) {
    const uint32_t code = x.lane[l] >> 4 * i;
    const int32_t t = (int32_t)(code & 7), above4 = (t > 4 ? t : 4) - 4;
    const float number = 0.5f * (float)(t + above4 + (t == 7 ? 2 : 0));
    v.lane[l] = code & 8 ? -number : number;
  }
  return v;
}

ALWAYS_INLINE vec vec_scales(const uint8_t *scales) {
  words x;
#pragma omp simd
  for (int l = 0; l < LANES; l++) {
    const uint32_t power = (uint32_t)scales[l] << 23;
    x.lane[l] = scales[l] == 255 ? QUIET_NAN : power > SUBNORMAL_SCALE ? power : SUBNORMAL_SCALE;
  }
  return words_float(x);
}

#endif
