// Packs matrices at the speed of memory. A panel is made one strip of columns at a time: words of 4
// bytes, side by side in a feature, are transposed in blocks of 4 x 4.
#include "weights/panels.h"

#include "base/pages.h"
#include "base/parallel.h"

#include <stdlib.h>
#include <string.h>

enum {
  WORD = 4,                        // bytes
  BLOCK = 4,                       // words and features that are transposed together
  STRIP_WORDS = 64,                // of a feature
  STRIP_NUMBERS = STRIP_WORDS * 2, // at most: BF16
  STRIP_BYTES = STRIP_WORDS * WORD,
  CACHE_LINE = 64,             // bytes, a word of each feature of a panel
  BUFFER_BYTES = 1 << 18,      // a thread reads so much of a file at a time
  PADDING_SCALES = 0x7f7f7f7f, // 127 four times
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

// Features of a matrix, as the checkpoint has them.
struct features {
  size_t n;
  const uint8_t *data;   // (n, columns) numbers or codes; in a transposed matrix their first column
  const uint8_t *scales; // (n, columns / 32) for MXFP4
};

static bool has_codes(const struct matrices *matrices) {
  return matrices->dtype == DTYPE_U8;
}

// Bytes of the numbers or codes of a feature, and of its scales.
static size_t feature_bytes(const struct matrices *matrices) {
  return has_codes(matrices) ? matrices->columns / 2
                             : matrices->columns * dtype_bytes(matrices->dtype);
}
static size_t scale_bytes(const struct matrices *matrices) {
  return has_codes(matrices) ? matrices->columns / PANEL_GROUP : 0;
}

// Features [first, first + n) of some.
static struct features part_of(const struct matrices *matrices, const struct features *features,
                               size_t first, size_t n) {
  const size_t between =
      matrices->transposed ? dtype_bytes(matrices->dtype) : feature_bytes(matrices);
  return (struct features){n, features->data + first * between,
                           features->scales + first * scale_bytes(matrices)};
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

// Prefetches a sixteenth of the strip after this one: a cache line of every fourth feature.
static void prefetch_next(const struct strip *strip, size_t block) {
  for (size_t i = block % BLOCK; i < PANEL; i += BLOCK)
    __builtin_prefetch(strip->words[i] + STRIP_BYTES + block / BLOCK * CACHE_LINE);
}

// How the words of a panel are ordered.
struct order {
  size_t groups;      // whole ones of a panel
  size_t group_words; // of a feature
  bool has_scales;
};

static struct order order_of(size_t columns, size_t word_columns, bool has_scales) {
  return (struct order){columns / PANEL_GROUP, PANEL_GROUP / word_columns, has_scales};
}

// A section, or the words after the last whole group.
struct section {
  size_t first, groups;  // group
  size_t scales, offset; // in the panel
};

static struct section section_of(const struct order *order, size_t group) {
  const size_t first = group / PANEL_SECTION * PANEL_SECTION;
  const size_t scales = first * (order->group_words * CACHE_LINE + (order->has_scales ? PANEL : 0));
  const size_t groups = least(PANEL_SECTION, order->groups - first);
  return (struct section){first, groups, scales,
                          scales + (order->has_scales ? PANEL_SCALE_BYTES(groups) : 0)};
}

// Where a word lies in a panel, and the bytes from it to the next one of its group.
static uint8_t *word_address(const struct order *order, size_t word, uint8_t *panel,
                             size_t *stride) {
  const size_t group = word / order->group_words;
  *stride = CACHE_LINE;
  if (group >= order->groups)
    return panel + word * CACHE_LINE;
  const struct section section = section_of(order, group);
  *stride *= section.groups;
  return panel + section.offset + word % order->group_words * *stride +
         (group - section.first) * CACHE_LINE;
}

// Writes the words of a strip to their panel; the first is word `first` of it.
static void transpose(const struct strip *strip, const struct order *order, size_t first,
                      size_t words, uint8_t *panel) {
  for (size_t w = 0; w < words; w += BLOCK) {
    uint32_t rows[BLOCK][PANEL];
    size_t stride;
    uint8_t *to = word_address(order, first + w, panel, &stride);
    prefetch_next(strip, w / BLOCK);
    for (size_t i = 0; i < PANEL; i += BLOCK)
      transpose_block(strip->words + i, w * WORD, (uint32_t(*)[PANEL]) & rows[0][i]);
    for (size_t i = 0; i < least(BLOCK, words - w); i++)
      memcpy(to + i * stride, rows[i], sizeof rows[i]);
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
static void copy_transposed(const struct matrices *matrices, const struct features *features,
                            size_t column, size_t n, enum dtype to, struct strip *strip) {
  const size_t width = dtype_bytes(matrices->dtype), stride = matrices->features * width;
  const uint8_t *from = features->data + column * stride;
  uint8_t numbers[PANEL][STRIP_NUMBERS * WORD];
  for (size_t c = 0; c < n; c++, from += stride)
    for (size_t i = 0; i < features->n; i++)
      if (width == 2)
        memcpy(numbers[i] + 2 * c, from + 2 * i, 2);
      else
        memcpy(numbers[i] + 4 * c, from + 4 * i, 4);
  for (size_t i = 0; i < features->n; i++)
    convert(numbers[i], matrices->dtype, n, to, strip->copy[i]);
}

// Reads columns [column, column + n) of the features. What is there as whole blocks stays where it
// is.
static void read_strip(const struct matrices *matrices, const struct features *features,
                       size_t column, size_t n, enum dtype to, struct strip *strip) {
  const size_t width = dtype_bytes(matrices->dtype), stride = matrices->columns * width;
  const bool direct =
      matrices->dtype == to && !matrices->transposed && n * width % (BLOCK * WORD) == 0;
  const uint8_t *from = features->data + column * width;
  if (!direct)
    memset(strip->copy, 0, sizeof strip->copy);
  for (size_t i = 0; i < features->n; i++) {
    strip->words[i] = direct ? from + i * stride : strip->copy[i];
    if (!direct && !matrices->transposed)
      convert(from + i * stride, matrices->dtype, n, to, strip->copy[i]);
  }
  if (matrices->transposed)
    copy_transposed(matrices, features, column, n, to, strip);
}

static void pack_numbers(const struct matrices *matrices, const struct features *features,
                         enum dtype to, uint8_t *out) {
  const size_t width = dtype_bytes(to), in_strip = STRIP_BYTES / width;
  const struct order order = order_of(matrices->columns, WORD / width, false);
  struct strip strip;
  pad(&strip, features->n);
  for (size_t column = 0; column < matrices->columns; column += in_strip) {
    const size_t n = least(in_strip, matrices->columns - column);
    read_strip(matrices, features, column, n, to, &strip);
    transpose(&strip, &order, column * width / WORD, divide_up(n * width, WORD), out);
  }
}

// ---- MXFP4 ----

static void pack_codes(const struct order *order, const struct features *features, uint8_t *out) {
  const size_t bytes = order->groups * PANEL_GROUP / 2; // of a feature
  struct strip strip;
  pad(&strip, features->n);
  for (size_t at = 0; at < bytes; at += STRIP_BYTES) {
    for (size_t i = 0; i < features->n; i++)
      strip.words[i] = features->data + i * bytes + at;
    transpose(&strip, order, at / WORD, least(STRIP_BYTES, bytes - at) / WORD, out);
  }
}

// The scales of n groups: four are a word of each feature, and byte g of the words is that of the
// group g.
static void pack_four_scales(size_t groups, const struct features *features, size_t first, size_t n,
                             uint8_t *out) {
  uint32_t words[PANEL];
  for (size_t i = features->n; i < PANEL; i++)
    words[i] = PADDING_SCALES;
  for (size_t i = 0; i < features->n; i++)
    if (n == WORD)
      memcpy(&words[i], features->scales + i * groups + first, WORD);
    else
      memcpy(&words[i], features->scales + i * groups + first, n);
  for (size_t g = 0; g < n; g++, out += PANEL)
    for (size_t i = 0; i < PANEL; i++)
      out[i] = (uint8_t)(words[i] >> 8 * g);
}

static void pack_scales(const struct order *order, const struct features *features, uint8_t *out) {
  for (size_t first = 0; first < order->groups; first += PANEL_SECTION) {
    const struct section section = section_of(order, first);
    uint8_t *to = out + section.scales, *end = out + section.offset;
    for (size_t g = 0; g < section.groups; g += WORD) {
      const size_t n = least(WORD, section.groups - g);
      pack_four_scales(order->groups, features, first + g, n, to);
      to += n * PANEL;
    }
    memset(to, 0, (size_t)(end - to));
  }
}

// ---- any panel ----

// What is packed, and what its panels hold.
struct packing {
  const struct matrices *matrices;
  enum dtype to; // DTYPE_U8: MXFP4
  size_t panel_bytes;
};

static void pack_panel(const struct packing *packing, const struct features *features,
                       uint8_t *out) {
  const size_t columns = packing->matrices->columns;
  if (packing->to != DTYPE_U8) {
    pack_numbers(packing->matrices, features, packing->to, out);
    return;
  }
  const struct order order = order_of(columns, 8, true);
  pack_codes(&order, features, out);
  pack_scales(&order, features, out);
}

// Packs all panels of some features.
static void pack_features(const struct packing *packing, const struct features *features,
                          uint8_t *out) {
  for (size_t i = 0; i < features->n; i += PANEL, out += packing->panel_bytes) {
    const size_t n = least(PANEL, features->n - i);
    const struct features of_panel = part_of(packing->matrices, features, i, n);
    pack_panel(packing, &of_panel, out);
  }
}

// Reads features from their file to a buffer.
static void read_features(const struct matrices *matrices, struct features *features,
                          uint8_t *buffer) {
  const size_t bytes = features->n * feature_bytes(matrices);
  pages_read(buffer, features->data, bytes);
  features->data = buffer;
  if (!has_codes(matrices))
    return;
  pages_read(buffer + bytes, features->scales, features->n * scale_bytes(matrices));
  features->scales = buffer + bytes;
}

// Packs panels [first, end) of a matrix. Without a buffer, it reads the map.
static void pack_range(const struct packing *packing, const struct features *matrix, size_t first,
                       size_t end, uint8_t *out) {
  const struct matrices *matrices = packing->matrices;
  const size_t bytes = PANEL * (feature_bytes(matrices) + scale_bytes(matrices)); // of a panel
  const size_t step = bytes < BUFFER_BYTES ? BUFFER_BYTES / bytes : 1;
  uint8_t *buffer = matrices->transposed ? NULL : malloc(step * bytes);
  for (; first < end; first += step, out += step * packing->panel_bytes) {
    const size_t n = least(least(step, end - first) * PANEL, matrix->n - first * PANEL);
    struct features features = part_of(matrices, matrix, first * PANEL, n);
    if (buffer)
      read_features(matrices, &features, buffer);
    pack_features(packing, &features, out);
  }
  free(buffer);
}

// Packs panels [first, first + n) of a matrix. Each thread takes one range of them.
static void pack_matrix(const struct packing *packing, size_t matrix, size_t first, size_t n,
                        uint8_t *out) {
  const struct matrices *matrices = packing->matrices;
  const size_t threads = parallel_threads(), before = matrix * matrices->features;
  const size_t bytes = matrices->features * feature_bytes(matrices);
  const struct features whole = {matrices->features,
                                 matrices->data + before * feature_bytes(matrices),
                                 matrices->scales + before * scale_bytes(matrices)};
  if (matrices->transposed)
    pages_populate(whole.data, bytes);
  PARALLEL_FOR(n * packing->panel_bytes)
  for (size_t t = 0; t < threads; t++) {
    const size_t begin = n * t / threads, end = n * (t + 1) / threads;
    pack_range(packing, &whole, first + begin, first + end, out + begin * packing->panel_bytes);
  }
  if (matrices->transposed)
    pages_release(whole.data, bytes);
}

static void pack(const struct packing *packing, size_t first, size_t n, uint8_t *out) {
  const size_t in_matrix = panels_of_matrix(packing->matrices);
  while (n > 0) {
    const size_t now = least(n, in_matrix - first % in_matrix);
    pack_matrix(packing, first / in_matrix, first % in_matrix, now, out);
    first += now, n -= now, out += now * packing->panel_bytes;
  }
}

void panels_pack_f32(const struct matrices *matrices, size_t first, size_t n, uint8_t *out) {
  pack(&(struct packing){matrices, DTYPE_F32, PANEL_BYTES_F32(matrices->columns)}, first, n, out);
}

void panels_pack_bf16(const struct matrices *matrices, size_t first, size_t n, uint8_t *out) {
  pack(&(struct packing){matrices, DTYPE_BF16, PANEL_BYTES_BF16(matrices->columns)}, first, n, out);
}

void panels_pack_mxfp4(const struct matrices *matrices, size_t first, size_t n, uint8_t *out) {
  pack(&(struct packing){matrices, DTYPE_U8, PANEL_BYTES_MXFP4(matrices->columns)}, first, n, out);
}
