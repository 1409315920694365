// Packs matrices at the speed of memory. A tile is made one strip of columns at a time, in a buffer
// that stays in the cache. The inner loops work on 32 columns of one feature, which compilers turn
// into vector instructions.
#include "weights/tiles.h"

#include "base/parallel.h"

#include <assert.h>
#include <math.h>
#include <string.h>

enum {
  GROUP = 32,         // columns of a group, which has one MXFP4 scale; also of a block of halves
  STRIP = 4 * KBLOCK, // columns of a strip
  STRIP_GROUPS = STRIP / GROUP,
  STRIP_KBLOCKS = STRIP / KBLOCK,
  GROUP_BYTES = GROUP / 2, // of codes
  MAX_WIDTH = 4,           // bytes of a number
  CACHE_LINE = 64,         // bytes
};

// Half of an F16 kblock: 32 columns.
struct f16_block {
  uint16_t halves[4][TILE][8];
};

struct mxfp4_kblock {
  uint32_t words[4][TILE][2];
  uint8_t scales[TILE][2];
};

static_assert(TILE_HEAD == TILE * sizeof(float), "a scale per feature");
static_assert(F16_KBLOCK_BYTES == KBLOCK / GROUP * sizeof(struct f16_block), "no padding");
static_assert(MXFP4_KBLOCK_BYTES == sizeof(struct mxfp4_kblock), "no padding");

// Compiles a function for several generations of the x86-64. The dynamic linker picks the newest
// that the machine can run.
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

size_t tile_paired_feature(size_t feature, size_t d_head) {
  const size_t in_head = feature % d_head;
  return feature - in_head + in_head / 2 + in_head % 2 * (d_head / 2);
}

static size_t tiles_of_matrix(const struct matrices *matrices) {
  return divide_up(matrices->features, TILE);
}

size_t tile_count(const struct matrices *matrices) {
  return matrices->n * tiles_of_matrix(matrices);
}

size_t tile_bytes_f16(size_t columns) {
  return TILE_HEAD + divide_up(columns, KBLOCK) * F16_KBLOCK_BYTES;
}

size_t tile_bytes_mxfp4(size_t columns) {
  return TILE_HEAD + divide_up(columns, KBLOCK) * MXFP4_KBLOCK_BYTES;
}

// Finds the features of a tile, counted through all matrices of the checkpoint's tensor. Returns
// their number; the rest of the tile is padding.
static int find_features(const struct matrices *matrices, size_t tile, size_t features[TILE]) {
  const size_t matrix = tile / tiles_of_matrix(matrices);
  const size_t first = tile % tiles_of_matrix(matrices) * TILE;
  const size_t n = least(TILE, matrices->features - first);
  const size_t d_head = matrices->d_head;
  for (size_t i = 0; i < n; i++)
    features[i] =
        matrix * matrices->features + (d_head ? tile_paired_feature(first + i, d_head) : first + i);
  return (int)n;
}

// Prefetches memory that will be read, or written. Any address will do.
static void prefetch_read(const uint8_t *from, size_t bytes) {
  for (size_t at = 0; at < bytes; at += CACHE_LINE)
    __builtin_prefetch(from + at, 0);
}
static void prefetch_write(uint8_t *to, size_t bytes) {
  for (size_t at = 0; at < bytes; at += CACHE_LINE)
    __builtin_prefetch(to + at, 1);
}

// ---- F16 ----

// A strip of a tile in the checkpoint's type. Beyond the edges of the matrix it has zeros.
struct strip {
  const uint8_t *numbers[TILE]; // by feature: in the checkpoint, or in `copy`
  uint8_t copy[TILE][STRIP * MAX_WIDTH];
};

// Copies n features of a strip, from `feature` on, out of a transposed matrix, in which they lie
// side by side.
static void copy_transposed(const struct matrices *matrices, size_t feature, size_t n,
                            size_t column, size_t columns, struct strip *strip) {
  const size_t width = dtype_bytes(matrices->dtype), stride = matrices->features * width;
  const size_t matrix = feature / matrices->features;
  const uint8_t *from = matrices->data + (matrix * matrices->columns + column) * stride +
                        feature % matrices->features * width;
  for (size_t c = 0; c < columns; c++, from += stride) {
    __builtin_prefetch(from + STRIP * stride);
    for (size_t i = 0; i < n; i++)
      if (width == 2)
        memcpy(strip->copy[i] + 2 * c, from + 2 * i, 2);
      else
        memcpy(strip->copy[i] + 4 * c, from + 4 * i, 4);
  }
}

static void read_strip(const struct matrices *matrices, const size_t *features, int n,
                       size_t column, struct strip *strip) {
  const size_t width = dtype_bytes(matrices->dtype);
  const size_t columns = column < matrices->columns ? least(STRIP, matrices->columns - column) : 0;
  for (int i = 0; i < TILE; i++) {
    const uint8_t *from =
        matrices->data + (i < n ? features[i] * matrices->columns + column : 0) * width;
    const bool whole = !matrices->transposed && i < n && columns == STRIP;
    strip->numbers[i] = whole ? from : strip->copy[i];
    if (whole)
      prefetch_read(from + STRIP * width, STRIP * width);
    else
      memset(strip->copy[i], 0, STRIP * width);
    if (!whole && !matrices->transposed && i < n)
      memcpy(strip->copy[i], from, columns * width);
  }
  if (matrices->transposed)
    copy_transposed(matrices, features[0], (size_t)n, column, columns, strip);
}

enum {
  BF16_INFINITY = 0x7f80,
  F16_TOP = 29, // biased exponent of the half of a feature's largest number, which is about 2^14
  LOWEST_EXPONENT = 15 // biased as in a float: 2^(15 - 127 - 14) is the smallest normal float
};

// The extremes of a feature's numbers without their signs, for each of the 32 columns of a group.
struct extremes {
  int16_t most[GROUP];  // of BF16: the largest finite number
  int16_t below[GROUP]; // of BF16: one less than the smallest but 0; 0 if one is not finite
  int32_t wide[GROUP];  // of other types: the bits of the largest finite float
};

static void scan_bf16(const uint8_t *numbers, struct extremes *extremes) {
  for (int g = 0; g < STRIP_GROUPS; g++) {
    int16_t values[GROUP];
    memcpy(values, numbers + g * sizeof values, sizeof values);
    for (int c = 0; c < GROUP; c++) {
      const int16_t number = values[c] & 0x7fff;
      const int16_t most = extremes->most[c], below = extremes->below[c];
      const int16_t finite = number < BF16_INFINITY ? number : 0;
      const int16_t one_less = number < BF16_INFINITY ? (number - 1) & 0x7fff : 0;
      extremes->most[c] = finite > most ? finite : most;
      extremes->below[c] = one_less < below ? one_less : below;
    }
  }
}

static void scan_wide(const uint8_t *numbers, enum dtype dtype, struct extremes *extremes) {
  for (int g = 0; g < STRIP_GROUPS; g++) {
    float values[GROUP];
    int32_t bits[GROUP];
    dtype_widen(values, numbers + g * GROUP * dtype_bytes(dtype), dtype, GROUP);
    memcpy(bits, values, sizeof bits);
    for (int c = 0; c < GROUP; c++) {
      const int32_t number = bits[c] & 0x7fffffff, finite = number < 0x7f800000 ? number : 0;
      extremes->wide[c] = finite > extremes->wide[c] ? finite : extremes->wide[c];
    }
  }
}

// How the numbers of a feature become halves.
struct conversion {
  float scale, inverse;
  bool direct; // every number is a BF16 whose half is 0 or normal: its bits can be moved
  uint16_t
      rebias; // for direct ones: what to subtract from a half with the exponent bias of a float
};

static struct conversion choose_conversion(const struct extremes *extremes, enum dtype dtype) {
  const bool bf16 = dtype == DTYPE_BF16;
  int32_t most = 0, below = 0x7fff;
  for (int c = 0; c < GROUP; c++) {
    const int32_t here = bf16 ? extremes->most[c] << 16 : extremes->wide[c];
    most = here > most ? here : most;
    below = extremes->below[c] < below ? extremes->below[c] : below;
  }
  if (most == 0)
    return (struct conversion){1, 1, bf16 && below > 0, 0};
  const int exponent = most >> 23 > LOWEST_EXPONENT ? most >> 23 : LOWEST_EXPONENT;
  const int smallest = exponent > F16_TOP ? exponent - F16_TOP + 1 : 1;
  return (struct conversion){
      .scale = ldexpf(1, exponent - 127 - 14),
      .inverse = ldexpf(1, 14 + 127 - exponent),
      .direct = bf16 && below + 1 >= smallest << 7,
      .rebias = (uint16_t)((exponent - F16_TOP) * 1024),
  };
}

static void choose_conversions(const struct matrices *matrices, const size_t *features, int n,
                               struct conversion conversions[TILE]) {
  struct strip strip;
  struct extremes extremes[TILE] = {0};
  for (int i = 0; i < TILE; i++)
    memset(extremes[i].below, 0x7f, sizeof extremes[i].below);
  for (size_t column = 0; column < matrices->columns; column += STRIP) {
    read_strip(matrices, features, n, column, &strip);
    for (int i = 0; i < n; i++)
      if (matrices->dtype == DTYPE_BF16)
        scan_bf16(strip.numbers[i], &extremes[i]);
      else
        scan_wide(strip.numbers[i], matrices->dtype, &extremes[i]);
  }
  for (int i = 0; i < TILE; i++)
    conversions[i] = choose_conversion(&extremes[i], matrices->dtype);
}

// Rounds a number below 2^15 to a half, to nearest even. An infinity or a NaN stays one.
static uint16_t to_half(float value) {
  uint32_t bits, sum;
  memcpy(&bits, &value, sizeof bits);
  const uint32_t sign = bits >> 16 & 0x8000, number = bits & 0x7fffffff;
  const float shifted = fabsf(value) + 0.5f; // its last bit is 2^-24, as in a subnormal half
  memcpy(&sum, &shifted, sizeof sum);
  const uint32_t normal = ((number + 0xfff + (number >> 13 & 1)) >> 13) - (112 << 10);
  const uint32_t finite = number < 0x38800000 ? sum - 0x3f000000 : normal; // 2^-14
  const uint32_t special = number > 0x7f800000 ? 0x7e00 : 0x7c00;
  return (uint16_t)(sign | (number < 0x7f800000 ? finite : special));
}

static void scale_halves(const uint8_t *numbers, enum dtype dtype, float inverse,
                         uint16_t halves[GROUP]) {
  float values[GROUP];
  dtype_widen(values, numbers, dtype, GROUP);
  for (int c = 0; c < GROUP; c++)
    halves[c] = to_half(values[c] * inverse);
}

static void move_halves(const uint8_t *numbers, uint16_t rebias, uint16_t halves[GROUP]) {
  uint16_t values[GROUP];
  memcpy(values, numbers, sizeof values);
  for (int c = 0; c < GROUP; c++) {
    const uint16_t number = values[c] & 0x7fff, sign = values[c] & 0x8000;
    const uint16_t half = (uint16_t)((number << 3) - rebias);
    halves[c] = sign | (number ? half : 0);
  }
}

// Packs a strip of a feature as feature i of the blocks.
static void pack_halves(const uint8_t *numbers, enum dtype dtype,
                        const struct conversion *conversion, int i, struct f16_block *out) {
  for (int g = 0; g < STRIP_GROUPS; g++) {
    const uint8_t *from = numbers + (size_t)g * GROUP * dtype_bytes(dtype);
    uint16_t halves[GROUP];
    if (conversion->direct)
      move_halves(from, conversion->rebias, halves);
    else
      scale_halves(from, dtype, conversion->inverse, halves);
    for (int p = 0; p < 4; p++)
      memcpy(out[g].halves[p][i], halves + 8 * p, sizeof out->halves[p][i]);
  }
}

EVERY_GENERATION
static void pack_f16(const struct matrices *matrices, size_t tile, uint8_t *out) {
  const size_t padded = divide_up(matrices->columns, KBLOCK) * KBLOCK;
  size_t features[TILE];
  struct conversion conversions[TILE];
  struct strip strip;
  struct f16_block blocks[STRIP_GROUPS];
  const int n = find_features(matrices, tile, features);
  choose_conversions(matrices, features, n, conversions);
  for (int i = 0; i < TILE; i++, out += sizeof(float))
    memcpy(out, &conversions[i].scale, sizeof(float));
  for (size_t column = 0; column < padded; column += STRIP) {
    const size_t in_strip = least(STRIP, padded - column) / GROUP;
    prefetch_write(out, sizeof blocks);
    read_strip(matrices, features, n, column, &strip);
    for (int i = 0; i < TILE; i++)
      pack_halves(strip.numbers[i], matrices->dtype, &conversions[i], i, blocks);
    for (size_t b = 0; b < in_strip; b++, out += sizeof *blocks)
      memcpy(out, &blocks[b], sizeof *blocks);
  }
}

void tiles_pack_f16(const struct matrices *matrices, size_t first, size_t n, uint8_t *out) {
  const size_t bytes = tile_bytes_f16(matrices->columns);
  PARALLEL_FOR(n * bytes)
  for (size_t i = 0; i < n; i++)
    pack_f16(matrices, first + i, out + i * bytes);
}

// ---- MXFP4 ----

// Reorders the bits of eight codes, code c in bits 4c..4c+3, for a word of a tile. Two codes share
// a byte, one as it is and one with its bits reversed: (2, 5), (0, 7), (3, 4), (1, 6). First each
// code moves to its byte, then the bits move within the bytes.
static uint32_t reorder(uint32_t codes) {
  const uint32_t q = (codes & 0x0000000f) << 8 | (codes & 0x000000f0) << 20 |
                     (codes & 0x00000f00) >> 8 | (codes & 0x0f0ff000) << 4 |
                     (codes & 0xf0f00000) >> 16;
  return (q & 0x07070707) << 1 | (q & 0x08080808) << 4 | (q & 0x10101010) << 2 | (q & 0x20202020) |
         (q & 0x40404040) >> 2 | (q & 0x80808080) >> 7;
}

// Transposes the bytes of four words: byte p of word i becomes byte i of word p.
static void weave(uint32_t word[4]) {
  uint8_t from[4][4], to[4][4];
  memcpy(from, word, sizeof from);
  for (int i = 0; i < 4; i++)
    for (int p = 0; p < 4; p++)
      to[p][i] = from[i][p];
  memcpy(word, to, sizeof to);
}

// Packs the codes of a strip of a feature as feature i of the kblocks.
static void pack_codes(const uint8_t *codes, int i, bool woven, struct mxfp4_kblock *out) {
  uint32_t words[STRIP_KBLOCKS][2][4], *word = words[0][0];
  memcpy(words, codes, sizeof words);
  for (int w = 0; woven && w < STRIP / 8; w += 4)
    weave(word + w);
  for (int w = 0; w < STRIP / 8; w++)
    word[w] = reorder(word[w]);
  for (int b = 0; b < STRIP_KBLOCKS; b++) {
    uint32_t pairs[4][2];
    for (int p = 0; p < 4; p++) {
      pairs[p][0] = words[b][0][p];
      pairs[p][1] = words[b][1][p];
    }
    for (int p = 0; p < 4; p++)
      memcpy(out[b].words[p][i], pairs[p], sizeof pairs[p]);
  }
}

enum {
  SCALE_NAN = 255, // as a checkpoint's scale, which is an e8m0
  F16_NAN = 0x7e,  // the upper byte
};

// Packs the scales of a strip of a feature as feature i of the kblocks.
static void pack_scales(const uint8_t *scales, int largest, int i, struct mxfp4_kblock *out) {
  uint8_t bytes[STRIP_KBLOCKS][2];
  for (int b = 0; b < STRIP_KBLOCKS; b++)
    for (int s = 0; s < 2; s++) {
      const int scale = scales[2 * b + s], exponent = 30 + scale - largest;
      const int byte = exponent >= 1 ? exponent << 2 : 0;
      bytes[b][s] = (uint8_t)(scale == SCALE_NAN ? F16_NAN : byte);
    }
  for (int b = 0; b < STRIP_KBLOCKS; b++)
    memcpy(out[b].scales[i], bytes[b], sizeof bytes[b]);
}

// The largest of n scales; 0 if all are NaN.
static int largest_scale(const uint8_t *scales, size_t n) {
  int largest = 0;
  for (size_t g = 0; g < n; g++) {
    const int scale = scales[g] == SCALE_NAN ? 0 : scales[g];
    largest = scale > largest ? scale : largest;
  }
  return largest;
}

// Packs n groups of a feature, from `group` on, as feature i of the kblocks of a strip.
static void pack_groups(const struct matrices *matrices, size_t feature, size_t group, size_t n,
                        int largest, int i, struct mxfp4_kblock *out) {
  const size_t groups = matrices->columns / GROUP;
  const uint8_t *codes = matrices->data + (feature * groups + group) * GROUP_BYTES;
  const uint8_t *scales = matrices->scales + feature * groups + group;
  uint8_t codes_copy[STRIP_GROUPS * GROUP_BYTES] = {0}, scales_copy[STRIP_GROUPS] = {0};
  prefetch_read(codes + TILE * groups * GROUP_BYTES, n * GROUP_BYTES);
  if (n < STRIP_GROUPS) {
    codes = memcpy(codes_copy, codes, n * GROUP_BYTES);
    scales = memcpy(scales_copy, scales, n);
  }
  pack_codes(codes, i, matrices->woven, out);
  pack_scales(scales, largest, i, out);
  if (n % 2)
    out[n / 2].scales[i][1] = 0;
}

EVERY_GENERATION
static void pack_mxfp4(const struct matrices *matrices, size_t tile, uint8_t *out) {
  const size_t groups = matrices->columns / GROUP;
  size_t features[TILE];
  int largest[TILE];
  struct mxfp4_kblock kblocks[STRIP_KBLOCKS] = {0};
  const int n = find_features(matrices, tile, features);
  for (int i = 0; i < TILE; i++, out += sizeof(float)) {
    largest[i] = i < n ? largest_scale(matrices->scales + features[i] * groups, groups) : 128;
    const float scale = ldexpf(1, largest[i] - 128);
    memcpy(out, &scale, sizeof scale);
  }
  for (size_t group = 0; group < groups; group += STRIP_GROUPS) {
    const size_t in_strip = least(STRIP_GROUPS, groups - group);
    prefetch_write(out, sizeof kblocks);
    for (int i = 0; i < n; i++)
      pack_groups(matrices, features[i], group, in_strip, largest[i], i, kblocks);
    for (size_t b = 0; b < divide_up(in_strip, 2); b++, out += sizeof *kblocks)
      memcpy(out, &kblocks[b], sizeof *kblocks);
  }
}

void tiles_pack_mxfp4(const struct matrices *matrices, size_t first, size_t n, uint8_t *out) {
  const size_t bytes = tile_bytes_mxfp4(matrices->columns);
  PARALLEL_FOR(n * bytes)
  for (size_t i = 0; i < n; i++)
    pack_mxfp4(matrices, first + i, out + i * bytes);
}
