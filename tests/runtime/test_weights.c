// Weights are read from tensors in pieces, in every layout.
#include "weights/weights.h"

#include "tiles_support.h"
#include "weights/panels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void weights_in_tiles_are_read_by_bytes(void **state) {
  (void)state;
  const struct matrices matrices = {
      .n = 2, .features = 24, .columns = 72, .dtype = DTYPE_BF16, .transposed = true};
  struct packed_tiles t = make_tiles(matrices, 2);
  fill_floats(&t);
  pack(&t);
  const struct weight_spec spec = {
      .form = FORM_TRANSPOSED, .stored = STORED_F16, .layout = LAYOUT_TILES, .shape = {2, 24, 72}};
  const struct tensor tensor = {.data = t.data, .dtype = DTYPE_BF16};
  const struct weight_view view = {&spec, &tensor, NULL, true};
  const size_t granule = weight_granule(&spec), bytes = weight_bytes(&spec);
  assert_int_equal(granule, t.tile_bytes);
  assert_int_equal(bytes, 4 * granule);
  uint8_t *out = allocate(bytes);
  for (size_t first = 0; first < bytes; first += granule)
    weight_read(&view, first, granule, out + first);
  assert_memory_equal(out, t.tiles, bytes);
  free(out);
  free_tiles(&t);
}

// Experts as (experts, features, columns) need no transposition for a weight of that shape.
static void flipped_experts_in_tiles(void **state) {
  (void)state;
  const struct matrices matrices = {.n = 2, .features = 24, .columns = 72, .dtype = DTYPE_BF16};
  struct packed_tiles t = make_tiles(matrices, 2);
  fill_floats(&t);
  pack(&t);
  const struct weight_spec spec = {
      .form = FORM_TRANSPOSED, .stored = STORED_F16, .layout = LAYOUT_TILES, .shape = {2, 24, 72}};
  const struct tensor tensor = {.data = t.data, .dtype = DTYPE_BF16, .flipped = true};
  const struct weight_view view = {&spec, &tensor, NULL, false};
  uint8_t *out = allocate(weight_bytes(&spec));
  weight_read(&view, 0, weight_bytes(&spec), out);
  assert_memory_equal(out, t.tiles, weight_bytes(&spec));
  free(out);
  free_tiles(&t);
}

static void packed_weights_in_tiles_have_codes_and_scales(void **state) {
  (void)state;
  const struct matrices matrices = {.n = 3, .features = 20, .columns = 96, .dtype = DTYPE_U8};
  struct packed_tiles t = make_tiles(matrices, 0);
  fill_codes(&t, 130, 9);
  pack(&t);
  const struct weight_spec spec = {
      .form = FORM_MXFP4, .stored = STORED_MXFP4, .layout = LAYOUT_TILES, .shape = {3, 20, 96}};
  const struct tensor codes = {.data = t.data, .dtype = DTYPE_U8};
  const struct tensor scales = {.data = t.scales, .dtype = DTYPE_U8};
  const struct weight_view view = {&spec, &codes, &scales, false};
  assert_int_equal(weight_bytes(&spec), t.n * t.tile_bytes);
  uint8_t *out = allocate(t.n * t.tile_bytes);
  weight_read(&view, 0, t.n * t.tile_bytes, out);
  assert_memory_equal(out, t.tiles, t.n * t.tile_bytes);
  free(out);
  free_tiles(&t);
}

// A weight that is read panel by panel has the bytes of its matrices. `want` are those.
static void assert_panels_of(const struct weight_view *view, size_t panels, size_t panel_bytes,
                             const uint8_t *want) {
  const size_t bytes = weight_bytes(view->spec);
  assert_int_equal(weight_granule(view->spec), panel_bytes);
  assert_int_equal(bytes, panels * panel_bytes);
  uint8_t *out = allocate(bytes);
  for (size_t first = 0; first < bytes; first += panel_bytes)
    weight_read(view, first, panel_bytes, out + first);
  assert_memory_equal(out, want, bytes);
  free(out);
}

// Experts in either order of their last two dimensions.
static void weights_in_panels_are_read_by_bytes(void **state) {
  enum { BYTES = 37 * 16 * 4 };
  uint8_t want[4 * BYTES];
  (void)state;
  for (int transposed = 0; transposed < 2; transposed++) {
    const struct matrices matrices = {
        .n = 2, .features = 24, .columns = 73, .dtype = DTYPE_BF16, .transposed = transposed};
    struct packed_tiles t = make_tiles(matrices, 2);
    fill_floats(&t);
    panels_pack_bf16(&t.matrices, 0, 4, want);
    const struct weight_spec spec = {.form = FORM_TRANSPOSED,
                                     .stored = STORED_BF16,
                                     .layout = LAYOUT_PANELS,
                                     .shape = {2, 24, 73}};
    const struct tensor tensor = {.data = t.data, .dtype = DTYPE_BF16, .flipped = !transposed};
    assert_panels_of(&(struct weight_view){&spec, &tensor, NULL, transposed}, 4, BYTES, want);
    free_tiles(&t);
  }
}

static void packed_weights_in_panels_have_codes_and_scales(void **state) {
  enum { BYTES = 96 / 8 * 64 + 64 };
  uint8_t want[6 * BYTES];
  (void)state;
  const struct matrices matrices = {.n = 3, .features = 20, .columns = 96, .dtype = DTYPE_U8};
  struct packed_tiles t = make_tiles(matrices, 0);
  fill_codes(&t, 130, 9);
  panels_pack_mxfp4(&t.matrices, 0, 6, want);
  const struct weight_spec spec = {
      .form = FORM_MXFP4, .stored = STORED_MXFP4, .layout = LAYOUT_PANELS, .shape = {3, 20, 96}};
  const struct tensor codes = {.data = t.data, .dtype = DTYPE_U8};
  const struct tensor scales = {.data = t.scales, .dtype = DTYPE_U8};
  assert_panels_of(&(struct weight_view){&spec, &codes, &scales, false}, 6, BYTES, want);
  free_tiles(&t);
}

static void vectors_are_paired_within_heads(void **state) {
  enum { HEADS = 3, D = 8, N = HEADS * D };
  uint16_t bits[N];
  float got[N], piece[2];
  (void)state;
  for (int i = 0; i < N; i++) // BF16 of the whole number i
    bits[i] = (uint16_t)(((union {
                           float f;
                           uint32_t u;
                         }){(float)i})
                             .u >>
                         16);
  const struct weight_spec spec = {
      .form = FORM_PLAIN, .stored = STORED_F32, .layout = LAYOUT_PAIRS, .d_head = D, .shape = {N}};
  const struct tensor tensor = {.data = (const uint8_t *)bits, .dtype = DTYPE_BF16};
  const struct weight_view view = {&spec, &tensor, NULL, false};
  assert_int_equal(weight_bytes(&spec), sizeof got);
  assert_int_equal(weight_granule(&spec), sizeof *got);
  weight_read(&view, 0, sizeof got, got);
  static const float WANT[D] = {0, 4, 1, 5, 2, 6, 3, 7};
  for (int i = 0; i < N; i++)
    assert_true(got[i] == WANT[i % D] + (float)(i / D * D));
  weight_read(&view, 13 * sizeof *got, sizeof piece, piece);
  assert_memory_equal(piece, got + 13, sizeof piece);
}

// ---- one set of numbers in three dtypes ----

enum { EXPERTS = 2, FEATURES = 32, COLUMNS = 72, NUMBERS = EXPERTS * FEATURES * COLUMNS };

// Fills in numbers that BF16, F16 and F32 all hold exactly, zeros and negative ones among them, and
// writes them as each dtype at an odd address. NaN and infinities come last.
static void write_numbers(uint8_t *as[DTYPE_OTHER]) {
  static const uint32_t SPECIAL[] = {0x7f800000, 0xff800000, 0x7fc00000};
  for (enum dtype dtype = DTYPE_F16; dtype < DTYPE_OTHER; dtype++)
    as[dtype] = allocate(4 * NUMBERS + 1);
  for (size_t i = 0; i < NUMBERS; i++) {
    const int exponent = (int)(i * 5 % 28) - 14;
    float value = ldexpf(1.0f + (float)(i * 37 % 128) / 128, exponent) * (i % 3 ? 1 : -1);
    value = i % 11 ? value : i % 2 ? 0.0f : -0.0f;
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint16_t half = (uint16_t)(bits >> 16 & 0x8000);
    if (value != 0)
      half |= (uint16_t)((((bits >> 23) & 255) - 112) << 10 | (bits >> 13 & 1023));
    if (i >= NUMBERS - COUNT(SPECIAL)) {
      bits = SPECIAL[i - (NUMBERS - COUNT(SPECIAL))];
      half = (uint16_t)(bits >> 16 & 0x8000) | (bits & 0x400000 ? 0x7e00 : 0x7c00);
    }
    const uint16_t brain = (uint16_t)(bits >> 16);
    memcpy(as[DTYPE_F32] + 1 + 4 * i, &bits, 4);
    memcpy(as[DTYPE_BF16] + 1 + 2 * i, &brain, 2);
    memcpy(as[DTYPE_F16] + 1 + 2 * i, &half, 2);
  }
}

// Every way in which a tree stores floats.
static const struct weight_spec STORED[] = {
    {"matrix", FORM_PLAIN, STORED_BF16, LAYOUT_CONTIGUOUS, 0, 8, {EXPERTS * FEATURES, COLUMNS}},
    {"matrix", FORM_PLAIN, STORED_F32, LAYOUT_CONTIGUOUS, 0, 8, {EXPERTS * FEATURES, COLUMNS}},
    {"mapped", FORM_PLAIN, STORED_BF16, LAYOUT_CONTIGUOUS, WEIGHT_MAPPED, 8, {NUMBERS}},
    {"mapped", FORM_PLAIN, STORED_F32, LAYOUT_CONTIGUOUS, WEIGHT_MAPPED, 8, {NUMBERS}},
    {"pairs", FORM_PLAIN, STORED_F32, LAYOUT_PAIRS, 0, 8, {NUMBERS}},
    {"tiles", FORM_PLAIN, STORED_F16, LAYOUT_TILES, 0, 8, {EXPERTS * FEATURES, COLUMNS}},
    {"heads", FORM_PLAIN, STORED_F16, LAYOUT_PAIRED_TILES, 0, 8, {EXPERTS * FEATURES, COLUMNS}},
    {"experts", FORM_TRANSPOSED, STORED_F16, LAYOUT_TILES, 0, 8, {EXPERTS, FEATURES, COLUMNS}},
    {"experts",
     FORM_TRANSPOSED,
     STORED_BF16,
     LAYOUT_CONTIGUOUS,
     0,
     8,
     {EXPERTS, FEATURES, COLUMNS}},
    {"experts", FORM_TRANSPOSED, STORED_F32, LAYOUT_CONTIGUOUS, 0, 8, {EXPERTS, FEATURES, COLUMNS}},
    {"panels", FORM_PLAIN, STORED_BF16, LAYOUT_PANELS, 0, 8, {EXPERTS * FEATURES, COLUMNS}},
    {"panels", FORM_PLAIN, STORED_F32, LAYOUT_PANELS, 0, 8, {EXPERTS * FEATURES, COLUMNS}},
    {"experts", FORM_TRANSPOSED, STORED_BF16, LAYOUT_PANELS, 0, 8, {EXPERTS, FEATURES, COLUMNS}},
    {"experts", FORM_TRANSPOSED, STORED_F32, LAYOUT_PANELS, 0, 8, {EXPERTS, FEATURES, COLUMNS}},
};

static void every_dtype_gives_the_same_bytes(void **state) {
  static const enum dtype FLOATS[] = {DTYPE_BF16, DTYPE_F16, DTYPE_F32};
  uint8_t *as[DTYPE_OTHER];
  (void)state;
  write_numbers(as);
  for (size_t i = 0; i < COUNT(STORED); i++) {
    const struct weight_spec *spec = &STORED[i];
    const size_t bytes = weight_bytes(spec);
    uint8_t *want = allocate(bytes), *got = allocate(bytes);
    for (size_t d = 0; d < COUNT(FLOATS); d++) {
      const enum dtype dtype = FLOATS[d];
      const struct tensor tensor = {
          .data = as[dtype] + 1, .dtype = dtype, .bytes = NUMBERS * dtype_bytes(dtype)};
      const struct weight_view view = {spec, &tensor, NULL, spec->form == FORM_TRANSPOSED};
      weight_read(&view, 0, bytes, d == 0 ? want : got);
      assert_true(d == 0 || memcmp(got, want, bytes) == 0);
    }
    free(want);
    free(got);
  }
  for (enum dtype dtype = DTYPE_F16; dtype < DTYPE_OTHER; dtype++)
    free(as[dtype]);
}

// A mapped weight is one only if the checkpoint has its bytes.
static void weights_of_another_dtype_are_not_mapped(void **state) {
  (void)state;
  for (size_t i = 0; i < COUNT(STORED); i++)
    for (enum dtype dtype = DTYPE_F16; dtype < DTYPE_OTHER; dtype++) {
      const struct tensor tensor = {.dtype = dtype};
      const struct weight_view view = {&STORED[i], &tensor, NULL, false};
      const bool same = dtype == (STORED[i].stored == STORED_F32 ? DTYPE_F32 : DTYPE_BF16);
      assert_int_equal(weight_is_mapped(&view), STORED[i].offset == WEIGHT_MAPPED && same);
      const struct weight_view transposed = {&STORED[i], &tensor, NULL, true};
      assert_false(weight_is_mapped(&transposed));
    }
}

// { float, BF16 }: ties go to the even one, and a large number becomes an infinity.
static const uint32_t ROUNDED[][2] = {
    {0x3f800000, 0x3f80}, {0x3f807fff, 0x3f80}, {0x3f808000, 0x3f80}, {0x3f808001, 0x3f81},
    {0x3f818000, 0x3f82}, {0x3f817fff, 0x3f81}, {0xbf808001, 0xbf81}, {0x7f7fffff, 0x7f80},
    {0xff7f8000, 0xff80}, {0x00000001, 0x0000}, {0x00008001, 0x0001}, {0x80000000, 0x8000},
    {0x7f800000, 0x7f80}, {0x7f800001, 0x7fc0}, {0xffc00000, 0xffc0},
};

static void floats_are_rounded_to_nearest_even(void **state) {
  enum { N = COUNT(ROUNDED) };
  uint32_t bits[N];
  uint16_t got[N];
  (void)state;
  for (size_t i = 0; i < N; i++)
    bits[i] = ROUNDED[i][0];
  const struct weight_spec spec = {.stored = STORED_BF16, .offset = WEIGHT_MAPPED, .shape = {N}};
  const struct tensor tensor = {.data = (const uint8_t *)bits, .dtype = DTYPE_F32};
  const struct weight_view view = {&spec, &tensor, NULL, false};
  weight_read(&view, 0, sizeof got, got);
  for (size_t i = 0; i < N; i++)
    assert_int_equal(got[i], ROUNDED[i][1]);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(weights_in_tiles_are_read_by_bytes),
      cmocka_unit_test(flipped_experts_in_tiles),
      cmocka_unit_test(packed_weights_in_tiles_have_codes_and_scales),
      cmocka_unit_test(weights_in_panels_are_read_by_bytes),
      cmocka_unit_test(packed_weights_in_panels_have_codes_and_scales),
      cmocka_unit_test(vectors_are_paired_within_heads),
      cmocka_unit_test(every_dtype_gives_the_same_bytes),
      cmocka_unit_test(weights_of_another_dtype_are_not_mapped),
      cmocka_unit_test(floats_are_rounded_to_nearest_even),
  };
  return cmocka_run_group_tests_name("weights", tests, NULL, NULL);
}
