// Weights are read from tensors in pieces, in every layout.
#include "checkpoint/weights.h"

#include "tiles_support.h"

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

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(weights_in_tiles_are_read_by_bytes),
      cmocka_unit_test(packed_weights_in_tiles_have_codes_and_scales),
      cmocka_unit_test(vectors_are_paired_within_heads),
  };
  return cmocka_run_group_tests_name("weights", tests, NULL, NULL);
}
