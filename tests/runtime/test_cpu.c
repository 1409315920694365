// Tests the primitives of cpu kernels against double precision and against the definitions of the
// formats.
#include "target/cpu/mixed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

// A number in [-1, 1) from a counter.
static float noise(uint32_t i) {
  i = (i ^ i >> 16) * 0x85ebca6bu;
  i = (i ^ i >> 13) * 0xc2b2ae35u;
  return (float)(i >> 8) * 0x1p-23f - 1;
}

static void exp_is_within_2_ulp(void **state) {
  (void)state;
  for (double x = -87; x <= 88; x += 1.0 / 1024) {
    const double want = exp((double)(float)x), got = (double)exp_f32((float)x);
    assert_true(fabs(got - want) <= 2 * 0x1p-23 * want);
  }
  assert_true(exp_f32(0) == 1);
  assert_true(exp_f32(-1e30f) == exp_f32(-87));
  assert_true(exp_f32(1e30f) == exp_f32(88));
}

static void mxfp4_is_as_defined(void **state) {
  static const float VALUE[16] = {0,     0.5f,  1,  1.5f,  2,  3,  4,  6,
                                  -0.0f, -0.5f, -1, -1.5f, -2, -3, -4, -6};
  uint8_t codes[16];
  int8_t doubled[32];
  float out[32];
  (void)state;
  for (int scale = 0; scale < 255; scale++)
    for (int first = 0; first < 16; first++) {
      const uint8_t scales[1] = {(uint8_t)scale};
      for (int b = 0; b < 16; b++)
        codes[b] = (uint8_t)(((first + 2 * b + 1) % 16) << 4 | (first + 2 * b) % 16);
      expand_mxfp4(32, out, codes, scales, doubled);
      for (int i = 0; i < 32; i++)
        assert_true(out[i] == ldexpf(VALUE[(first + i) % 16], scale - 127));
    }
}

static void bf16_is_the_upper_half(void **state) {
  uint8_t in[2 * 77 + 1];
  float out[77];
  (void)state;
  for (int i = 0; i < 77; i++) {
    const uint16_t half = (uint16_t)(i * 839);
    memcpy(in + 1 + 2 * i, &half, sizeof half); // at an odd address
  }
  expand_bf16(77, out, in + 1);
  for (int i = 0; i < 77; i++) {
    const uint32_t bits = (uint32_t)(uint16_t)(i * 839) << 16;
    assert_memory_equal(&out[i], &bits, sizeof bits);
  }
}

enum { K = 3 * LANES + 5 };

// |got - want| is at most the error of K roundings of terms of size 1.
static void assert_near(float got, double want) {
  assert_true(fabs((double)got - want) <= K * 0x1p-24);
}

static double exact_dot(int n, const float *a, const float *b) {
  double sum = 0;
  for (int i = 0; i < n; i++)
    sum += (double)a[i] * (double)b[i];
  return sum;
}

static void dot_of_every_length(void **state) {
  float a[K], b[K];
  (void)state;
  for (uint32_t i = 0; i < K; i++) {
    a[i] = noise(i);
    b[i] = noise(i + 1000);
  }
  for (int n = 0; n <= K; n++)
    assert_near(dot(n, a, b), exact_dot(n, a, b));
}

// Covers both orders of weights and every number of features; product_feature_major has the bits of
// dot().
static void products(void **state) {
  static float by_feature[COLUMN_MAJOR_TILE * K], by_column[COLUMN_MAJOR_TILE * K], x[K];
  (void)state;
  for (uint32_t k = 0; k < K; k++) {
    x[k] = noise(k + 5000);
    for (uint32_t f = 0; f < COLUMN_MAJOR_TILE; f++)
      by_feature[f * K + k] = by_column[k * COLUMN_MAJOR_TILE + f] = noise(f * 100 + k);
  }
  for (int features = 1; features <= COLUMN_MAJOR_TILE; features++) {
    float one[COLUMN_MAJOR_TILE + 1], other[COLUMN_MAJOR_TILE + 1];
    one[features] = other[features] = 77;
    product_feature_major(K, features, x, by_feature, one);
    product_column_major(K, features, x, by_column, other);
    for (int f = 0; f < features; f++) {
      const float want = dot(K, x, by_feature + f * K);
      assert_memory_equal(&one[f], &want, sizeof want);
      assert_near(other[f], exact_dot(K, x, by_feature + f * K));
    }
    assert_true(one[features] == 77 && other[features] == 77);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(exp_is_within_2_ulp),
      cmocka_unit_test(mxfp4_is_as_defined),
      cmocka_unit_test(bf16_is_the_upper_half),
      cmocka_unit_test(dot_of_every_length),
      cmocka_unit_test(products),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
