// Vectors of 16 floats in two registers of AVX2 with FMA. vectors.h says what the functions do.
#ifndef GETP_TARGET_CPU_AVX2_H
#define GETP_TARGET_CPU_AVX2_H

#include "target/cpu/lanes.h"

#include <immintrin.h>

// Loops over sums, which must lie in registers.
#define UNROLL _Pragma("GCC unroll 16")

typedef struct {
  __m256 low, high;
} vec;
typedef struct {
  __m256i low, high;
} words;

#define ROWS_AT_ONCE 3
#define GROUPS_AT_ONCE(rows) ((rows) == 1 ? 4 : (rows) == 2 ? 2 : 1)
#define SUMS_AT_ONCE 4

ALWAYS_INLINE vec vec_set(float x) {
  return (vec){_mm256_set1_ps(x), _mm256_set1_ps(x)};
}
ALWAYS_INLINE vec vec_zero(void) {
  return vec_set(0);
}
ALWAYS_INLINE vec vec_load(const float *x) {
  return (vec){_mm256_loadu_ps(x), _mm256_loadu_ps(x + 8)};
}

ALWAYS_INLINE void vec_store(float *to, vec x) {
  _mm256_storeu_ps(to, x.low);
  _mm256_storeu_ps(to + 8, x.high);
}

ALWAYS_INLINE vec vec_add(vec a, vec b) {
  return (vec){_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)};
}

ALWAYS_INLINE vec vec_mul(vec a, vec b) {
  return (vec){_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)};
}

ALWAYS_INLINE vec vec_fma(vec a, vec b, vec c) {
  return (vec){_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)};
}

ALWAYS_INLINE words words_load(const uint8_t *x) {
  const __m256i *at = (const __m256i *)(const void *)x;
  return (words){_mm256_loadu_si256(at), _mm256_loadu_si256(at + 1)};
}

ALWAYS_INLINE vec words_float(words x) {
  return (vec){_mm256_castsi256_ps(x.low), _mm256_castsi256_ps(x.high)};
}

ALWAYS_INLINE vec words_low(words x) {
  return (vec){_mm256_castsi256_ps(_mm256_slli_epi32(x.low, 16)),
               _mm256_castsi256_ps(_mm256_slli_epi32(x.high, 16))};
}

ALWAYS_INLINE vec words_high(words x) {
  const __m256i mask = _mm256_set1_epi32((int)0xffff0000u);
  return (vec){_mm256_castsi256_ps(_mm256_and_si256(x.low, mask)),
               _mm256_castsi256_ps(_mm256_and_si256(x.high, mask))};
}

// The look-up takes the last three bits of a code; the fourth is the sign. All four are flipped in
// the number, and it has the three flipped already.
ALWAYS_INLINE __m256 code_of_eight(__m256i x, int i) {
#define FLIPPED(bits, code) (int)((bits) ^ (uint32_t)(code) << 28)
  const __m256i values = _mm256_setr_epi32(
      FLIPPED(0x00000000, 0), FLIPPED(0x3f000000, 1), FLIPPED(0x3f800000, 2),
      FLIPPED(0x3fc00000, 3), FLIPPED(0x40000000, 4), FLIPPED(0x40400000, 5),
      FLIPPED(0x40800000, 6), FLIPPED(0x40c00000, 7)); // 0, 0.5, 1, 1.5, 2, 3, 4, 6
#undef FLIPPED
  const __m256i code = _mm256_srli_epi32(x, 4 * i);
  return _mm256_castsi256_ps(
      _mm256_xor_si256(_mm256_permutevar8x32_epi32(values, code), _mm256_slli_epi32(code, 28)));
}

ALWAYS_INLINE vec words_code(words x, int i) {
  return (vec){code_of_eight(x.low, i), code_of_eight(x.high, i)};
}

ALWAYS_INLINE __m256 eight_scales(const uint8_t *scales) {
  const __m256i scale =
      _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)scales));
  const __m256i power =
      _mm256_max_epi32(_mm256_slli_epi32(scale, 23), _mm256_set1_epi32(SUBNORMAL_SCALE));
  const __m256i nan = _mm256_cmpeq_epi32(scale, _mm256_set1_epi32(255));
  return _mm256_castsi256_ps(_mm256_blendv_epi8(power, _mm256_set1_epi32(QUIET_NAN), nan));
}

ALWAYS_INLINE vec vec_scales(const uint8_t *scales) {
  return (vec){eight_scales(scales), eight_scales(scales + 8)};
}

#endif
