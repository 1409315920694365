// The pack step of weights: from a checkpoint's rows to tiles, at the speed of memory. A tile is
// made a strip of columns at a time in a buffer that stays in the cache; the inner loops move bits
// of 32 columns of a row, which compilers make vector instructions of.
#include "checkpoint/tiles.h"

#include "base/parallel.h"

#include <assert.h>
#include <math.h>
#include <string.h>

enum {
  GROUP = 32,         // columns of an MXFP4 scale, and of a block of halves
  STRIP = 4 * KBLOCK, // columns that are worked on at a time
  STRIP_GROUPS = STRIP / GROUP,
  STRIP_KBLOCKS = STRIP / KBLOCK,
  CODES_OF_GROUP = GROUP / 2,
  MAX_WIDTH = 4, // bytes of a value
  LINE = 64,     // bytes of memory that come together
};

// 32 columns of a tile of halves.
struct f16_block {
  uint16_t halves[4][TILE][8];
};

// 64 columns of a tile of codes.
struct mxfp4_kblock {
  uint32_t codes[4][TILE][2];
  uint8_t scales[TILE][2];
};

static_assert(TILE_HEAD == TILE * sizeof(float), "a scale per feature");
static_assert(F16_KBLOCK_BYTES == KBLOCK / GROUP * sizeof(struct f16_block), "no padding");
static_assert(MXFP4_KBLOCK_BYTES == sizeof(struct mxfp4_kblock), "no padding");

// Compiled for several generations of the x86-64; the loader takes the newest that is there.
#if defined(__x86_64__) && __GNUC__ >= 12
#define EVERY_GENERATION                                                                           \
  __attribute__((flatten, target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define EVERY_GENERATION __attribute__((flatten))
#endif

static size_t divide_up(size_t n, size_t by) {
  return (n + by - 1) / by;
}

static size_t least(size_t a, size_t b) {
  return a < b ? a : b;
}

size_t tile_paired_feature(size_t row, size_t head_dim) {
  const size_t in_head = row % head_dim;
  return row - in_head + in_head / 2 + in_head % 2 * (head_dim / 2);
}

static size_t tiles_of_matrix(const struct tile_source *source) {
  return divide_up(source->features, TILE);
}

size_t tile_count(const struct tile_source *source) {
  return source->matrices * tiles_of_matrix(source);
}

size_t tile_bytes_f16(size_t columns) {
  return TILE_HEAD + divide_up(columns, KBLOCK) * 2 * sizeof(struct f16_block);
}

size_t tile_bytes_mxfp4(size_t columns) {
  return TILE_HEAD + divide_up(columns, KBLOCK) * sizeof(struct mxfp4_kblock);
}

// The rows that a tile holds, counted through all matrices; returns how many, the rest is padding.
static int find_features(const struct tile_source *source, size_t tile, size_t rows[TILE]) {
  const size_t matrix = tile / tiles_of_matrix(source);
  const size_t first = tile % tiles_of_matrix(source) * TILE;
  const size_t n = least(TILE, source->features - first);
  for (size_t i = 0; i < n; i++) {
    const size_t row = first + i;
    rows[i] = matrix * source->features +
              (source->d_head ? tile_paired_feature(row, source->d_head) : row);
  }
  return (int)n;
}

// Memory that will soon be read, or written; any address will do.
static void fetch(const uint8_t *from, size_t bytes) {
  for (size_t at = 0; at < bytes; at += LINE)
    __builtin_prefetch(from + at, 0);
}
static void claim(uint8_t *to, size_t bytes) {
  for (size_t at = 0; at < bytes; at += LINE)
    __builtin_prefetch(to + at, 1);
}

// ---- F16 ----

// A strip of a tile as the checkpoint has it, with zeros beyond its edges: where it is, or a copy.
struct strip {
  const uint8_t *row[TILE];
  uint8_t copy[TILE][STRIP * MAX_WIDTH];
};

// The n rows of a strip from a transposed matrix, where they lie side by side.
static void turn(const struct tile_source *source, size_t row, size_t n, size_t column,
                 size_t columns, struct strip *strip) {
  const size_t width = dtype_bytes(source->dtype), stride = source->features * width;
  const size_t matrix = row / source->features;
  const uint8_t *from =
      source->data + (matrix * source->columns + column) * stride + row % source->features * width;
  for (size_t c = 0; c < columns; c++, from += stride) {
    __builtin_prefetch(from + STRIP * stride);
    for (size_t i = 0; i < n; i++)
      if (width == 2)
        memcpy(strip->copy[i] + 2 * c, from + 2 * i, 2);
      else
        memcpy(strip->copy[i] + 4 * c, from + 4 * i, 4);
  }
}

static void look(const struct tile_source *source, const size_t *rows, int n, size_t column,
                 struct strip *strip) {
  const size_t width = dtype_bytes(source->dtype);
  const size_t columns = column < source->columns ? least(STRIP, source->columns - column) : 0;
  for (int i = 0; i < TILE; i++) {
    const uint8_t *at = source->data + (i < n ? rows[i] * source->columns + column : 0) * width;
    const bool whole = !source->transposed && i < n && columns == STRIP;
    strip->row[i] = whole ? at : strip->copy[i];
    if (whole)
      fetch(at + STRIP * width, STRIP * width);
    else
      memset(strip->copy[i], 0, STRIP * width);
    if (!whole && !source->transposed && i < n)
      memcpy(strip->copy[i], at, columns * width);
  }
  if (source->transposed)
    turn(source, rows[0], (size_t)n, column, columns, strip);
}

enum {
  BF16_INFINITY = 0x7f80,
  F16_TOP = 29, // the exponent, with its bias, of the halves of a row's largest numbers: 2^14
  LOWEST_EXPONENT = 15 // with a float's bias: 2^(15 - 127 - 14) is the smallest normal float
};

// Lane by lane of the groups of a row, without signs.
struct survey {
  int16_t most[GROUP];  // of BF16: the largest finite number
  int16_t below[GROUP]; // of BF16: one less than the smallest but 0; 0 if one is not finite
  int32_t wide[GROUP];  // of other types: the bits of the largest finite float
};

static void survey_bf16(const uint8_t *row, struct survey *survey) {
  for (int g = 0; g < STRIP_GROUPS; g++) {
    int16_t values[GROUP];
    memcpy(values, row + g * sizeof values, sizeof values);
    for (int c = 0; c < GROUP; c++) {
      const int16_t number = values[c] & 0x7fff, most = survey->most[c], below = survey->below[c];
      const int16_t finite = number < BF16_INFINITY ? number : 0;
      const int16_t one_less = number < BF16_INFINITY ? (number - 1) & 0x7fff : 0;
      survey->most[c] = finite > most ? finite : most;
      survey->below[c] = one_less < below ? one_less : below;
    }
  }
}

static void survey_wide(const uint8_t *row, enum dtype dtype, struct survey *survey) {
  for (int g = 0; g < STRIP_GROUPS; g++) {
    float values[GROUP];
    int32_t bits[GROUP];
    dtype_widen(values, row + g * GROUP * dtype_bytes(dtype), dtype, GROUP);
    memcpy(bits, values, sizeof bits);
    for (int c = 0; c < GROUP; c++) {
      const int32_t number = bits[c] & 0x7fffffff, finite = number < 0x7f800000 ? number : 0;
      survey->wide[c] = finite > survey->wide[c] ? finite : survey->wide[c];
    }
  }
}

// What the numbers of a row need.
struct range {
  float scale, inverse;
  bool direct;     // every number is a BF16 and, in kblocks of scale, 0 or a normal half
  uint16_t rebias; // then: what to take off a half whose exponent has a float's bias
};

static struct range range_of(const struct survey *survey, enum dtype dtype) {
  const bool bf16 = dtype == DTYPE_BF16;
  int32_t most = 0, below = 0x7fff;
  for (int c = 0; c < GROUP; c++) {
    const int32_t here = bf16 ? survey->most[c] << 16 : survey->wide[c];
    most = here > most ? here : most;
    below = survey->below[c] < below ? survey->below[c] : below;
  }
  if (most == 0)
    return (struct range){1, 1, bf16 && below > 0, 0};
  const int exponent = most >> 23 > LOWEST_EXPONENT ? most >> 23 : LOWEST_EXPONENT;
  const int smallest = exponent > F16_TOP ? exponent - F16_TOP + 1 : 1;
  return (struct range){
      .scale = ldexpf(1, exponent - 127 - 14),
      .inverse = ldexpf(1, 14 + 127 - exponent),
      .direct = bf16 && below + 1 >= smallest << 7,
      .rebias = (uint16_t)((exponent - F16_TOP) * 1024),
  };
}

static void find_ranges(const struct tile_source *source, const size_t *rows, int n,
                        struct range ranges[TILE]) {
  struct strip strip;
  struct survey surveys[TILE] = {0};
  for (int i = 0; i < TILE; i++)
    memset(surveys[i].below, 0x7f, sizeof surveys[i].below);
  for (size_t column = 0; column < source->columns; column += STRIP) {
    look(source, rows, n, column, &strip);
    for (int i = 0; i < n; i++)
      if (source->dtype == DTYPE_BF16)
        survey_bf16(strip.row[i], &surveys[i]);
      else
        survey_wide(strip.row[i], source->dtype, &surveys[i]);
  }
  for (int i = 0; i < TILE; i++)
    ranges[i] = range_of(&surveys[i], source->dtype);
}

// The half nearest to a number below 2^15, to even in the middle; an infinity or a NaN stays one.
static uint16_t to_half(float value) {
  uint32_t bits, sum;
  memcpy(&bits, &value, sizeof bits);
  const uint32_t sign = bits >> 16 & 0x8000, number = bits & 0x7fffffff;
  const float shifted = fabsf(value) + 0.5f; // its last bit is 2^-24, that of a subnormal half
  memcpy(&sum, &shifted, sizeof sum);
  const uint32_t normal = ((number + 0xfff + (number >> 13 & 1)) >> 13) - (112 << 10);
  const uint32_t finite = number < 0x38800000 ? sum - 0x3f000000 : normal; // 2^-14
  const uint32_t special = number > 0x7f800000 ? 0x7e00 : 0x7c00;
  return (uint16_t)(sign | (number < 0x7f800000 ? finite : special));
}

static void scale_halves(const uint8_t *row, enum dtype dtype, float inverse,
                         uint16_t halves[GROUP]) {
  float values[GROUP];
  dtype_widen(values, row, dtype, GROUP);
  for (int c = 0; c < GROUP; c++)
    halves[c] = to_half(values[c] * inverse);
}

static void move_halves(const uint8_t *row, uint16_t rebias, uint16_t halves[GROUP]) {
  uint16_t values[GROUP];
  memcpy(values, row, sizeof values);
  for (int c = 0; c < GROUP; c++) {
    const uint16_t number = values[c] & 0x7fff, sign = values[c] & 0x8000;
    const uint16_t half = (uint16_t)((number << 3) - rebias);
    halves[c] = sign | (number ? half : 0);
  }
}

static void pack_halves(const uint8_t *row, enum dtype dtype, const struct range *range, int i,
                        struct f16_block *out) {
  for (int g = 0; g < STRIP_GROUPS; g++) {
    const uint8_t *from = row + (size_t)g * GROUP * dtype_bytes(dtype);
    uint16_t halves[GROUP];
    if (range->direct)
      move_halves(from, range->rebias, halves);
    else
      scale_halves(from, dtype, range->inverse, halves);
    for (int p = 0; p < 4; p++)
      memcpy(out[g].halves[p][i], halves + 8 * p, sizeof out->halves[p][i]);
  }
}

EVERY_GENERATION
static void pack_f16(const struct tile_source *source, size_t tile, uint8_t *out) {
  const size_t padded = divide_up(source->columns, KBLOCK) * KBLOCK;
  size_t rows[TILE];
  struct range ranges[TILE];
  struct strip strip;
  struct f16_block blocks[STRIP_GROUPS];
  const int n = find_features(source, tile, rows);
  find_ranges(source, rows, n, ranges);
  for (int i = 0; i < TILE; i++, out += sizeof(float))
    memcpy(out, &ranges[i].scale, sizeof(float));
  for (size_t column = 0; column < padded; column += STRIP) {
    const size_t in_strip = least(STRIP, padded - column) / GROUP;
    claim(out, sizeof blocks);
    look(source, rows, n, column, &strip);
    for (int i = 0; i < TILE; i++)
      pack_halves(strip.row[i], source->dtype, &ranges[i], i, blocks);
    for (size_t b = 0; b < in_strip; b++, out += sizeof *blocks)
      memcpy(out, &blocks[b], sizeof *blocks);
  }
}

void tiles_pack_f16(const struct tile_source *source, size_t first, size_t n, uint8_t *out) {
  const size_t bytes = tile_bytes_f16(source->columns);
  PARALLEL_FOR(n * bytes)
  for (size_t i = 0; i < n; i++)
    pack_f16(source, first + i, out + i * bytes);
}

// ---- MXFP4 ----

// Eight codes, column c in bits 4c..4c+3, in the order of a tile. First the columns go to the bytes
// that they share, one as it is and one reversed: (2, 5), (0, 7), (3, 4), (1, 6); then the bits of
// each byte to their places.
static uint32_t reorder(uint32_t codes) {
  const uint32_t q = (codes & 0x0000000f) << 8 | (codes & 0x000000f0) << 20 |
                     (codes & 0x00000f00) >> 8 | (codes & 0x0f0ff000) << 4 |
                     (codes & 0xf0f00000) >> 16;
  return (q & 0x07070707) << 1 | (q & 0x08080808) << 4 | (q & 0x10101010) << 2 | (q & 0x20202020) |
         (q & 0x40404040) >> 2 | (q & 0x80808080) >> 7;
}

// Byte p of word i becomes byte i of word p.
static void weave(uint32_t word[4]) {
  uint8_t from[4][4], to[4][4];
  memcpy(from, word, sizeof from);
  for (int i = 0; i < 4; i++)
    for (int p = 0; p < 4; p++)
      to[p][i] = from[i][p];
  memcpy(word, to, sizeof to);
}

// A strip of a row to row i of its kblocks.
static void pack_codes(const uint8_t *codes, int i, bool woven, struct mxfp4_kblock *out) {
  uint32_t words[STRIP_KBLOCKS][2][4], *word = words[0][0];
  memcpy(words, codes, sizeof words);
  for (int w = 0; woven && w < STRIP / 8; w += 4)
    weave(word + w);
  for (int w = 0; w < STRIP / 8; w++)
    word[w] = reorder(word[w]);
  for (int u = 0; u < STRIP_KBLOCKS; u++) {
    uint32_t pairs[4][2];
    for (int p = 0; p < 4; p++) {
      pairs[p][0] = words[u][0][p];
      pairs[p][1] = words[u][1][p];
    }
    for (int p = 0; p < 4; p++)
      memcpy(out[u].codes[p][i], pairs[p], sizeof pairs[p]);
  }
}

enum {
  SCALE_NAN = 255, // of e8m0
  F16_NAN = 0x7e,  // upper byte
};

// The same of its scales.
static void pack_scales(const uint8_t *scales, int largest, int i, struct mxfp4_kblock *out) {
  uint8_t bytes[STRIP_KBLOCKS][2];
  for (int u = 0; u < STRIP_KBLOCKS; u++)
    for (int s = 0; s < 2; s++) {
      const int scale = scales[2 * u + s], exponent = 30 + scale - largest;
      const int byte = exponent >= 1 ? exponent << 2 : 0;
      bytes[u][s] = (uint8_t)(scale == SCALE_NAN ? F16_NAN : byte);
    }
  for (int u = 0; u < STRIP_KBLOCKS; u++)
    memcpy(out[u].scales[i], bytes[u], sizeof bytes[u]);
}

// The largest scale of a row; 0 if all are NaN.
static int largest_scale(const uint8_t *scales, size_t n) {
  int largest = 0;
  for (size_t g = 0; g < n; g++) {
    const int scale = scales[g] == SCALE_NAN ? 0 : scales[g];
    largest = scale > largest ? scale : largest;
  }
  return largest;
}

// A strip of a row of `groups`, of which it has n, to row i of its kblocks.
static void pack_strip(const struct tile_source *source, size_t row, size_t group, size_t n,
                       int largest, int i, struct mxfp4_kblock *out) {
  const size_t groups = source->columns / GROUP;
  const uint8_t *codes = source->data + (row * groups + group) * CODES_OF_GROUP;
  const uint8_t *scales = source->scales + row * groups + group;
  uint8_t codes_copy[STRIP_GROUPS * CODES_OF_GROUP] = {0}, scales_copy[STRIP_GROUPS] = {0};
  fetch(codes + TILE * groups * CODES_OF_GROUP, n * CODES_OF_GROUP);
  if (n < STRIP_GROUPS) {
    codes = memcpy(codes_copy, codes, n * CODES_OF_GROUP);
    scales = memcpy(scales_copy, scales, n);
  }
  pack_codes(codes, i, source->woven, out);
  pack_scales(scales, largest, i, out);
  if (n % 2)
    out[n / 2].scales[i][1] = 0;
}

EVERY_GENERATION
static void pack_mxfp4(const struct tile_source *source, size_t tile, uint8_t *out) {
  const size_t groups = source->columns / GROUP;
  size_t rows[TILE];
  int largest[TILE];
  struct mxfp4_kblock kblocks[STRIP_KBLOCKS] = {0};
  const int n = find_features(source, tile, rows);
  for (int i = 0; i < TILE; i++, out += sizeof(float)) {
    largest[i] = i < n ? largest_scale(source->scales + rows[i] * groups, groups) : 128;
    const float scale = ldexpf(1, largest[i] - 128);
    memcpy(out, &scale, sizeof scale);
  }
  for (size_t group = 0; group < groups; group += STRIP_GROUPS) {
    const size_t in_strip = least(STRIP_GROUPS, groups - group);
    claim(out, sizeof kblocks);
    for (int i = 0; i < n; i++)
      pack_strip(source, rows[i], group, in_strip, largest[i], i, kblocks);
    for (size_t u = 0; u < divide_up(in_strip, 2); u++, out += sizeof *kblocks)
      memcpy(out, &kblocks[u], sizeof *kblocks);
  }
}

void tiles_pack_mxfp4(const struct tile_source *source, size_t first, size_t n, uint8_t *out) {
  const size_t bytes = tile_bytes_mxfp4(source->columns);
  PARALLEL_FOR(n * bytes)
  for (size_t i = 0; i < n; i++)
    pack_mxfp4(source, first + i, out + i * bytes);
}
