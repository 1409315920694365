// Tiles are unpacked number by number, as formats/tiles.h describes them and as a kernel reads
// them, and compared with the numbers that they were packed from.
#include "tiles_support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

// ---- F16 ----

static size_t width_of(enum dtype dtype) {
  return dtype == DTYPE_F32 ? 4 : 2;
}

// { matrices, features, columns }: whole tiles and kblocks, one less, one more, one, several strips
static const size_t SIZES[][3] = {
    {1, 16, 64}, {1, 1, 1},    {3, 17, 65},  {2, 15, 63},  {1, 33, 31},
    {2, 40, 96}, {1, 16, 256}, {2, 31, 257}, {1, 16, 543}, {4, 8, 320},
};
enum { SIZE_COUNT = sizeof SIZES / sizeof *SIZES };

static void f16_tiles_hold_every_number(void **state) {
  static const enum dtype DTYPES[] = {DTYPE_BF16, DTYPE_F16, DTYPE_F32};
  (void)state;
  for (int i = 0; i < SIZE_COUNT * 6; i++) {
    const size_t *size = SIZES[i / 6];
    const struct matrices matrices = {.n = size[0],
                                      .features = size[1],
                                      .columns = size[2],
                                      .dtype = DTYPES[i % 3],
                                      .transposed = i / 3 % 2 == 1};
    struct packed_tiles t = make_tiles(matrices, width_of(matrices.dtype));
    assert_int_equal(t.n, size[0] * ((size[1] + 15) / 16));
    assert_int_equal(t.tile_bytes, 64 + (size[2] + 63) / 64 * 64 * 32);
    fill_floats(&t);
    pack(&t);
    assert_tiles(&t);
    free_tiles(&t);
  }
}

// A feature of 64 BF16 or F32, alone in a tile.
static struct packed_tiles make_feature(enum dtype dtype) {
  const struct matrices matrices = {.n = 1, .features = 1, .columns = 64, .dtype = dtype};
  struct packed_tiles t = make_tiles(matrices, width_of(dtype));
  memset(t.data, 0, 64 * t.width);
  return t;
}

// A BF16 within 2^28 of the largest becomes a normal half; a device may read a subnormal one as 0.
static void bf16_within_28_binary_places_are_exact_and_normal(void **state) {
  (void)state;
  for (int e = -98; e <= 127; e += 25) {
    struct packed_tiles t = make_feature(DTYPE_BF16);
    for (int i = 0; i < 29; i++)
      set_number(&t, (size_t)i, ldexpf((i % 2 ? -1.0f : 1.0f) * (1 + (float)i / 128), e - i));
    pack(&t);
    assert_true(feature_scale(t.tiles, 0) == ldexp(1, e - 14));
    for (size_t i = 0; i < 29; i++) {
      assert_true((tile_half(t.tiles, 0, i) & 0x7c00) != 0);
      assert_number(unpacked(&t, 0, 0, i), original(&t, 0, 0, i));
    }
    free_tiles(&t);
  }
}

// Smaller ones become subnormal halves, then 0. In a feature of tiny numbers the scale stays
// normal.
static void bf16_beyond_are_rounded(void **state) {
  (void)state;
  for (int e = -133; e <= 127; e += 20) {
    struct packed_tiles t = make_feature(DTYPE_BF16);
    for (int i = 0; i < 60 && e - i >= -126; i++)
      set_number(&t, (size_t)i, ldexpf(1 + (float)i / 128, e - i));
    set_number(&t, 60, e < -126 ? 0x1p-133f : 0x1.fep-126f);
    set_number(&t, 61, -0x1p-133f);
    pack(&t);
    assert_tiles(&t);
    assert_true(feature_scale(t.tiles, 0) >= 0x1p-126);
    free_tiles(&t);
  }
}

static void f32_are_rounded_to_nearest_even(void **state) {
  static const float NUMBERS[] = {
      0x1p14f,       -0x1.004p0f, 0x1.006p0f,       0x1.0020p0f,  0x1.00200002p0f, 0x1.0060p0f,
      0x1.005ffep0f, 0x1.ffep1f,  0x1.fff8p13f,     0x1.8p-24f,   0x1p-25f,        0x1.000002p-25f,
      0x1.8p-25f,    0x1p-26f,    -0x1.000002p-25f, 0x1.ffcp-15f, 0x1.ffe002p-15f, -0x1.ffep-15f,
      0x1p-14f,      0x1p-126f,   0x1p-149f,        -0x1p-149f,   -0.0f,           0x1.fffffep14f,
  };
  (void)state;
  struct packed_tiles t = make_feature(DTYPE_F32);
  for (size_t i = 0; i < sizeof NUMBERS / sizeof *NUMBERS; i++)
    set_number(&t, i, NUMBERS[i]);
  pack(&t);
  assert_true(feature_scale(t.tiles, 0) == 1);
  assert_tiles(&t);
  free_tiles(&t);
  t = make_feature(DTYPE_F32);
  set_number(&t, 0, 0x1p-149f);
  set_number(&t, 1, 0x1.fffffep-127f);
  pack(&t);
  assert_true(feature_scale(t.tiles, 0) == 0x1p-126);
  assert_tiles(&t);
  free_tiles(&t);
}

static void infinities_and_nans_stay(void **state) {
  static const enum dtype DTYPES[] = {DTYPE_BF16, DTYPE_F32};
  (void)state;
  for (int i = 0; i < 2; i++) {
    struct packed_tiles t = make_feature(DTYPES[i]);
    set_number(&t, 3, INFINITY);
    set_number(&t, 4, -INFINITY);
    set_number(&t, 5, NAN);
    pack(&t);
    assert_true(feature_scale(t.tiles, 0) == 1);
    assert_tiles(&t);
    set_number(&t, 6, 3.0f);
    set_number(&t, 7, 0x1p-20f);
    pack(&t);
    assert_true(feature_scale(t.tiles, 0) == 0x1p-13);
    assert_tiles(&t);
    free_tiles(&t);
  }
}

static void features_of_zeros_have_the_scale_1(void **state) {
  (void)state;
  struct packed_tiles t = make_feature(DTYPE_BF16);
  set_number(&t, 1, -0.0f);
  pack(&t);
  assert_true(feature_scale(t.tiles, 0) == 1);
  assert_tiles(&t);
  free_tiles(&t);
}

// ---- MXFP4 ----

static void mxfp4_tiles_hold_every_number(void **state) {
  static const size_t MXFP4_SIZES[][3] = {{1, 16, 64},  {1, 1, 32},   {3, 17, 96},  {2, 15, 256},
                                          {4, 40, 288}, {2, 33, 512}, {1, 16, 2880}};
  (void)state;
  for (int i = 0; i < 14; i++) {
    const size_t *size = MXFP4_SIZES[i / 2];
    const struct matrices matrices = {.n = size[0],
                                      .features = size[1],
                                      .columns = size[2],
                                      .dtype = DTYPE_U8,
                                      .woven = i % 2 == 1};
    struct packed_tiles t = make_tiles(matrices, 0);
    assert_int_equal(t.n, size[0] * ((size[1] + 15) / 16));
    assert_int_equal(t.tile_bytes, 64 + (size[2] + 63) / 64 * 544);
    fill_codes(&t, 254, 29);
    pack(&t);
    assert_tiles(&t);
    free_tiles(&t);
  }
}

static void every_code_in_every_column_with_every_scale(void **state) {
  (void)state;
  const struct matrices matrices = {.n = 1, .features = 255, .columns = 64, .dtype = DTYPE_U8};
  struct packed_tiles t = make_tiles(matrices, 0);
  for (size_t i = 0; i < numbers_of(&matrices); i += 2) {
    const size_t feature = i / 64, column = i % 64, first = (column + feature) % 16;
    t.data[i / 2] = (uint8_t)(first | (first + 1) % 16 << 4);
    t.scales[2 * feature] = t.scales[2 * feature + 1] = (uint8_t)feature;
  }
  pack(&t);
  assert_tiles(&t);
  for (size_t feature = 0; feature < 255; feature++)
    assert_true(feature_scale(t.tiles + feature / 16 * t.tile_bytes, feature % 16) ==
                ldexp(1, (int)feature - 128));
  free_tiles(&t);
}

// A group becomes zeros if its scale is 2^30 or more below the largest.
static void groups_far_below_the_largest_are_zero(void **state) {
  (void)state;
  const struct matrices matrices = {.n = 1, .features = 1, .columns = 128, .dtype = DTYPE_U8};
  struct packed_tiles t = make_tiles(matrices, 0);
  memset(t.data, 0x77, 64);
  const uint8_t scales[4] = {200, 171, 170, 0};
  memcpy(t.scales, scales, 4);
  pack(&t);
  assert_number(unpacked(&t, 0, 0, 0), 6 * 0x1p73);
  assert_number(unpacked(&t, 0, 0, 63), 6 * 0x1p44);
  assert_number(unpacked(&t, 0, 0, 64), 0);
  assert_number(unpacked(&t, 0, 0, 127), 0);
  free_tiles(&t);
}

static void the_scale_255_is_a_nan(void **state) {
  (void)state;
  const struct matrices matrices = {.n = 1, .features = 2, .columns = 64, .dtype = DTYPE_U8};
  struct packed_tiles t = make_tiles(matrices, 0);
  memset(t.data, 0x12, 64);
  const uint8_t scales[4] = {255, 127, 255, 255};
  memcpy(t.scales, scales, 4);
  pack(&t);
  assert_true(isnan(unpacked(&t, 0, 0, 0)) && isnan(unpacked(&t, 0, 0, 31)));
  assert_number(unpacked(&t, 0, 0, 32), 1);
  assert_number(unpacked(&t, 0, 0, 33), 0.5);
  assert_true(isnan(unpacked(&t, 0, 1, 0)) && isnan(unpacked(&t, 0, 1, 63)));
  free_tiles(&t);
}

// ---- both ----

static void features_of_heads_are_paired(void **state) {
  static const size_t HEADS[][2] = {{1, 64}, {3, 64}, {2, 128}, {3, 8}, {5, 6}, {1, 2}};
  (void)state;
  for (int i = 0; i < 6; i++) {
    const size_t heads = HEADS[i][0], d = HEADS[i][1];
    struct matrices matrices = {
        .n = 1, .features = heads * d, .columns = 70, .d_head = d, .dtype = DTYPE_BF16};
    struct packed_tiles t = make_tiles(matrices, 2);
    fill_floats(&t);
    pack(&t);
    assert_tiles(&t);
    free_tiles(&t);
    matrices.columns = 96;
    t = make_tiles(matrices, 0);
    fill_codes(&t, 254, 29);
    pack(&t);
    assert_tiles(&t);
    free_tiles(&t);
  }
}

static void assert_pieces(struct packed_tiles *t) {
  uint8_t *piece = allocate(t->n * t->tile_bytes);
  pack(t);
  for (size_t first = 0; first < t->n; first++)
    for (size_t n = 0; first + n <= t->n; n++) {
      memset(piece, GUARD, n * t->tile_bytes + 1);
      pack_some(t, first, n, piece);
      assert_memory_equal(piece, t->tiles + first * t->tile_bytes, n * t->tile_bytes);
      assert_int_equal(piece[n * t->tile_bytes], GUARD);
    }
  free(piece);
}

static void pieces_are_those_of_the_whole(void **state) {
  struct matrices matrices = {.n = 3, .features = 40, .columns = 288, .dtype = DTYPE_BF16};
  (void)state;
  struct packed_tiles t = make_tiles(matrices, 2);
  fill_floats(&t);
  assert_pieces(&t);
  t.matrices.transposed = true;
  assert_pieces(&t);
  t.matrices.transposed = false;
  t.matrices.d_head = 20;
  assert_pieces(&t);
  free_tiles(&t);
  matrices.dtype = DTYPE_U8;
  t = make_tiles(matrices, 0);
  fill_codes(&t, 200, 20);
  assert_pieces(&t);
  free_tiles(&t);
}

// ---- speed ----

// Bytes of the matrices per second of one core.
static double rate(struct packed_tiles *t, size_t bytes) {
  enum { TIMES = 20 };
  pack(t);
  const clock_t began = clock(); // counts all threads
  for (int i = 0; i < TIMES; i++)
    pack_some(t, 0, t->n, t->tiles);
  return TIMES * (double)bytes * CLOCKS_PER_SEC / (double)(clock() - began);
}

// The link of a GPU transfers 25 to 55 GB/s, and a host has 16 cores or more. The bound is low so
// that sanitizers pass.
static void a_core_packs_gigabytes_per_second(void **state) {
  struct matrices matrices = {.n = 1, .features = 2048, .columns = 2880, .dtype = DTYPE_BF16};
  (void)state;
  struct packed_tiles t = make_tiles(matrices, 2);
  fill_floats(&t);
  const double bf16 = rate(&t, numbers_of(&matrices) * 2);
  free_tiles(&t);
  matrices.features = 8192;
  matrices.dtype = DTYPE_U8;
  t = make_tiles(matrices, 0);
  fill_codes(&t, 130, 9);
  const double mxfp4 = rate(&t, numbers_of(&matrices) / 32 * 17);
  free_tiles(&t);
  print_message("BF16 to tiles %.2f GB/s, MXFP4 %.2f GB/s per core\n", bf16 * 1e-9, mxfp4 * 1e-9);
  assert_true(bf16 > 0.05e9 && mxfp4 > 0.05e9);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(f16_tiles_hold_every_number),
      cmocka_unit_test(bf16_within_28_binary_places_are_exact_and_normal),
      cmocka_unit_test(bf16_beyond_are_rounded),
      cmocka_unit_test(f32_are_rounded_to_nearest_even),
      cmocka_unit_test(infinities_and_nans_stay),
      cmocka_unit_test(features_of_zeros_have_the_scale_1),
      cmocka_unit_test(mxfp4_tiles_hold_every_number),
      cmocka_unit_test(every_code_in_every_column_with_every_scale),
      cmocka_unit_test(groups_far_below_the_largest_are_zero),
      cmocka_unit_test(the_scale_255_is_a_nan),
      cmocka_unit_test(features_of_heads_are_paired),
      cmocka_unit_test(pieces_are_those_of_the_whole),
      cmocka_unit_test(a_core_packs_gigabytes_per_second),
  };
  return cmocka_run_group_tests_name("tiles", tests, NULL, NULL);
}
