// Tiles unpacked number by number, as tiles.h describes them and as a device reads them, against
// the numbers that they were packed from.
#include "checkpoint/tiles.h"
#include "checkpoint/weights.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { GUARD = 0xa5 }; // behind everything that is packed

// A source with memory of its own, and its tiles.
struct packed_tiles {
  struct matrices source;
  uint8_t *data, *scales, *tiles;
  size_t width; // bytes of a number; 0: MXFP4
  size_t n, tile_bytes;
  uint64_t state; // of the random numbers
};

static uint32_t draw(uint64_t *state) { // xorshift64* (Vigna 2014)
  *state ^= *state >> 12;
  *state ^= *state << 25;
  *state ^= *state >> 27;
  return (uint32_t)(*state * 0x2545f4914f6cdd1d >> 32);
}

static uint8_t *take(size_t bytes) {
  uint8_t *at = malloc(bytes + 1);
  assert_non_null(at);
  return at;
}

static size_t numbers_of(const struct matrices *source) {
  return source->n * source->features * source->columns;
}

static struct packed_tiles make(struct matrices source, size_t width) {
  struct packed_tiles t = {.source = source, .width = width, .state = 88172645463325252};
  t.n = tile_count(&source);
  t.tile_bytes = width ? tile_bytes_f16(source.columns) : tile_bytes_mxfp4(source.columns);
  t.data = take(width ? numbers_of(&source) * width : numbers_of(&source) / 2);
  t.scales = take(numbers_of(&source) / 32);
  t.tiles = take(t.n * t.tile_bytes);
  t.source.data = t.data;
  t.source.scales = t.scales;
  return t;
}

static void release(struct packed_tiles *t) {
  free(t->data);
  free(t->scales);
  free(t->tiles);
}

static void pack_piece(const struct packed_tiles *t, size_t first, size_t n, uint8_t *out) {
  if (t->width)
    tiles_pack_f16(&t->source, first, n, out);
  else
    tiles_pack_mxfp4(&t->source, first, n, out);
}

static void pack(struct packed_tiles *t) {
  memset(t->tiles, GUARD, t->n * t->tile_bytes + 1);
  pack_piece(t, 0, t->n, t->tiles);
  assert_int_equal(t->tiles[t->n * t->tile_bytes], GUARD);
}

// ---- numbers ----

static double half_value(uint16_t half) {
  const int exponent = half >> 10 & 31, fraction = half & 1023;
  const double sign = half >> 15 ? -1 : 1;
  if (exponent == 31)
    return fraction ? NAN : sign * INFINITY;
  return sign * (exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24));
}

static float float_value(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

static uint16_t load_half(const uint8_t *at) {
  return (uint16_t)(at[0] | at[1] << 8);
}

static uint32_t load_word(const uint8_t *at) {
  return load_half(at) | (uint32_t)load_half(at + 2) << 16;
}

static uint32_t reversed(uint32_t bits) {
  uint32_t back = 0;
  for (int i = 0; i < 32; i++)
    back |= (bits >> i & 1) << (31 - i);
  return back;
}

// Column c of the eight whose codes are in a word, as the device makes an f16 of it.
static double code_value(uint32_t q, int c) {
  const uint32_t mask = 0x8e008e00, back = reversed(q);
  const uint32_t pairs[4] = {q & mask, q << 8 & mask, back & mask, back << 8 & mask};
  return half_value((uint16_t)(pairs[c / 2] >> c % 2 * 16));
}

// ---- places ----

static double row_scale(const uint8_t *tile, size_t row) {
  return (double)float_value(load_word(tile + 4 * row));
}

static uint16_t tile_half(const uint8_t *tile, size_t row, size_t column) {
  const size_t p = column % 32 / 8;
  return load_half(tile + 64 + column / 32 * 1024 + (p * 16 + row) * 16 + column % 8 * 2);
}

// A number of a matrix as a kernel has it in the end, by its row among the rows as stored.
static double unpacked(const struct packed_tiles *t, size_t matrix, size_t row, size_t column) {
  const size_t in_matrix = (t->source.features + 15) / 16;
  const uint8_t *tile = t->tiles + (matrix * in_matrix + row / 16) * t->tile_bytes;
  const size_t r = row % 16, s = column % 64 / 32;
  if (t->width)
    return half_value(tile_half(tile, r, column)) * row_scale(tile, r);
  const uint8_t *kblock = tile + 64 + column / 64 * 544;
  const size_t p = t->source.woven ? column % 8 / 2 : column % 32 / 8;
  const size_t c = t->source.woven ? column % 32 / 8 * 2 + column % 2 : column % 8;
  const uint32_t codes = load_word(kblock + (p * 16 + r) * 8 + s * 4);
  const double scale = half_value((uint16_t)(kblock[512 + 2 * r + s] << 8));
  return code_value(codes, (int)c) * scale * row_scale(tile, r);
}

// Which of the checkpoint's rows is row `row` as stored.
static size_t row_in_checkpoint(const struct matrices *source, size_t row) {
  const size_t d = source->d_head;
  if (d == 0)
    return row;
  const size_t head = row / d, i = row % d;
  return i % 2 == 0 ? head * d + i / 2 : head * d + (i - 1) / 2 + d / 2;
}

// The number at a place of the checkpoint.
static double original(const struct packed_tiles *t, size_t matrix, size_t row, size_t column) {
  const struct matrices *s = &t->source;
  const size_t plain = (matrix * s->features + row) * s->columns + column;
  const size_t turned = (matrix * s->columns + column) * s->features + row;
  const uint8_t *at = t->data + (s->transposed ? turned : plain) * t->width;
  if (t->width == 4)
    return (double)float_value(load_word(at));
  if (t->width == 2)
    return s->dtype == DTYPE_F16 ? half_value(load_half(at))
                                 : (double)float_value((uint32_t)load_half(at) << 16);
  static const double VALUE[8] = {0, 0.5, 1, 1.5, 2, 3, 4, 6};
  const int code = t->data[plain / 2] >> plain % 2 * 4 & 15;
  const double value = ldexp(VALUE[code & 7], t->scales[plain / 32] - 127);
  return code & 8 ? -value : value;
}

static double largest_of_row(const struct packed_tiles *t, size_t matrix, size_t row) {
  double largest = 0;
  for (size_t column = 0; column < t->source.columns; column++) {
    const double value = fabs(original(t, matrix, row, column));
    largest = isfinite(value) && value > largest ? value : largest;
  }
  return largest;
}

// What a half in kblocks of 2^(e - 14) makes of a number, 2^e <= the largest of its row < 2^(e +
// 1).
static double as_half(double value, double largest) {
  int exponent, own;
  if (!isfinite(value) || largest == 0)
    return value;
  frexp(largest, &exponent);
  const double scale = ldexp(1, exponent - 1 - 14 > -126 ? exponent - 1 - 14 : -126);
  frexp(value / scale, &own);
  const double step = ldexp(1, (own - 1 > -14 ? own - 1 : -14) - 10);
  return rint(value / scale / step) * step * scale;
}

static void assert_number(double got, double want) {
  if (isnan(want))
    assert_true(isnan(got));
  else
    assert_true(got == want && signbit(got) == signbit(want));
}

// Every number of a source, and all padding.
static void assert_tiles(const struct packed_tiles *t) {
  const struct matrices *s = &t->source;
  const size_t rows = (s->features + 15) / 16 * 16, columns = (s->columns + 63) / 64 * 64;
  for (size_t m = 0; m < s->n; m++)
    for (size_t row = 0; row < rows; row++) {
      const uint8_t *tile = t->tiles + (m * (rows / 16) + row / 16) * t->tile_bytes;
      const size_t from = row < s->features ? row_in_checkpoint(s, row) : 0;
      const double largest = row < s->features ? largest_of_row(t, m, from) : 0;
      if (row >= s->features)
        assert_true(row_scale(tile, row % 16) == 1);
      for (size_t column = 0; column < columns; column++) {
        double want = 0;
        if (row < s->features && column < s->columns)
          want = original(t, m, from, column);
        assert_number(unpacked(t, m, row, column), t->width ? as_half(want, largest) : want);
      }
    }
}

// ---- F16 ----

static void set_number(struct packed_tiles *t, size_t at, float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  bits = t->width == 2 ? bits >> 16 : bits;
  memcpy(t->data + at * t->width, &bits, t->width);
}

// Numbers of all sizes that weights have: a row's are within about 2^12 of each other, rows differ.
static void fill_floats(struct packed_tiles *t) {
  for (size_t i = 0; i < numbers_of(&t->source); i++) {
    const double value = ldexp((double)draw(&t->state) - 0x1p31, -31 - (int)(i / 7 % 13));
    if (t->source.dtype == DTYPE_F16) {
      const uint16_t half = (uint16_t)(draw(&t->state) & 0xbfff);
      memcpy(t->data + 2 * i, &half, 2);
    } else {
      set_number(t, i, (float)value);
    }
  }
}

static size_t width_of(enum dtype dtype) {
  return dtype == DTYPE_F32 ? 4 : 2;
}

// { matrices, rows, columns }: whole tiles and kblocks, one less, one more, one, several strips.
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
    const struct matrices source = {.n = size[0],
                                    .features = size[1],
                                    .columns = size[2],
                                    .dtype = DTYPES[i % 3],
                                    .transposed = i / 3 % 2 == 1};
    struct packed_tiles t = make(source, width_of(source.dtype));
    assert_int_equal(t.n, size[0] * ((size[1] + 15) / 16));
    assert_int_equal(t.tile_bytes, 64 + (size[2] + 63) / 64 * 64 * 32);
    fill_floats(&t);
    pack(&t);
    assert_tiles(&t);
    release(&t);
  }
}

// A row of 64 BF16 or F32, alone in a tile.
static struct packed_tiles make_row(enum dtype dtype) {
  const struct matrices source = {.n = 1, .features = 1, .columns = 64, .dtype = dtype};
  struct packed_tiles t = make(source, width_of(dtype));
  memset(t.data, 0, 64 * t.width);
  return t;
}

// Halves of a BF16 within 2^28 of the largest are normal: a device may take others for 0.
static void bf16_within_28_binary_places_are_exact_and_normal(void **state) {
  (void)state;
  for (int e = -98; e <= 127; e += 25) {
    struct packed_tiles t = make_row(DTYPE_BF16);
    for (int i = 0; i < 29; i++)
      set_number(&t, (size_t)i, ldexpf((i % 2 ? -1.0f : 1.0f) * (1 + (float)i / 128), e - i));
    pack(&t);
    assert_true(row_scale(t.tiles, 0) == ldexp(1, e - 14));
    for (size_t i = 0; i < 29; i++) {
      assert_true((tile_half(t.tiles, 0, i) & 0x7c00) != 0);
      assert_number(unpacked(&t, 0, 0, i), original(&t, 0, 0, i));
    }
    release(&t);
  }
}

// Beyond that they become subnormal halves, then 0; in rows of tiny numbers, the scale stays
// normal.
static void bf16_beyond_are_rounded(void **state) {
  (void)state;
  for (int e = -133; e <= 127; e += 20) {
    struct packed_tiles t = make_row(DTYPE_BF16);
    for (int i = 0; i < 60 && e - i >= -126; i++)
      set_number(&t, (size_t)i, ldexpf(1 + (float)i / 128, e - i));
    set_number(&t, 60, e < -126 ? 0x1p-133f : 0x1.fep-126f);
    set_number(&t, 61, -0x1p-133f);
    pack(&t);
    assert_tiles(&t);
    assert_true(row_scale(t.tiles, 0) >= 0x1p-126);
    release(&t);
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
  struct packed_tiles t = make_row(DTYPE_F32);
  for (size_t i = 0; i < sizeof NUMBERS / sizeof *NUMBERS; i++)
    set_number(&t, i, NUMBERS[i]);
  pack(&t);
  assert_true(row_scale(t.tiles, 0) == 1);
  assert_tiles(&t);
  release(&t);
  t = make_row(DTYPE_F32);
  set_number(&t, 0, 0x1p-149f);
  set_number(&t, 1, 0x1.fffffep-127f);
  pack(&t);
  assert_true(row_scale(t.tiles, 0) == 0x1p-126);
  assert_tiles(&t);
  release(&t);
}

static void infinities_and_nans_stay_ones(void **state) {
  static const enum dtype DTYPES[] = {DTYPE_BF16, DTYPE_F32};
  (void)state;
  for (int i = 0; i < 2; i++) {
    struct packed_tiles t = make_row(DTYPES[i]);
    set_number(&t, 3, INFINITY);
    set_number(&t, 4, -INFINITY);
    set_number(&t, 5, NAN);
    pack(&t);
    assert_true(row_scale(t.tiles, 0) == 1);
    assert_tiles(&t);
    set_number(&t, 6, 3.0f);
    set_number(&t, 7, 0x1p-20f);
    pack(&t);
    assert_true(row_scale(t.tiles, 0) == 0x1p-13);
    assert_tiles(&t);
    release(&t);
  }
}

static void rows_of_zeros_have_the_scale_1(void **state) {
  (void)state;
  struct packed_tiles t = make_row(DTYPE_BF16);
  set_number(&t, 1, -0.0f);
  pack(&t);
  assert_true(row_scale(t.tiles, 0) == 1);
  assert_tiles(&t);
  release(&t);
}

// ---- MXFP4 ----

// Random codes; scales within `spread` of the row's largest, which is random up to `largest`.
static void fill_codes(struct packed_tiles *t, uint32_t largest, uint32_t spread) {
  const size_t groups = t->source.columns / 32;
  for (size_t i = 0; i < numbers_of(&t->source) / 2; i++)
    t->data[i] = (uint8_t)draw(&t->state);
  for (size_t row = 0; row < t->source.n * t->source.features; row++) {
    const uint32_t top = spread + draw(&t->state) % (largest - spread + 1);
    for (size_t g = 0; g < groups; g++)
      t->scales[row * groups + g] = (uint8_t)(top - draw(&t->state) % (spread + 1));
    t->scales[row * groups + draw(&t->state) % groups] = (uint8_t)top;
  }
}

static void mxfp4_tiles_hold_every_number(void **state) {
  static const size_t MXFP4_SIZES[][3] = {{1, 16, 64},  {1, 1, 32},   {3, 17, 96},  {2, 15, 256},
                                          {4, 40, 288}, {2, 33, 512}, {1, 16, 2880}};
  (void)state;
  for (int i = 0; i < 14; i++) {
    const size_t *size = MXFP4_SIZES[i / 2];
    const struct matrices source = {.n = size[0],
                                    .features = size[1],
                                    .columns = size[2],
                                    .dtype = DTYPE_U8,
                                    .woven = i % 2 == 1};
    struct packed_tiles t = make(source, 0);
    assert_int_equal(t.n, size[0] * ((size[1] + 15) / 16));
    assert_int_equal(t.tile_bytes, 64 + (size[2] + 63) / 64 * 544);
    fill_codes(&t, 254, 29);
    pack(&t);
    assert_tiles(&t);
    release(&t);
  }
}

static void every_code_at_every_place_and_every_scale(void **state) {
  (void)state;
  const struct matrices source = {.n = 1, .features = 255, .columns = 64, .dtype = DTYPE_U8};
  struct packed_tiles t = make(source, 0);
  for (size_t i = 0; i < numbers_of(&source); i += 2) {
    const size_t row = i / 64, column = i % 64, first = (column + row) % 16;
    t.data[i / 2] = (uint8_t)(first | (first + 1) % 16 << 4);
    t.scales[2 * row] = t.scales[2 * row + 1] = (uint8_t)row;
  }
  pack(&t);
  assert_tiles(&t);
  for (size_t row = 0; row < 255; row++)
    assert_true(row_scale(t.tiles + row / 16 * t.tile_bytes, row % 16) == ldexp(1, (int)row - 128));
  release(&t);
}

// A group 2^30 or more below the row's largest scale is zeros.
static void groups_far_below_the_largest_are_zero(void **state) {
  (void)state;
  const struct matrices source = {.n = 1, .features = 1, .columns = 128, .dtype = DTYPE_U8};
  struct packed_tiles t = make(source, 0);
  memset(t.data, 0x77, 64);
  const uint8_t scales[4] = {200, 171, 170, 0};
  memcpy(t.scales, scales, 4);
  pack(&t);
  assert_number(unpacked(&t, 0, 0, 0), 6 * 0x1p73);
  assert_number(unpacked(&t, 0, 0, 63), 6 * 0x1p44);
  assert_number(unpacked(&t, 0, 0, 64), 0);
  assert_number(unpacked(&t, 0, 0, 127), 0);
  release(&t);
}

static void the_scale_255_is_a_nan(void **state) {
  (void)state;
  const struct matrices source = {.n = 1, .features = 2, .columns = 64, .dtype = DTYPE_U8};
  struct packed_tiles t = make(source, 0);
  memset(t.data, 0x12, 64);
  const uint8_t scales[4] = {255, 127, 255, 255};
  memcpy(t.scales, scales, 4);
  pack(&t);
  assert_true(isnan(unpacked(&t, 0, 0, 0)) && isnan(unpacked(&t, 0, 0, 31)));
  assert_number(unpacked(&t, 0, 0, 32), 1);
  assert_number(unpacked(&t, 0, 0, 33), 0.5);
  assert_true(isnan(unpacked(&t, 0, 1, 0)) && isnan(unpacked(&t, 0, 1, 63)));
  release(&t);
}

// ---- both ----

static void rows_of_heads_are_paired(void **state) {
  static const size_t HEADS[][2] = {{1, 64}, {3, 64}, {2, 128}, {3, 8}, {5, 6}, {1, 2}};
  (void)state;
  for (int i = 0; i < 6; i++) {
    const size_t heads = HEADS[i][0], d = HEADS[i][1];
    struct matrices source = {
        .n = 1, .features = heads * d, .columns = 70, .d_head = d, .dtype = DTYPE_BF16};
    struct packed_tiles t = make(source, 2);
    fill_floats(&t);
    pack(&t);
    assert_tiles(&t);
    release(&t);
    source.columns = 96;
    t = make(source, 0);
    fill_codes(&t, 254, 29);
    pack(&t);
    assert_tiles(&t);
    release(&t);
  }
}

static void assert_pieces(struct packed_tiles *t) {
  uint8_t *piece = take(t->n * t->tile_bytes);
  pack(t);
  for (size_t first = 0; first < t->n; first++)
    for (size_t n = 0; first + n <= t->n; n++) {
      memset(piece, GUARD, n * t->tile_bytes + 1);
      pack_piece(t, first, n, piece);
      assert_memory_equal(piece, t->tiles + first * t->tile_bytes, n * t->tile_bytes);
      assert_int_equal(piece[n * t->tile_bytes], GUARD);
    }
  free(piece);
}

static void pieces_are_those_of_the_whole(void **state) {
  struct matrices source = {.n = 3, .features = 40, .columns = 288, .dtype = DTYPE_BF16};
  (void)state;
  struct packed_tiles t = make(source, 2);
  fill_floats(&t);
  assert_pieces(&t);
  t.source.transposed = true;
  assert_pieces(&t);
  t.source.transposed = false;
  t.source.d_head = 20;
  assert_pieces(&t);
  release(&t);
  source.dtype = DTYPE_U8;
  t = make(source, 0);
  fill_codes(&t, 200, 20);
  assert_pieces(&t);
  release(&t);
}

// ---- speed ----

// Bytes of the source in a second of one core.
static double rate(struct packed_tiles *t, size_t bytes) {
  enum { TIMES = 20 };
  pack(t);
  const clock_t began = clock(); // of all threads
  for (int i = 0; i < TIMES; i++)
    pack_piece(t, 0, t->n, t->tiles);
  return TIMES * (double)bytes * CLOCKS_PER_SEC / (double)(clock() - began);
}

// A GPU's link takes 25 to 55 GB/s, and a host has 16 cores or more. The bound leaves room for a
// sanitizer.
static void a_core_packs_gigabytes_a_second(void **state) {
  struct matrices source = {.n = 1, .features = 2048, .columns = 2880, .dtype = DTYPE_BF16};
  (void)state;
  struct packed_tiles t = make(source, 2);
  fill_floats(&t);
  const double bf16 = rate(&t, numbers_of(&source) * 2);
  release(&t);
  source.features = 8192;
  source.dtype = DTYPE_U8;
  t = make(source, 0);
  fill_codes(&t, 130, 9);
  const double mxfp4 = rate(&t, numbers_of(&source) / 32 * 17);
  release(&t);
  print_message("BF16 to tiles %.2f GB/s, MXFP4 %.2f GB/s a core\n", bf16 * 1e-9, mxfp4 * 1e-9);
  assert_true(bf16 > 0.05e9 && mxfp4 > 0.05e9);
}

// ---- as weights ----

static void weights_in_tiles_are_read_by_bytes(void **state) {
  (void)state;
  const struct matrices source = {
      .n = 2, .features = 24, .columns = 72, .dtype = DTYPE_BF16, .transposed = true};
  struct packed_tiles t = make(source, 2);
  fill_floats(&t);
  pack(&t);
  const struct weight_spec row = {
      .form = FORM_TRANSPOSED, .stored = STORED_F16, .layout = LAYOUT_TILES, .shape = {2, 24, 72}};
  const struct tensor tensor = {.data = t.data, .dtype = DTYPE_BF16};
  const struct weight_view view = {&row, &tensor, NULL};
  const size_t granule = weight_granule(&row), bytes = weight_bytes(&row);
  assert_int_equal(granule, t.tile_bytes);
  assert_int_equal(bytes, 4 * granule);
  uint8_t *out = take(bytes);
  for (size_t first = 0; first < bytes; first += granule)
    weight_read(&view, first, granule, out + first);
  assert_memory_equal(out, t.tiles, bytes);
  free(out);
  release(&t);
}

static void packed_weights_in_tiles_have_codes_and_scales(void **state) {
  (void)state;
  const struct matrices source = {.n = 3, .features = 20, .columns = 96, .dtype = DTYPE_U8};
  struct packed_tiles t = make(source, 0);
  fill_codes(&t, 130, 9);
  pack(&t);
  const struct weight_spec row = {
      .form = FORM_MXFP4, .stored = STORED_MXFP4, .layout = LAYOUT_TILES, .shape = {3, 20, 96}};
  const struct tensor codes = {.data = t.data, .dtype = DTYPE_U8};
  const struct tensor scales = {.data = t.scales, .dtype = DTYPE_U8};
  const struct weight_view view = {&row, &codes, &scales};
  assert_int_equal(weight_bytes(&row), t.n * t.tile_bytes);
  uint8_t *out = take(t.n * t.tile_bytes);
  weight_read(&view, 0, t.n * t.tile_bytes, out);
  assert_memory_equal(out, t.tiles, t.n * t.tile_bytes);
  free(out);
  release(&t);
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
  const struct weight_spec row = {
      .form = FORM_PLAIN, .stored = STORED_F32, .layout = LAYOUT_PAIRS, .d_head = D, .shape = {N}};
  const struct tensor tensor = {.data = (const uint8_t *)bits, .dtype = DTYPE_BF16};
  const struct weight_view view = {&row, &tensor, NULL};
  assert_int_equal(weight_bytes(&row), sizeof got);
  assert_int_equal(weight_granule(&row), sizeof *got);
  weight_read(&view, 0, sizeof got, got);
  static const float WANT[D] = {0, 4, 1, 5, 2, 6, 3, 7};
  for (int i = 0; i < N; i++)
    assert_true(got[i] == WANT[i % D] + (float)(i / D * D));
  weight_read(&view, 13 * sizeof *got, sizeof piece, piece);
  assert_memory_equal(piece, got + 13, sizeof piece);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(f16_tiles_hold_every_number),
      cmocka_unit_test(bf16_within_28_binary_places_are_exact_and_normal),
      cmocka_unit_test(bf16_beyond_are_rounded),
      cmocka_unit_test(f32_are_rounded_to_nearest_even),
      cmocka_unit_test(infinities_and_nans_stay_ones),
      cmocka_unit_test(rows_of_zeros_have_the_scale_1),
      cmocka_unit_test(mxfp4_tiles_hold_every_number),
      cmocka_unit_test(every_code_at_every_place_and_every_scale),
      cmocka_unit_test(groups_far_below_the_largest_are_zero),
      cmocka_unit_test(the_scale_255_is_a_nan),
      cmocka_unit_test(rows_of_heads_are_paired),
      cmocka_unit_test(pieces_are_those_of_the_whole),
      cmocka_unit_test(a_core_packs_gigabytes_a_second),
      cmocka_unit_test(weights_in_tiles_are_read_by_bytes),
      cmocka_unit_test(packed_weights_in_tiles_have_codes_and_scales),
      cmocka_unit_test(vectors_are_paired_within_heads),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
