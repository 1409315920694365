// Panels are read number by number, as formats/panels.h describes them, and compared with the
// numbers that they were packed from.
#include "weights/panels.h"

#include "tiles_support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// What panels hold.
enum holding { F32, BF16, MXFP4 };

// Matrices and their panels.
struct packed_panels {
  struct packed_tiles from; // the matrices
  enum holding holding;
  size_t n, bytes; // panels, and bytes of one
  uint8_t *panels;
};

static size_t bytes_of_panel(enum holding holding, size_t columns) {
  if (holding == F32)
    return columns * 64;
  if (holding == BF16)
    return (columns + 1) / 2 * 64;
  return columns / 8 * 64 + (columns / 32 + 3) / 4 * 64;
}

static void pack_panels(const struct packed_panels *p, size_t first, size_t n, uint8_t *out) {
  if (p->holding == F32)
    panels_pack_f32(&p->from.matrices, first, n, out);
  else if (p->holding == BF16)
    panels_pack_bf16(&p->from.matrices, first, n, out);
  else
    panels_pack_mxfp4(&p->from.matrices, first, n, out);
}

static void pack_all(struct packed_panels *p) {
  memset(p->panels, GUARD, p->n * p->bytes + 1);
  pack_panels(p, 0, p->n, p->panels);
  assert_int_equal(p->panels[p->n * p->bytes], GUARD);
}

// Matrices of which every number is 0.
static struct packed_panels make_panels(struct matrices matrices, enum holding holding) {
  const size_t width = holding == MXFP4 ? 0 : dtype_bytes(matrices.dtype);
  struct packed_panels p = {make_tiles(matrices, width), .holding = holding};
  memset(p.from.data, 0, width ? numbers_of(&matrices) * width : numbers_of(&matrices) / 2);
  p.n = matrices.n * ((matrices.features + 15) / 16);
  p.bytes = bytes_of_panel(holding, matrices.columns);
  p.panels = allocate(p.n * p.bytes);
  assert_int_equal(panel_count(&matrices), p.n);
  return p;
}

static void free_panels(struct packed_panels *p) {
  free_tiles(&p->from);
  free(p->panels);
}

// ---- what a kernel reads ----

static uint32_t load_word(const uint8_t *at) {
  return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static double value_of_bits(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return (double)value;
}

// The panel of a feature of a matrix.
static const uint8_t *panel_of(const struct packed_panels *p, size_t matrix, size_t feature) {
  return p->panels + (matrix * ((p->from.matrices.features + 15) / 16) + feature / 16) * p->bytes;
}

static size_t least(size_t a, size_t b) {
  return a < b ? a : b;
}

// The section of a column: 8 groups of 32 columns, or those that are left.
struct section {
  size_t first, groups; // group
  size_t lines;         // of 64 bytes before it in the panel
};

static struct section section_of(const struct packed_panels *p, size_t column) {
  const size_t groups = p->from.matrices.columns / 32, first = column / 256 * 8;
  const size_t group_lines = p->holding == F32 ? 32 : p->holding == BF16 ? 16 : 4;
  const size_t scale_lines = p->holding == MXFP4 ? first / 4 : 0;
  return (struct section){first, least(8, groups - first), first * group_lines + scale_lines};
}

// The bits of a number: 32, 16, or the 4 of a code.
static uint32_t bits_at(const struct packed_panels *p, size_t matrix, size_t feature,
                        size_t column) {
  const size_t per_word = p->holding == F32 ? 1 : p->holding == BF16 ? 2 : 8;
  const struct section section = section_of(p, column);
  const size_t groups = p->from.matrices.columns / 32;
  size_t line = column / per_word;
  if (column / 32 < groups) {
    line = section.lines + column % 32 / per_word * section.groups + column / 32 - section.first;
    if (p->holding == MXFP4)
      line += (section.groups + 3) / 4;
  }
  const uint32_t word = load_word(panel_of(p, matrix, feature) + (line * 16 + feature % 16) * 4);
  const unsigned width = 32 / (unsigned)per_word;
  return word >> column % per_word * width & (width == 32 ? ~0u : (1u << width) - 1);
}

static uint8_t scale_at(const struct packed_panels *p, size_t matrix, size_t feature,
                        size_t column) {
  const struct section section = section_of(p, column);
  const uint8_t *scales = panel_of(p, matrix, feature) + section.lines * 64;
  return scales[(column / 32 - section.first) * 16 + feature % 16];
}

static double value_at(const struct packed_panels *p, size_t matrix, size_t feature,
                       size_t column) {
  static const double VALUE[8] = {0, 0.5, 1, 1.5, 2, 3, 4, 6};
  const uint32_t bits = bits_at(p, matrix, feature, column);
  if (p->holding == F32)
    return value_of_bits(bits);
  if (p->holding == BF16)
    return value_of_bits(bits << 16);
  const double value = ldexp(VALUE[bits & 7], scale_at(p, matrix, feature, column) - 127);
  return bits & 8 ? -value : value;
}

// Rounds a number to eight significant binary digits, or as a subnormal BF16.
static double as_bf16(double value) {
  int exponent;
  if (!isfinite(value))
    return value;
  frexp(value, &exponent);
  const double step = ldexp(1, (exponent - 1 > -126 ? exponent - 1 : -126) - 7);
  const double rounded = rint(value / step) * step;
  return fabs(rounded) < 0x1p128 ? rounded : copysign(INFINITY, value);
}

// Every number, and the padding: features after the last, and the column after an odd number of
// BF16.
static void assert_panels(const struct packed_panels *p) {
  const struct matrices *s = &p->from.matrices;
  const size_t features = (s->features + 15) / 16 * 16;
  const size_t columns = p->holding == BF16 ? (s->columns + 1) / 2 * 2 : s->columns;
  for (size_t m = 0; m < s->n; m++)
    for (size_t feature = 0; feature < features; feature++)
      for (size_t column = 0; column < columns; column++) {
        const bool padding = feature >= s->features || column >= s->columns;
        const double want = padding ? 0 : original(&p->from, m, feature, column);
        assert_number(value_at(p, m, feature, column), p->holding == BF16 ? as_bf16(want) : want);
      }
}

// ---- numbers ----

// { matrices, features, columns }: whole panels and pairs, one more, one less, one, several strips
// and sections
static const size_t SIZES[][3] = {
    {1, 16, 64},  {1, 1, 1},    {3, 17, 65}, {2, 15, 63},  {1, 33, 31}, {2, 40, 96},  {5, 2, 3},
    {1, 16, 256}, {2, 31, 257}, {4, 8, 320}, {1, 48, 127}, {1, 7, 2},   {2, 16, 629},
};
enum { SIZE_COUNT = sizeof SIZES / sizeof *SIZES };

static void every_dtype_in_panels(enum holding holding) {
  static const enum dtype DTYPES[] = {DTYPE_BF16, DTYPE_F16, DTYPE_F32};
  for (int i = 0; i < SIZE_COUNT * 6; i++) {
    const size_t *size = SIZES[i / 6];
    const struct matrices matrices = {.n = size[0],
                                      .features = size[1],
                                      .columns = size[2],
                                      .dtype = DTYPES[i % 3],
                                      .transposed = i / 3 % 2 == 1};
    struct packed_panels p = make_panels(matrices, holding);
    fill_floats(&p.from);
    pack_all(&p);
    assert_panels(&p);
    free_panels(&p);
  }
}

static void f32_panels_hold_every_number(void **state) {
  (void)state;
  every_dtype_in_panels(F32);
}

static void bf16_panels_hold_every_number(void **state) {
  (void)state;
  every_dtype_in_panels(BF16);
}

// { bits of an F32, of the BF16 }
static void f32_are_rounded_to_nearest_even(void **state) {
  static const uint32_t CASES[][2] = {
      {0x3f808000, 0x3f80}, {0x3f808001, 0x3f81}, {0x3f818000, 0x3f82}, {0x3f817fff, 0x3f81},
      {0xbf818000, 0xbf82}, {0x3fffffff, 0x4000}, {0x7f7fffff, 0x7f80}, {0xff7f7fff, 0xff7f},
      {0x7f800000, 0x7f80}, {0xff800000, 0xff80}, {0x00008000, 0x0000}, {0x00008001, 0x0001},
      {0x00018000, 0x0002}, {0x80000000, 0x8000}, {0x807fffff, 0x8080}, {0x007f7fff, 0x007f},
  };
  enum { CASE_COUNT = sizeof CASES / sizeof *CASES };
  const struct matrices matrices = {
      .n = 1, .features = 1, .columns = CASE_COUNT, .dtype = DTYPE_F32};
  (void)state;
  struct packed_panels p = make_panels(matrices, BF16);
  for (size_t i = 0; i < CASE_COUNT; i++)
    memcpy(p.from.data + 4 * i, &CASES[i][0], 4);
  pack_all(&p);
  for (size_t i = 0; i < CASE_COUNT; i++)
    assert_int_equal(bits_at(&p, 0, 0, i), CASES[i][1]);
  free_panels(&p);
}

// The bit that makes the first two a NaN is one that a BF16 does not have.
static void a_nan_stays_a_nan(void **state) {
  static const uint32_t SPECIAL[] = {0x7f800001, 0xff800001, 0x7fc00000, 0x7fffffff, 0xffffffff};
  const struct matrices matrices = {.n = 1, .features = 1, .columns = 5, .dtype = DTYPE_F32};
  (void)state;
  struct packed_panels p = make_panels(matrices, BF16);
  memcpy(p.from.data, SPECIAL, sizeof SPECIAL);
  pack_all(&p);
  for (size_t i = 0; i < 5; i++) {
    assert_int_equal(bits_at(&p, 0, 0, i) & 0x7f80, 0x7f80);
    assert_int_not_equal(bits_at(&p, 0, 0, i) & 0x7f, 0);
  }
  free_panels(&p);
}

// Every BF16 there is, each NaN included.
static void a_bf16_keeps_its_bits(void **state) {
  enum { COLUMNS = 2048, FEATURES = 65536 / COLUMNS };
  (void)state;
  for (int transposed = 0; transposed < 2; transposed++) {
    const struct matrices matrices = {.n = 1,
                                      .features = FEATURES,
                                      .columns = COLUMNS,
                                      .dtype = DTYPE_BF16,
                                      .transposed = transposed};
    struct packed_panels p = make_panels(matrices, BF16);
    for (uint32_t i = 0; i < 65536; i++)
      p.from.data[2 * i] = (uint8_t)i, p.from.data[2 * i + 1] = (uint8_t)(i >> 8);
    pack_all(&p);
    for (size_t feature = 0; feature < FEATURES; feature++)
      for (size_t column = 0; column < COLUMNS; column++)
        assert_int_equal(bits_at(&p, 0, feature, column),
                         transposed ? column * FEATURES + feature : feature * COLUMNS + column);
    free_panels(&p);
  }
}

// ---- MXFP4 ----

static void assert_padding_of_scales(const struct packed_panels *p) {
  const struct matrices *s = &p->from.matrices;
  const size_t groups = s->columns / 32, features = (s->features + 15) / 16 * 16;
  for (size_t m = 0; m < s->n; m++)
    for (size_t feature = s->features; feature < features; feature++)
      for (size_t g = 0; g < groups; g++)
        assert_int_equal(scale_at(p, m, feature, g * 32), 127);
  if (groups % 8 == 0)
    return;
  const struct section last = section_of(p, s->columns - 1);
  for (size_t panel = 0; panel < p->n; panel++) {
    const uint8_t *scales = p->panels + panel * p->bytes + last.lines * 64;
    for (size_t at = last.groups * 16; at < (last.groups + 3) / 4 * 64; at++)
      assert_int_equal(scales[at], 0);
  }
}

static void mxfp4_panels_hold_every_number(void **state) {
  static const size_t MXFP4_SIZES[][3] = {{1, 16, 64},  {1, 1, 32},   {3, 17, 96},   {2, 15, 256},
                                          {4, 40, 288}, {2, 33, 544}, {1, 16, 2880}, {1, 3, 1440}};
  (void)state;
  for (size_t i = 0; i < sizeof MXFP4_SIZES / sizeof *MXFP4_SIZES; i++) {
    const size_t *size = MXFP4_SIZES[i];
    const struct matrices matrices = {
        .n = size[0], .features = size[1], .columns = size[2], .dtype = DTYPE_U8};
    struct packed_panels p = make_panels(matrices, MXFP4);
    fill_codes(&p.from, 254, 29);
    pack_all(&p);
    assert_panels(&p);
    assert_padding_of_scales(&p);
    free_panels(&p);
  }
}

// The scale 255, which is a NaN, included.
static void every_code_in_every_column_with_every_scale(void **state) {
  const struct matrices matrices = {.n = 1, .features = 256, .columns = 64, .dtype = DTYPE_U8};
  (void)state;
  struct packed_panels p = make_panels(matrices, MXFP4);
  for (size_t i = 0; i < numbers_of(&matrices); i += 2) {
    const size_t feature = i / 64, first = (i % 64 + feature) % 16;
    p.from.data[i / 2] = (uint8_t)(first | (first + 1) % 16 << 4);
    p.from.scales[2 * feature] = (uint8_t)feature;
    p.from.scales[2 * feature + 1] = (uint8_t)(255 - feature);
  }
  pack_all(&p);
  for (size_t feature = 0; feature < 256; feature++)
    for (size_t column = 0; column < 64; column++) {
      assert_int_equal(bits_at(&p, 0, feature, column), (column + feature) % 16);
      assert_int_equal(scale_at(&p, 0, feature, column), column < 32 ? feature : 255 - feature);
    }
  free_panels(&p);
}

// ---- all of them ----

static void assert_pieces(struct packed_panels *p) {
  uint8_t *piece = allocate(p->n * p->bytes);
  pack_all(p);
  for (size_t first = 0; first < p->n; first++)
    for (size_t n = 0; first + n <= p->n; n++) {
      memset(piece, GUARD, n * p->bytes + 1);
      pack_panels(p, first, n, piece);
      assert_memory_equal(piece, p->panels + first * p->bytes, n * p->bytes);
      assert_int_equal(piece[n * p->bytes], GUARD);
    }
  free(piece);
}

static void pieces_are_those_of_the_whole(void **state) {
  (void)state;
  for (int i = 0; i < 5; i++) {
    const enum holding holding = i < 4 ? (enum holding)(i / 2) : MXFP4;
    const struct matrices matrices = {.n = 3,
                                      .features = 40,
                                      .columns = holding == MXFP4 ? 288 : 151,
                                      .dtype = holding == MXFP4 ? DTYPE_U8 : DTYPE_BF16,
                                      .transposed = holding != MXFP4 && i % 2 == 1};
    struct packed_panels p = make_panels(matrices, holding);
    if (holding == MXFP4)
      fill_codes(&p.from, 200, 20);
    else
      fill_floats(&p.from);
    assert_pieces(&p);
    free_panels(&p);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(f32_panels_hold_every_number),
      cmocka_unit_test(bf16_panels_hold_every_number),
      cmocka_unit_test(f32_are_rounded_to_nearest_even),
      cmocka_unit_test(a_nan_stays_a_nan),
      cmocka_unit_test(a_bf16_keeps_its_bits),
      cmocka_unit_test(mxfp4_panels_hold_every_number),
      cmocka_unit_test(every_code_in_every_column_with_every_scale),
      cmocka_unit_test(pieces_are_those_of_the_whole),
  };
  return cmocka_run_group_tests_name("panels", tests, NULL, NULL);
}
