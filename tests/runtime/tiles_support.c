#include "tiles_support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static uint32_t draw(uint64_t *state) { // xorshift64* (Vigna 2014)
  *state ^= *state >> 12;
  *state ^= *state << 25;
  *state ^= *state >> 27;
  return (uint32_t)(*state * 0x2545f4914f6cdd1d >> 32);
}

uint8_t *allocate(size_t bytes) {
  uint8_t *at = malloc(bytes + 1);
  assert_non_null(at);
  return at;
}

size_t numbers_of(const struct matrices *matrices) {
  return matrices->n * matrices->features * matrices->columns;
}

struct packed_tiles make_tiles(struct matrices matrices, size_t width) {
  struct packed_tiles t = {.matrices = matrices, .width = width, .state = 88172645463325252};
  t.n = tile_count(&matrices);
  t.tile_bytes = width ? tile_bytes_f16(matrices.columns) : tile_bytes_mxfp4(matrices.columns);
  t.data = allocate(width ? numbers_of(&matrices) * width : numbers_of(&matrices) / 2);
  t.scales = allocate(numbers_of(&matrices) / 32);
  t.tiles = allocate(t.n * t.tile_bytes);
  t.matrices.data = t.data;
  t.matrices.scales = t.scales;
  return t;
}

void free_tiles(struct packed_tiles *t) {
  free(t->data);
  free(t->scales);
  free(t->tiles);
}

void pack_some(const struct packed_tiles *t, size_t first, size_t n, uint8_t *out) {
  if (t->width)
    tiles_pack_f16(&t->matrices, first, n, out);
  else
    tiles_pack_mxfp4(&t->matrices, first, n, out);
}

void pack(struct packed_tiles *t) {
  memset(t->tiles, GUARD, t->n * t->tile_bytes + 1);
  pack_some(t, 0, t->n, t->tiles);
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

// The value of code c of a word, through the f16 that a kernel makes of it.
static double code_value(uint32_t q, int c) {
  const uint32_t mask = 0x8e008e00, back = reversed(q);
  const uint32_t pairs[4] = {q & mask, q << 8 & mask, back & mask, back << 8 & mask};
  return half_value((uint16_t)(pairs[c / 2] >> c % 2 * 16));
}

// ---- what a kernel reads ----

double feature_scale(const uint8_t *tile, size_t feature) {
  return (double)float_value(load_word(tile + 4 * feature));
}

uint16_t tile_half(const uint8_t *tile, size_t feature, size_t column) {
  const size_t p = column % 32 / 8;
  return load_half(tile + 64 + column / 32 * 1024 + (p * 16 + feature) * 16 + column % 8 * 2);
}

double unpacked(const struct packed_tiles *t, size_t matrix, size_t feature, size_t column) {
  const size_t in_matrix = (t->matrices.features + 15) / 16;
  const uint8_t *tile = t->tiles + (matrix * in_matrix + feature / 16) * t->tile_bytes;
  const size_t r = feature % 16, s = column % 64 / 32;
  if (t->width)
    return half_value(tile_half(tile, r, column)) * feature_scale(tile, r);
  const uint8_t *kblock = tile + 64 + column / 64 * 544;
  const size_t p = t->matrices.woven ? column % 8 / 2 : column % 32 / 8;
  const size_t c = t->matrices.woven ? column % 32 / 8 * 2 + column % 2 : column % 8;
  const uint32_t codes = load_word(kblock + (p * 16 + r) * 8 + s * 4);
  const double scale = half_value((uint16_t)(kblock[512 + 2 * r + s] << 8));
  return code_value(codes, (int)c) * scale * feature_scale(tile, r);
}

// The feature of the checkpoint that comes as number `feature` of the tiles.
static size_t feature_in_checkpoint(const struct matrices *matrices, size_t feature) {
  const size_t d = matrices->d_head;
  if (d == 0)
    return feature;
  const size_t head = feature / d, i = feature % d;
  return i % 2 == 0 ? head * d + i / 2 : head * d + (i - 1) / 2 + d / 2;
}

double original(const struct packed_tiles *t, size_t matrix, size_t feature, size_t column) {
  const struct matrices *s = &t->matrices;
  const size_t plain = (matrix * s->features + feature) * s->columns + column;
  const size_t turned = (matrix * s->columns + column) * s->features + feature;
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

static double largest_of_feature(const struct packed_tiles *t, size_t matrix, size_t feature) {
  double largest = 0;
  for (size_t column = 0; column < t->matrices.columns; column++) {
    const double value = fabs(original(t, matrix, feature, column));
    largest = isfinite(value) && value > largest ? value : largest;
  }
  return largest;
}

// Rounds a number as its half does, by the definition of the scale in formats/tiles.h.
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

void assert_number(double got, double want) {
  if (isnan(want))
    assert_true(isnan(got));
  else
    assert_true(got == want && signbit(got) == signbit(want));
}

void assert_tiles(const struct packed_tiles *t) {
  const struct matrices *s = &t->matrices;
  const size_t features = (s->features + 15) / 16 * 16, columns = (s->columns + 63) / 64 * 64;
  for (size_t m = 0; m < s->n; m++)
    for (size_t feature = 0; feature < features; feature++) {
      const uint8_t *tile = t->tiles + (m * (features / 16) + feature / 16) * t->tile_bytes;
      const size_t from = feature < s->features ? feature_in_checkpoint(s, feature) : 0;
      const double largest = feature < s->features ? largest_of_feature(t, m, from) : 0;
      if (feature >= s->features)
        assert_true(feature_scale(tile, feature % 16) == 1);
      for (size_t column = 0; column < columns; column++) {
        double want = 0;
        if (feature < s->features && column < s->columns)
          want = original(t, m, from, column);
        assert_number(unpacked(t, m, feature, column), t->width ? as_half(want, largest) : want);
      }
    }
}

void set_number(struct packed_tiles *t, size_t at, float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  bits = t->width == 2 ? bits >> 16 : bits;
  memcpy(t->data + at * t->width, &bits, t->width);
}

void fill_floats(struct packed_tiles *t) {
  for (size_t i = 0; i < numbers_of(&t->matrices); i++) {
    const double value = ldexp((double)draw(&t->state) - 0x1p31, -31 - (int)(i / 7 % 13));
    if (t->matrices.dtype == DTYPE_F16) {
      const uint16_t half = (uint16_t)(draw(&t->state) & 0xbfff);
      memcpy(t->data + 2 * i, &half, 2);
    } else {
      set_number(t, i, (float)value);
    }
  }
}

void fill_codes(struct packed_tiles *t, uint32_t largest, uint32_t spread) {
  const size_t groups = t->matrices.columns / 32;
  for (size_t i = 0; i < numbers_of(&t->matrices) / 2; i++)
    t->data[i] = (uint8_t)draw(&t->state);
  for (size_t feature = 0; feature < t->matrices.n * t->matrices.features; feature++) {
    const uint32_t top = spread + draw(&t->state) % (largest - spread + 1);
    for (size_t g = 0; g < groups; g++)
      t->scales[feature * groups + g] = (uint8_t)(top - draw(&t->state) % (spread + 1));
    t->scales[feature * groups + draw(&t->state) % groups] = (uint8_t)top;
  }
}
