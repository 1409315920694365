// The sampler against probabilities worked out by hand and against its own keyed stream.
#include "sampler.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>

enum { DRAWS = 40000 };

// Counts the draws of each of n ids, one draw a position.
static void count(const float *logits, int n, float temperature, float top_p, int *counts) {
  struct sampler sampler;
  struct error err;
  assert_true(sampler_open(&sampler, temperature, top_p, 7, n, &err));
  for (int i = 0; i < n; i++)
    counts[i] = 0;
  for (int i = 0; i < DRAWS; i++)
    counts[sampler_pick(&sampler, logits, 3, (uint64_t)i)]++;
  sampler_close(&sampler);
}

// Five standard deviations of a binomial count.
static void assert_share(int counted, double p) {
  assert_true(fabs(counted - DRAWS * p) <= 5 * sqrt(DRAWS * p * (1 - p)) + 1e-9);
}

static void greedy_takes_the_lowest_of_equals(void **state) {
  const float logits[] = {-1, 4, 2, 4, 4};
  int counts[5];
  (void)state;
  count(logits, 5, 0, 0.9f, counts);
  assert_int_equal(counts[1], DRAWS);
}

static void greedy_survives_nan(void **state) {
  const float logits[] = {NAN, NAN, NAN};
  int counts[3];
  (void)state;
  count(logits, 3, 0, 0, counts);
  assert_int_equal(counts[0], DRAWS);
}

static void softmax_shares(void **state) {
  const float logits[] = {0, logf(2), logf(4), logf(1)};
  int counts[4];
  (void)state;
  count(logits, 4, 1, 0, counts);
  assert_share(counts[0], 1.0 / 8);
  assert_share(counts[1], 2.0 / 8);
  assert_share(counts[2], 4.0 / 8);
  assert_share(counts[3], 1.0 / 8);
}

static void temperature_sharpens(void **state) {
  const float logits[] = {0, logf(3)};
  int counts[2];
  (void)state;
  count(logits, 2, 0.5f, 1, counts); // squares the odds
  assert_share(counts[1], 9.0 / 10);
}

static void top_p_keeps_the_smallest_set_that_holds_more(void **state) {
  const float logits[] = {logf(0.1f), logf(0.5f), logf(0.15f), logf(0.25f)};
  int counts[4];
  (void)state;
  count(logits, 4, 1, 0.6f, counts); // 0.5, then 0.25
  assert_int_equal(counts[0] + counts[2], 0);
  assert_share(counts[1], 2.0 / 3);
  count(logits, 4, 1, 0.76f, counts); // and 0.15
  assert_int_equal(counts[0], 0);
  assert_share(counts[2], 0.15 / 0.9);
}

static void tiny_top_p_is_greedy(void **state) {
  const float logits[] = {1, 1, 1, 1, 1.0001f, 1};
  int counts[6];
  (void)state;
  count(logits, 6, 1, 1e-6f, counts);
  assert_int_equal(counts[4], DRAWS);
}

static void one_token_vocabulary(void **state) {
  const float logits[] = {2};
  int counts[1];
  (void)state;
  count(logits, 1, 1, 0.5f, counts);
  assert_int_equal(counts[0], DRAWS);
}

static void stream_is_keyed(void **state) {
  (void)state;
  assert_true(sampler_uniform(1, 2, 3) == sampler_uniform(1, 2, 3));
  assert_true(sampler_uniform(1, 2, 3) != sampler_uniform(2, 2, 3));
  assert_true(sampler_uniform(1, 2, 3) != sampler_uniform(1, 3, 3));
  assert_true(sampler_uniform(1, 2, 3) != sampler_uniform(1, 2, 4));
  assert_true(sampler_uniform(1, 2, 3) != sampler_uniform(1, 3, 2));
}

static void stream_is_uniform(void **state) {
  enum { N = 100000, BINS = 16 };
  int bins[BINS] = {0};
  (void)state;
  for (uint64_t i = 0; i < N; i++) {
    const double u = sampler_uniform(i / 1000, i % 10, i / 10 % 100);
    assert_true(u >= 0 && u < 1);
    bins[(int)(u * BINS)]++;
  }
  double chi2 = 0;
  for (int b = 0; b < BINS; b++)
    chi2 += pow(bins[b] - (double)N / BINS, 2) / ((double)N / BINS);
  assert_true(chi2 < 44); // 15 degrees of freedom: one in 10,000
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(greedy_takes_the_lowest_of_equals),
      cmocka_unit_test(greedy_survives_nan),
      cmocka_unit_test(softmax_shares),
      cmocka_unit_test(temperature_sharpens),
      cmocka_unit_test(top_p_keeps_the_smallest_set_that_holds_more),
      cmocka_unit_test(tiny_top_p_is_greedy),
      cmocka_unit_test(one_token_vocabulary),
      cmocka_unit_test(stream_is_keyed),
      cmocka_unit_test(stream_is_uniform),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
