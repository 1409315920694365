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

// ---- products of rows and a panel ----

enum { MOST_K = 13 * GROUP + 27 };

// A panel, and its weights one by one. Prefetches go beyond its end.
static _Alignas(PANEL_ALIGN) uint8_t panel[PANEL_BYTES_F32(MOST_K)];
static float weight[PANEL][MOST_K], scale[PANEL][MOST_K];
static float row[ROWS_AT_ONCE][MOST_K];

static uint32_t bits_of(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}

// Code `code` of the definition of e2m1 (OCP Microscaling Formats 1.0, 5.3.3).
static float e2m1(int code) {
  static const float VALUE[8] = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6};
  return code & 8 ? -VALUE[code & 7] : VALUE[code & 7];
}

// Where a word of a lane lies in a panel, as formats/panels.h says: words come in groups of 32
// columns, these in sections of up to 8, of which all first words come first.
static uint8_t *word_at(enum weight_form form, int k, int word, int lane) {
  const int group_words = form == WEIGHTS_F32 ? 32 : form == WEIGHTS_BF16 ? 16 : 4;
  const int whole = k / 32, group = word / group_words, first = group / 8 * 8;
  const int groups = group >= whole ? 1 : whole - first < 8 ? whole - first : 8;
  int line = word;
  if (group < whole)
    line = first * group_words + word % group_words * groups + group % 8;
  if (form == WEIGHTS_MXFP4)
    line += first / 4 + (groups + 3) / 4;
  return panel + ((size_t)line * PANEL + (size_t)lane) * 4;
}

static uint8_t *scale_at(int k, int group, int lane) {
  return word_at(WEIGHTS_MXFP4, k, group / 8 * 8 * 4, 0) - (k / 32 - group / 8 * 8 > 4 ? 128 : 64) +
         group % 8 * PANEL + lane;
}

static void put_word(uint8_t *at, uint32_t value) {
  memcpy(at, &value, sizeof value);
}

// Fills in one weight; a word's other bits are kept.
static void put_weight(enum weight_form form, int k, int column, int lane, uint32_t seed) {
  uint8_t *at = word_at(form, k,
                        form == WEIGHTS_F32    ? column
                        : form == WEIGHTS_BF16 ? column / 2
                                               : column / 8,
                        lane);
  uint32_t value;
  memcpy(&value, at, sizeof value);
  scale[lane][column] = 1;
  if (form == WEIGHTS_F32) {
    weight[lane][column] = noise(seed);
    value = bits_of(weight[lane][column]);
  } else if (form == WEIGHTS_BF16) {
    const uint32_t half = bits_of(noise(seed)) >> 16, wide = half << 16;
    memcpy(&weight[lane][column], &wide, sizeof wide);
    value |= half << 16 * (column % 2);
  } else {
    const int code = (int)(seed * 2654435761u >> 28), exponent = (lane + column / GROUP) % 7 - 3;
    weight[lane][column] = e2m1(code);
    scale[lane][column] = ldexpf(1, exponent);
    value |= (uint32_t)code << 4 * (column % 8);
    *scale_at(k, column / GROUP, lane) = (uint8_t)(127 + exponent);
  }
  put_word(at, value);
}

static void fill(enum weight_form form, int k) {
  memset(panel, 0, sizeof panel);
  for (int lane = 0; lane < PANEL; lane++)
    for (int c = 0; c < k; c++)
      put_weight(form, k, c, lane, (uint32_t)(lane * 1000 + c));
  for (int r = 0; r < ROWS_AT_ONCE; r++)
    for (int c = 0; c < k; c++)
      row[r][c] = noise((uint32_t)(r * 5000 + c + 77));
}

// The sum in its fixed order.
static float ordered_sum(enum weight_form form, int k, int r, int f) {
  float total = 0;
  for (int first = 0; first < k; first += GROUP) {
    float sum = 0;
    for (int c = first; c < k && c < first + GROUP; c++)
      sum = fmaf(weight[f][c], row[r][c], sum);
    total = form == WEIGHTS_MXFP4 ? fmaf(scale[f][first], sum, total) : sum + total;
  }
  return total;
}

static double exact_sum(int k, int r, int f) {
  double sum = 0;
  for (int c = 0; c < k; c++)
    sum += (double)weight[f][c] * (double)scale[f][c] * (double)row[r][c];
  return sum;
}

ALWAYS_INLINE void check_product(enum weight_form form, int k, int rows) {
  const float *x[ROWS_AT_ONCE];
  float sum[ROWS_AT_ONCE + 1][PANEL];
  for (int r = 0; r < ROWS_AT_ONCE; r++)
    x[r] = row[r];
  sum[ROWS_AT_ONCE][0] = 77;
  multiply_rows((struct product){.form = form, .k = k, .x = x, .w = panel}, rows, sum);
  for (int r = 0; r < rows; r++)
    for (int lane = 0; lane < PANEL; lane++) {
      const float want = ordered_sum(form, k, r, lane);
      assert_memory_equal(&sum[r][lane], &want, sizeof want);
      assert_true(fabs((double)want - exact_sum(k, r, lane)) <= 48 * k * 0x1p-24);
    }
  assert_true(sum[ROWS_AT_ONCE][0] == 77);
}

// Checks every number of rows. k is a constant, as in kernels.
#define CHECK_PRODUCTS(form, k)                                                                    \
  fill(form, k);                                                                                   \
  for (int rows = 1; rows <= ROWS_AT_ONCE; rows++)                                                 \
  check_product(form, k, rows)

static void products_of_f32(void **state) {
  (void)state;
  CHECK_PRODUCTS(WEIGHTS_F32, 13 * GROUP + 27);
}

static void products_of_bf16(void **state) {
  (void)state;
  CHECK_PRODUCTS(WEIGHTS_BF16, 13 * GROUP + 27);
  CHECK_PRODUCTS(WEIGHTS_BF16, 7);
}

static void products_of_mxfp4(void **state) {
  (void)state;
  CHECK_PRODUCTS(WEIGHTS_MXFP4, 8 * GROUP);
  CHECK_PRODUCTS(WEIGHTS_MXFP4, 13 * GROUP);
  CHECK_PRODUCTS(WEIGHTS_MXFP4, GROUP);
}

// Every code with every scale: one weight times 1.
static void mxfp4_is_as_defined(void **state) {
  const float *x[] = {row[0]};
  (void)state;
  for (int s = 0; s < 256; s++)
    for (int c = 0; c < GROUP; c++) {
      float sum[1][PANEL];
      memset(panel, 0, PANEL_BYTES_MXFP4(GROUP));
      memset(row, 0, sizeof row);
      row[0][c] = 1;
      for (int lane = 0; lane < PANEL; lane++) {
        put_word(word_at(WEIGHTS_MXFP4, GROUP, c / 8, lane), (uint32_t)lane << 4 * (c % 8));
        *scale_at(GROUP, 0, lane) = (uint8_t)s;
      }
      multiply_rows((struct product){.form = WEIGHTS_MXFP4, .k = GROUP, .x = x, .w = panel}, 1,
                    sum);
      for (int lane = 0; lane < PANEL; lane++)
        assert_true(s == 255 ? isnan(sum[0][lane]) : sum[0][lane] == ldexpf(e2m1(lane), s - 127));
    }
}

// Covers all rows, never too many at once, and in about equal parts.
static void parts_are_equal(void **state) {
  (void)state;
  for (int n = 1; n < 5 * ROWS_AT_ONCE; n++) {
    int least = n, most = 0, left = n;
    for (int rows; left > 0; left -= rows) {
      rows = next_rows(left);
      least = rows < least ? rows : least;
      most = rows > most ? rows : most;
    }
    assert_int_equal(left, 0);
    assert_true(most <= ROWS_AT_ONCE && most - least <= 1);
  }
}

static void ranges_cover_all_items(void **state) {
  static int owner[1000];
  (void)state;
  for (int n = 0; n < 100; n++)
#pragma omp parallel num_threads(7)
  {
    const struct range own = thread_range(n);
    for (int i = own.first; i < own.end; i++)
#pragma omp atomic
      owner[i]++;
  }
  for (int i = 0; i < 100; i++)
    assert_int_equal(owner[i], 99 - i);
}

// Threads of any number claim each item of each division once, without waiting for each other.
static void pieces_cover_all_items(void **state) {
  enum { DIVISIONS = 200, ITEMS = 97 };
  static int claimed[DIVISIONS][ITEMS];
  (void)state;
  for (int threads = 1; threads <= 7; threads++) {
    struct claim claims[CLAIM_THREADS] = {0};
    memset(claimed, 0, sizeof claimed);
#pragma omp parallel num_threads(threads)
    for (int d = 0; d < DIVISIONS; d++) {
      struct pieces left = divide(claims, ITEMS - d % 10, 1 + d % 13);
      for (struct range piece; next_piece(&left, &piece);)
        for (int i = piece.first; i < piece.end; i++)
#pragma omp atomic
          claimed[d][i]++;
    }
    for (int d = 0; d < DIVISIONS; d++)
      for (int i = 0; i < ITEMS; i++)
        assert_int_equal(claimed[d][i], i < ITEMS - d % 10);
  }
}

// The items that the calling thread claims of a division.
static int claim_all(struct claim *claims, int items) {
  int n = 0;
  struct pieces left = divide(claims, items, 2);
  for (struct range piece; next_piece(&left, &piece);)
    n += piece.end - piece.first;
  return n;
}

// A thread that comes late finds its ranges claimed by its neighbour, those of later divisions,
// too.
static void neighbours_help(void **state) {
  int early = 0, late = 0;
  struct claim claims[CLAIM_THREADS] = {0};
  (void)state;
#pragma omp parallel num_threads(2)
  {
    if (host_thread() == 1)
      early = claim_all(claims, 10) + claim_all(claims, 25);
#pragma omp barrier
    if (host_thread() == 0)
      late = claim_all(claims, 10) + claim_all(claims, 25);
  }
  assert_int_equal(early, 35);
  assert_int_equal(late, 0);
}

// More threads than have claims keep to their ranges.
static void many_threads_have_ranges(void **state) {
  static int claimed[1000];
  struct claim claims[CLAIM_THREADS] = {0};
  (void)state;
#pragma omp parallel num_threads(CLAIM_THREADS + 2)
  {
    struct pieces left = divide(claims, 1000, 3);
    for (struct range piece; next_piece(&left, &piece);)
      for (int i = piece.first; i < piece.end; i++)
#pragma omp atomic
        claimed[i]++;
  }
  for (int i = 0; i < 1000; i++)
    assert_int_equal(claimed[i], 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(exp_is_within_2_ulp),    cmocka_unit_test(bf16_is_the_upper_half),
      cmocka_unit_test(dot_of_every_length),    cmocka_unit_test(products_of_f32),
      cmocka_unit_test(products_of_bf16),       cmocka_unit_test(products_of_mxfp4),
      cmocka_unit_test(mxfp4_is_as_defined),    cmocka_unit_test(parts_are_equal),
      cmocka_unit_test(ranges_cover_all_items), cmocka_unit_test(pieces_cover_all_items),
      cmocka_unit_test(neighbours_help),        cmocka_unit_test(many_threads_have_ranges),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
