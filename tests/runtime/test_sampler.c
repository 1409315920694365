// The sampler against probabilities computed by hand, and against its own keyed random stream.
#include "serve/sampler.h"

#include "draw_support.h"
#include "support.h"

#include <math.h>

enum { DRAWS = 40000 };

// Counts how often each of n ids is drawn, with one draw per position.
static void count(const float *logits, int n, struct sampling sampling, int *counts) {
  struct sampler sampler;
  struct error err;
  sampling.seed = 7;
  assert_true(sampler_open(&sampler, &sampling, n, &err));
  for (int i = 0; i < n; i++)
    counts[i] = 0;
  for (int i = 0; i < DRAWS; i++) {
    const struct draw draw = sampler_draw(&sampler, 3, (uint64_t)i);
    counts[sampler_pick(&sampler, &draw, logits)]++;
  }
  sampler_close(&sampler);
}

// Asserts a count within five standard deviations of a binomial distribution.
static void assert_probability(int counted, double p) {
  assert_true(fabs(counted - DRAWS * p) <= 5 * sqrt(DRAWS * p * (1 - p)) + 1e-9);
}

static void greedy_picks_the_lowest_of_equals(void **state) {
  const float logits[] = {-1, 4, 2, 4, 4};
  int counts[5];
  (void)state;
  count(logits, 5, (struct sampling){.temperature = 0, .top_p = 0.9f}, counts);
  assert_int_equal(counts[1], DRAWS);
}

// Neither greedily nor drawn.
static void no_numbers_pick_nothing(void **state) {
  static const struct {
    float logits[3];
    int32_t want;
  } CASES[] = {
      {{NAN, NAN, NAN}, PICKED_NAN},
      {{1, 2, NAN}, PICKED_NAN},
      {{-INFINITY, NAN, INFINITY}, PICKED_NAN},
      {{-INFINITY, -INFINITY, -INFINITY}, PICKED_NOTHING},
      {{-INFINITY, -INFINITY, -1}, 2},
      {{0, INFINITY, INFINITY}, 1},
  };
  struct error err;
  (void)state;
  for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++)
    for (int kind = 0; kind < 4; kind++) {
      const struct sampling sampling = {
          .temperature = kind > 0, .top_p = kind == 2 ? 0.5f : 0, .top_k = kind == 3};
      struct sampler sampler;
      assert_true(sampler_open(&sampler, &sampling, 3, &err));
      const struct draw draw = sampler_draw(&sampler, 1, 2);
      assert_int_equal(sampler_pick(&sampler, &draw, CASES[i].logits), CASES[i].want);
      sampler_close(&sampler);
    }
}

static void draws_follow_the_softmax(void **state) {
  const float logits[] = {0, logf(2), logf(4), logf(1)};
  int counts[4];
  (void)state;
  count(logits, 4, (struct sampling){.temperature = 1, .top_p = 0}, counts);
  assert_probability(counts[0], 1.0 / 8);
  assert_probability(counts[1], 2.0 / 8);
  assert_probability(counts[2], 4.0 / 8);
  assert_probability(counts[3], 1.0 / 8);
}

static void a_low_temperature_sharpens(void **state) {
  const float logits[] = {0, logf(3)};
  int counts[2];
  (void)state;
  count(logits, 2, (struct sampling){.temperature = 0.5f, .top_p = 1}, counts); // squares the odds
  assert_probability(counts[1], 9.0 / 10);
}

static void top_p_keeps_the_smallest_set_that_holds_more(void **state) {
  const float logits[] = {logf(0.1f), logf(0.5f), logf(0.15f), logf(0.25f)};
  int counts[4];
  (void)state;
  count(logits, 4, (struct sampling){.temperature = 1, .top_p = 0.6f}, counts); // 0.5, then 0.25
  assert_int_equal(counts[0] + counts[2], 0);
  assert_probability(counts[1], 2.0 / 3);
  count(logits, 4, (struct sampling){.temperature = 1, .top_p = 0.76f}, counts); // and 0.15
  assert_int_equal(counts[0], 0);
  assert_probability(counts[2], 0.15 / 0.9);
}

static void tiny_top_p_is_greedy(void **state) {
  const float logits[] = {1, 1, 1, 1, 1.0001f, 1};
  int counts[6];
  (void)state;
  count(logits, 6, (struct sampling){.temperature = 1, .top_p = 1e-6f}, counts);
  assert_int_equal(counts[4], DRAWS);
}

static void a_vocabulary_of_one_token_works(void **state) {
  const float logits[] = {2};
  int counts[1];
  (void)state;
  count(logits, 1, (struct sampling){.temperature = 1, .top_p = 0.5f}, counts);
  assert_int_equal(counts[0], DRAWS);
}

static void top_k_keeps_the_first_of_equals(void **state) {
  const float logits[] = {0, logf(2), 0, logf(4), 0, 0};
  int counts[6];
  (void)state;
  count(logits, 6, (struct sampling){.temperature = 1, .top_k = 4}, counts);
  assert_probability(counts[0], 1.0 / 8);
  assert_probability(counts[1], 2.0 / 8);
  assert_probability(counts[2], 1.0 / 8);
  assert_probability(counts[3], 4.0 / 8);
  assert_int_equal(counts[4] + counts[5], 0);
  count(logits, 6, (struct sampling){.temperature = 1, .top_k = 1}, counts);
  assert_int_equal(counts[3], DRAWS);
  count(logits, 6, (struct sampling){.temperature = 1, .top_k = 6}, counts);
  assert_probability(counts[5], 1.0 / 10);
}

static void min_p_is_relative_to_the_first(void **state) {
  const float logits[] = {0, logf(2), logf(5), logf(4)};
  int counts[4];
  (void)state;
  count(logits, 4, (struct sampling){.temperature = 1, .min_p = 0.39f}, counts);
  assert_int_equal(counts[0], 0);
  assert_probability(counts[1], 2.0 / 11);
  count(logits, 4, (struct sampling){.temperature = 1, .min_p = 0.41f}, counts);
  assert_int_equal(counts[0] + counts[1], 0);
  assert_probability(counts[3], 4.0 / 9);
  count(logits, 4, (struct sampling){.temperature = 0.5f, .min_p = 0.6f}, counts); // 1, 4, 25, 16
  assert_probability(counts[3], 16.0 / 41);
  count(logits, 4, (struct sampling){.temperature = 1, .min_p = 1}, counts);
  assert_int_equal(counts[2], DRAWS);
}

// Each bound looks at all tokens, so the narrowest decides, and their order does not matter.
static void the_narrowest_bound_decides(void **state) {
  const float logits[] = {logf(0.1f), logf(0.5f), logf(0.15f), logf(0.25f)};
  static const struct sampling CASES[] = {
      {.temperature = 1, .top_p = 0.6f, .top_k = 3, .min_p = 0.1f},
      {.temperature = 1, .top_p = 0.95f, .top_k = 2, .min_p = 0.1f},
      {.temperature = 1, .top_p = 0.95f, .top_k = 3, .min_p = 0.4f},
  };
  int counts[4];
  (void)state;
  for (int i = 0; i < 3; i++) {
    count(logits, 4, CASES[i], counts);
    assert_int_equal(counts[0] + counts[2], 0);
    assert_probability(counts[1], 2.0 / 3);
  }
}

static void extreme_logits_are_drawn(void **state) {
  const float logits[] = {1, 3, 3, 2}, mixed[] = {-INFINITY, -INFINITY, 1, -INFINITY, 1};
  int counts[5];
  (void)state;
  // 1 / temperature overflows a float
  count(logits, 4, (struct sampling){.temperature = 1e-42f}, counts);
  assert_probability(counts[1], 0.5);
  assert_int_equal(counts[1] + counts[2], DRAWS);
  count(mixed, 5, (struct sampling){.temperature = 1, .top_p = 0.9f}, counts);
  assert_probability(counts[2], 0.5);
  assert_int_equal(counts[2] + counts[4], DRAWS);
}

// The order in which tokens are kept does not depend on how they are found: a plain sort agrees.
static void tokens_are_kept_as_a_sort_says(void **state) {
  enum { TOKENS = 3000, TRIES = 60 };
  static float logits[TOKENS];
  static double p[TOKENS];
  struct distribution distribution;
  struct error err;
  (void)state;
  assert_true(distribution_open(&distribution, TOKENS, &err));
  for (uint64_t try = 0; try < TRIES; try++) {
    const bool many_equal = try % 3 == 0;
    for (uint64_t i = 0; i < TOKENS; i++) {
      const float value = -2.5f * logf((float)sampler_uniform(5, try, i) + 1e-6f);
      logits[i] = many_equal ? floorf(value) : value;
    }
    const struct draw draw = {.sharpness = 1.25f,
                              .top_p = (float)sampler_uniform(6, try, 0),
                              .min_p = try % 2 ? 0 : 0.001f,
                              .top_k = 1 + (int)(sampler_uniform(6, try, 1) * TOKENS)};
    distribution_set(&distribution, logits, &draw);
    draw_probabilities(logits, TOKENS, &draw, p);
    for (int i = 0; i < TOKENS; i++)
      assert_true((distribution.weight[i] > 0) == (p[i] > 0));
  }
  distribution_close(&distribution);
}

static void the_stream_is_keyed(void **state) {
  (void)state;
  assert_true(sampler_uniform(1, 2, 3) == sampler_uniform(1, 2, 3));
  assert_true(sampler_uniform(1, 2, 3) != sampler_uniform(2, 2, 3));
  assert_true(sampler_uniform(1, 2, 3) != sampler_uniform(1, 3, 3));
  assert_true(sampler_uniform(1, 2, 3) != sampler_uniform(1, 2, 4));
  assert_true(sampler_uniform(1, 2, 3) != sampler_uniform(1, 3, 2));
}

static void the_stream_is_uniform(void **state) {
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
  assert_true(chi2 < 44); // with 15 degrees of freedom, one run in 10,000 is above
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(greedy_picks_the_lowest_of_equals),
      cmocka_unit_test(no_numbers_pick_nothing),
      cmocka_unit_test(draws_follow_the_softmax),
      cmocka_unit_test(a_low_temperature_sharpens),
      cmocka_unit_test(top_p_keeps_the_smallest_set_that_holds_more),
      cmocka_unit_test(tiny_top_p_is_greedy),
      cmocka_unit_test(a_vocabulary_of_one_token_works),
      cmocka_unit_test(top_k_keeps_the_first_of_equals),
      cmocka_unit_test(min_p_is_relative_to_the_first),
      cmocka_unit_test(the_narrowest_bound_decides),
      cmocka_unit_test(extreme_logits_are_drawn),
      cmocka_unit_test(tokens_are_kept_as_a_sort_says),
      cmocka_unit_test(the_stream_is_keyed),
      cmocka_unit_test(the_stream_is_uniform),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
