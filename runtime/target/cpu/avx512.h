// Vectors of 16 floats in one register of AVX-512. vectors.h says what the functions do.
#ifndef GETP_TARGET_CPU_AVX512_H
#define GETP_TARGET_CPU_AVX512_H

#include "target/cpu/lanes.h"

#include <immintrin.h>

// Loops over sums, which must lie in registers.
#define UNROLL _Pragma("GCC unroll 16")

typedef __m512 vec;
typedef __m512i words;

#define ROWS_AT_ONCE 8
#define GROUPS_AT_ONCE(rows) ((rows) == 1 ? 8 : (rows) <= 4 ? 4 : 2)
#define SUMS_AT_ONCE 16

ALWAYS_INLINE vec vec_zero(void) {
  return _mm512_setzero_ps();
}
ALWAYS_INLINE vec vec_set(float x) {
  return _mm512_set1_ps(x);
}
ALWAYS_INLINE vec vec_load(const float *x) {
  return _mm512_loadu_ps(x);
}
ALWAYS_INLINE void vec_store(float *to, vec x) {
  _mm512_storeu_ps(to, x);
}
ALWAYS_INLINE vec vec_add(vec a, vec b) {
  return _mm512_add_ps(a, b);
}
ALWAYS_INLINE vec vec_mul(vec a, vec b) {
  return _mm512_mul_ps(a, b);
}
ALWAYS_INLINE vec vec_fma(vec a, vec b, vec c) {
  return _mm512_fmadd_ps(a, b, c);
}

// The compiler must not load the words again for each of their columns: loads are what a single row
// is short of.
ALWAYS_INLINE words words_load(const uint8_t *x) {
  words loaded = _mm512_loadu_si512(x);
  __asm__("" : "+v"(loaded));
  return loaded;
}

ALWAYS_INLINE vec words_float(words x) {
  return _mm512_castsi512_ps(x);
}

ALWAYS_INLINE vec words_low(words x) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(x, 16));
}

ALWAYS_INLINE vec words_high(words x) {
  return _mm512_castsi512_ps(_mm512_and_si512(x, _mm512_set1_epi32((int)0xffff0000u)));
}

// The look-up takes the last four bits of each word.
ALWAYS_INLINE vec words_code(words x, int i) {
  const vec values =
      _mm512_setr_ps(0, 0.5f, 1, 1.5f, 2, 3, 4, 6, -0.0f, -0.5f, -1, -1.5f, -2, -3, -4, -6);
  return _mm512_permutexvar_ps(i ? _mm512_srli_epi32(x, 4 * (unsigned)i) : x, values);
}

ALWAYS_INLINE vec vec_scales(const uint8_t *scales) {
  const words scale = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(const void *)scales));
  const words power =
      _mm512_max_epi32(_mm512_slli_epi32(scale, 23), _mm512_set1_epi32(SUBNORMAL_SCALE));
  const __mmask16 nan = _mm512_cmpeq_epi32_mask(scale, _mm512_set1_epi32(255));
  return _mm512_castsi512_ps(_mm512_mask_mov_epi32(power, nan, _mm512_set1_epi32(QUIET_NAN)));
}

#endif
