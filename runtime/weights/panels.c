// Packs matrices at the speed of memory. A panel is made one strip of columns at a time: words of 4
// bytes, side by side in a feature, are transposed in blocks of 4 x 4. A word is a float, two BF16
// or eight codes of MXFP4.
#include "weights/panels.h"

#include "base/parallel.h"

#include <string.h>

enum {
  WORD = 4,                        // bytes
  BLOCK = 4,                       // words and features that are transposed together
  STRIP_WORDS = 64,                // of a feature
  STRIP_NUMBERS = STRIP_WORDS * 2, // at most: BF16
  STRIP_BYTES = STRIP_WORDS * WORD,
  PADDING_SCALE = 127, // 2^0
};

static size_t divide_up(size_t n, size_t by) {
  return (n + by - 1) / by;
}

static size_t least(size_t a, size_t b) {
  return a < b ? a : b;
}

static size_t panels_of_matrix(const struct matrices *matrices) {
  return divide_up(matrices->features, PANEL);
}

size_t panel_count(const struct matrices *matrices) {
  return matrices->n * panels_of_matrix(matrices);
}

// The features of a panel: `first`, counted through all matrices, and the `n - 1` after it. The
// rest of the panel is padding.
struct features {
  size_t first, n;
};

static struct features features_of(const struct matrices *matrices, size_t panel) {
  const size_t matrix = panel / panels_of_matrix(matrices);
  const size_t first = panel % panels_of_matrix(matrices) * PANEL;
  return (struct features){matrix * matrices->features + first,
                           least(PANEL, matrices->features - first)};
}

// ---- words ----

// Words of a strip. A feature lies in the checkpoint, or in `copy`.
struct strip {
  const uint8_t *words[PANEL]; // (whole blocks) by feature
  uint8_t copy[PANEL][STRIP_BYTES];
};

// Makes zeros of all features but the first n.
static void pad(struct strip *strip, size_t n) {
  static const uint8_t ZEROS[STRIP_BYTES];
  for (; n < PANEL; n++)
    strip->words[n] = ZEROS;
}

typedef uint32_t block_row __attribute__((vector_size(BLOCK * WORD)));

static block_row zip_low(block_row a, block_row b) {
  return (block_row){a[0], b[0], a[1], b[1]};
}

static block_row zip_high(block_row a, block_row b) {
  return (block_row){a[2], b[2], a[3], b[3]};
}

// to[word][feature] = the word after `at` of four features.
static void transpose_block(const uint8_t *const features[BLOCK], size_t at, uint32_t to[][PANEL]) {
  block_row a, b, c, d;
  memcpy(&a, features[0] + at, sizeof a);
  memcpy(&b, features[1] + at, sizeof b);
  memcpy(&c, features[2] + at, sizeof c);
  memcpy(&d, features[3] + at, sizeof d);
  const block_row ac_low = zip_low(a, c), ac_high = zip_high(a, c);
  const block_row bd_low = zip_low(b, d), bd_high = zip_high(b, d);
  const block_row rows[BLOCK] = {zip_low(ac_low, bd_low), zip_high(ac_low, bd_low),
                                 zip_low(ac_high, bd_high), zip_high(ac_high, bd_high)};
  for (int w = 0; w < BLOCK; w++)
    memcpy(to[w], &rows[w], sizeof rows[w]);
}

// Writes out[word][feature] of a strip of so many words.
static void transpose(const struct strip *strip, size_t words, uint8_t *out) {
  for (size_t w = 0; w < words; w += BLOCK) {
    uint32_t rows[BLOCK][PANEL];
    for (size_t i = 0; i < PANEL; i += BLOCK)
      transpose_block(strip->words + i, w * WORD, (uint32_t(*)[PANEL]) & rows[0][i]);
    memcpy(out + w * sizeof *rows, rows, least(BLOCK, words - w) * sizeof *rows);
  }
}

// ---- numbers ----

// Writes n numbers of the checkpoint as panels hold them.
static void convert(const uint8_t *numbers, enum dtype dtype, size_t n, enum dtype to,
                    uint8_t *out) {
  float values[STRIP_NUMBERS];
  uint16_t halves[STRIP_NUMBERS];
  if (dtype == to) {
    memcpy(out, numbers, n * dtype_bytes(to));
    return;
  }
  dtype_widen(values, numbers, dtype, n);
  if (to == DTYPE_F32) {
    memcpy(out, values, n * sizeof *values);
    return;
  }
  dtype_round_bf16(halves, values, n);
  memcpy(out, halves, n * sizeof *halves);
}

// Copies columns [column, column + n) of features that lie side by side, in a transposed matrix,
// and converts them.
static void copy_transposed(const struct matrices *matrices, struct features features,
                            size_t column, size_t n, enum dtype to, struct strip *strip) {
  const size_t width = dtype_bytes(matrices->dtype), stride = matrices->features * width;
  const size_t matrix = features.first / matrices->features;
  const uint8_t *from = matrices->data + (matrix * matrices->columns + column) * stride +
                        features.first % matrices->features * width;
  uint8_t numbers[PANEL][STRIP_NUMBERS * WORD];
  for (size_t c = 0; c < n; c++, from += stride)
    for (size_t i = 0; i < features.n; i++)
      if (width == 2)
        memcpy(numbers[i] + 2 * c, from + 2 * i, 2);
      else
        memcpy(numbers[i] + 4 * c, from + 4 * i, 4);
  for (size_t i = 0; i < features.n; i++)
    convert(numbers[i], matrices->dtype, n, to, strip->copy[i]);
}

// Reads columns [column, column + n) of the features. What the checkpoint has as whole blocks stays
// where it is.
static void read_strip(const struct matrices *matrices, struct features features, size_t column,
                       size_t n, enum dtype to, struct strip *strip) {
  const size_t width = dtype_bytes(matrices->dtype), stride = matrices->columns * width;
  const bool direct =
      matrices->dtype == to && !matrices->transposed && n * width % (BLOCK * WORD) == 0;
  const uint8_t *from = matrices->data + features.first * stride + column * width;
  if (!direct)
    memset(strip->copy, 0, sizeof strip->copy);
  for (size_t i = 0; i < features.n; i++) {
    strip->words[i] = direct ? from + i * stride : strip->copy[i];
    if (!direct && !matrices->transposed)
      convert(from + i * stride, matrices->dtype, n, to, strip->copy[i]);
  }
  if (matrices->transposed)
    copy_transposed(matrices, features, column, n, to, strip);
}

static void pack_numbers(const struct matrices *matrices, size_t panel, enum dtype to,
                         uint8_t *out) {
  const struct features features = features_of(matrices, panel);
  const size_t width = dtype_bytes(to), in_strip = STRIP_BYTES / width;
  struct strip strip;
  pad(&strip, features.n);
  for (size_t column = 0; column < matrices->columns; column += in_strip) {
    const size_t n = least(in_strip, matrices->columns - column);
    read_strip(matrices, features, column, n, to, &strip);
    transpose(&strip, divide_up(n * width, WORD), out + column * width * PANEL);
  }
}

// ---- MXFP4 ----

static void pack_codes(const struct matrices *matrices, struct features features, uint8_t *out) {
  const size_t bytes = matrices->columns / 2; // of a feature
  const uint8_t *codes = matrices->data + features.first * bytes;
  struct strip strip;
  pad(&strip, features.n);
  for (size_t at = 0; at < bytes; at += STRIP_BYTES) {
    for (size_t i = 0; i < features.n; i++)
      strip.words[i] = codes + i * bytes + at;
    transpose(&strip, least(STRIP_BYTES, bytes - at) / WORD, out + at * PANEL);
  }
}

static void pack_scales(const struct matrices *matrices, struct features features, uint8_t *out) {
  const size_t groups = matrices->columns / PANEL_GROUP;
  const uint8_t *scales = matrices->scales + features.first * groups;
  for (size_t g = 0; g < groups; g++, out += PANEL)
    for (size_t i = 0; i < PANEL; i++)
      out[i] = i < features.n ? scales[i * groups + g] : PADDING_SCALE;
  memset(out, 0, divide_up(groups * PANEL, PANEL_ALIGN) * PANEL_ALIGN - groups * PANEL);
}

static void pack_mxfp4(const struct matrices *matrices, size_t panel, uint8_t *out) {
  const struct features features = features_of(matrices, panel);
  pack_codes(matrices, features, out);
  pack_scales(matrices, features, out + PANEL_WORD_BYTES(matrices->columns));
}

// ---- any panel ----

// What panels hold: numbers, or MXFP4.
struct packing {
  const struct matrices *matrices;
  size_t panel_bytes;
  enum dtype dtype; // DTYPE_U8: MXFP4
};

static void pack_panel(const struct packing *packing, size_t panel, uint8_t *out) {
  if (packing->dtype == DTYPE_U8)
    pack_mxfp4(packing->matrices, panel, out);
  else
    pack_numbers(packing->matrices, panel, packing->dtype, out);
}

// Goes matrix by matrix: the threads divide each, as they do when they multiply with it.
static void pack(const struct packing *packing, size_t first, size_t n, uint8_t *out) {
  const size_t in_matrix = panels_of_matrix(packing->matrices), bytes = packing->panel_bytes;
  while (n > 0) {
    const size_t now = least(n, in_matrix - first % in_matrix);
    PARALLEL_FOR(now * bytes)
    for (size_t i = 0; i < now; i++)
      pack_panel(packing, first + i, out + i * bytes);
    first += now, n -= now, out += now * bytes;
  }
}

void panels_pack_f32(const struct matrices *matrices, size_t first, size_t n, uint8_t *out) {
  const struct packing packing = {matrices, PANEL_BYTES_F32(matrices->columns), DTYPE_F32};
  pack(&packing, first, n, out);
}

void panels_pack_bf16(const struct matrices *matrices, size_t first, size_t n, uint8_t *out) {
  const struct packing packing = {matrices, PANEL_BYTES_BF16(matrices->columns), DTYPE_BF16};
  pack(&packing, first, n, out);
}

void panels_pack_mxfp4(const struct matrices *matrices, size_t first, size_t n, uint8_t *out) {
  const struct packing packing = {matrices, PANEL_BYTES_MXFP4(matrices->columns), DTYPE_U8};
  pack(&packing, first, n, out);
}
