// Products of a few rows and a panel of weights (formats/panels.h).
//
// Each sum has one order, whatever the machine, the rows or the threads: the columns of a group of
// 32 are added one after the other, and so are the sums of the groups.
#ifndef GETP_TARGET_CPU_MATRIX_H
#define GETP_TARGET_CPU_MATRIX_H

#include "formats/panels.h"
#include "target/cpu/vectors.h"

enum weight_form { WEIGHTS_F32, WEIGHTS_BF16, WEIGHTS_MXFP4 };

enum {
  GROUP = PANEL_GROUP,    // columns whose products are summed before they join the total
  OCTET = 8,              // columns whose code is in one piece
  WORD_BYTES = PANEL * 4, // of a word of each feature: a cache line
  PREFETCH_DISTANCE = 8192,
  PIECE_BYTES = 65536,
};

// The panels that a thread claims at a time: enough bytes that claiming them costs nothing, and few
// enough that no thread waits long for the last ones of another.
#define PIECE(panel_bytes) ((panel_bytes) < PIECE_BYTES ? PIECE_BYTES / (panel_bytes) : 1)

// A product of rows and a panel. All but the pointers are constants after inlining.
struct product {
  enum weight_form form;
  int k;                 // columns
  int rows;              // at most ROWS_AT_ONCE
  const float *const *x; // (rows) each k numbers
  const uint8_t *w;      // the panel
};

// Columns that have their weights in one word.
ALWAYS_INLINE int word_columns(enum weight_form form) {
  return form == WEIGHTS_F32 ? 1 : form == WEIGHTS_BF16 ? 2 : 8;
}

// The weights of column `c` of some words.
ALWAYS_INLINE vec column_weights(enum weight_form form, words w, int c) {
  if (form == WEIGHTS_MXFP4)
    return words_code(w, c);
  return form == WEIGHTS_F32 ? words_float(w) : c ? words_high(w) : words_low(w);
}

// Bytes of the scales before the words of a section.
ALWAYS_INLINE size_t scale_bytes(enum weight_form form, int groups) {
  return form == WEIGHTS_MXFP4 ? PANEL_SCALE_BYTES(groups) : 0;
}

// Prefetches what lies PREFETCH_DISTANCE bytes after `from`. Few rows read a panel only once, so it
// need not displace what the outer caches hold.
ALWAYS_INLINE void prefetch(const struct product *p, const uint8_t *from, size_t bytes) {
  UNROLL
  for (size_t at = 0; at < bytes; at += WORD_BYTES)
    if (p->rows <= ROWS_AT_ONCE / 2)
      __builtin_prefetch(from + PREFETCH_DISTANCE + at, 0, 0);
    else
      __builtin_prefetch(from + PREFETCH_DISTANCE + at, 0, 3);
}

// Adds the products of `columns` columns of a word of some groups to sum[group][row]. The words
// follow one another at `from`, the first column of the first is column k.
ALWAYS_INLINE void add_words(const struct product *p, int groups, int k, int columns,
                             const uint8_t *from, vec *sum) {
  words w[SUMS_AT_ONCE];
  prefetch(p, from, (size_t)groups * WORD_BYTES);
  UNROLL
  for (int g = 0; g < groups; g++)
    w[g] = words_load(from + g * WORD_BYTES);
  UNROLL
  for (int c = 0; c < columns; c++)
    UNROLL
  for (int g = 0; g < groups; g++) {
    const vec weights = column_weights(p->form, w[g], c);
    UNROLL
    for (int r = 0; r < p->rows; r++)
      sum[g * p->rows + r] =
          vec_fma(weights, vec_set(p->x[r][k + g * GROUP + c]), sum[g * p->rows + r]);
  }
}

// The same for the words of `columns` columns. The words of the next columns come `stride` bytes
// later.
ALWAYS_INLINE void add_columns(const struct product *p, int groups, int k, int columns,
                               const uint8_t *from, size_t stride, vec *sum) {
  const int step = word_columns(p->form);
  UNROLL
  for (int c = 0; c < columns; c += step)
    add_words(p, groups, k + c, columns - c < step ? columns - c : step,
              from + (size_t)(c / step) * stride, sum);
}

// Adds the sums of some groups of a section of `all` groups to total[row]. Their columns begin at
// column k, their scales at `scales`, their words at `from`.
ALWAYS_INLINE void add_groups(const struct product *p, int groups, int all, int k,
                              const uint8_t *scales, const uint8_t *from, vec *total) {
  const size_t stride = (size_t)all * WORD_BYTES;
  vec sum[SUMS_AT_ONCE];
  UNROLL
  for (int i = 0; i < groups * p->rows; i++)
    sum[i] = vec_zero();
#pragma GCC unroll 1
  for (int c = 0; c < GROUP; c += OCTET, from += OCTET / word_columns(p->form) * stride)
    add_columns(p, groups, k + c, OCTET, from, stride, sum);
  UNROLL
  for (int i = 0; i < groups * p->rows; i++) {
    vec *to = &total[i % p->rows];
    if (p->form == WEIGHTS_MXFP4)
      *to = vec_fma(vec_scales(scales + i / p->rows * PANEL), sum[i], *to);
    else
      *to = vec_add(sum[i], *to);
  }
}

// Adds the sums of a section of so many groups at `from`, whose columns begin at column k.
ALWAYS_INLINE void add_section(const struct product *p, int groups, int k, const uint8_t *from,
                               vec *total) {
  const int at_once = GROUPS_AT_ONCE(p->rows), rest = groups % at_once;
  const uint8_t *first = from + scale_bytes(p->form, groups);
  int g = 0;
  prefetch(p, from, scale_bytes(p->form, groups));
#pragma GCC unroll 1
  for (; g + at_once <= groups; g += at_once)
    add_groups(p, at_once, groups, k + g * GROUP, from + g * PANEL, first + g * WORD_BYTES, total);
  if (rest)
    add_groups(p, rest, groups, k + g * GROUP, from + g * PANEL, first + g * WORD_BYTES, total);
}

// Adds the sum of the columns after the last whole group, of which the first is column k.
ALWAYS_INLINE void add_rest(const struct product *p, int k, const uint8_t *from, vec *total) {
  vec sum[ROWS_AT_ONCE];
  UNROLL
  for (int r = 0; r < p->rows; r++)
    sum[r] = vec_zero();
#pragma GCC unroll 1
  for (; k + OCTET <= p->k; k += OCTET, from += OCTET / word_columns(p->form) * WORD_BYTES)
    add_columns(p, 1, k, OCTET, from, WORD_BYTES, sum);
  add_columns(p, 1, k, p->k % OCTET, from, WORD_BYTES, sum);
  UNROLL
  for (int r = 0; r < p->rows; r++)
    total[r] = vec_add(sum[r], total[r]);
}

// sum[row][feature] = sum over k of w[k][feature] x[row][k]
ALWAYS_INLINE void multiply(const struct product *p, float (*sum)[PANEL]) {
  enum { SECTION = PANEL_SECTION * GROUP };
  const int rest = p->k % SECTION / GROUP;
  const size_t group_bytes = GROUP / word_columns(p->form) * WORD_BYTES;
  const size_t bytes = scale_bytes(p->form, PANEL_SECTION) + PANEL_SECTION * group_bytes;
  const uint8_t *from = p->w;
  vec total[ROWS_AT_ONCE];
  int k = 0;
  UNROLL
  for (int r = 0; r < p->rows; r++)
    total[r] = vec_zero();
#pragma GCC unroll 1
  for (; k + SECTION <= p->k; k += SECTION, from += bytes)
    add_section(p, PANEL_SECTION, k, from, total);
  if (rest)
    add_section(p, rest, k, from, total);
  if (p->k % GROUP)
    add_rest(p, k + rest * GROUP, from + rest * group_bytes, total);
  UNROLL
  for (int r = 0; r < p->rows; r++)
    vec_store(sum[r], total[r]);
}

// The same for a number of rows that is no constant, from 1 to ROWS_AT_ONCE. To have less code, 5
// and 7 rows are multiplied with one more, whose sums nobody reads.
ALWAYS_INLINE void multiply_rows(struct product p, int rows, float (*sum)[PANEL]) {
  const float *x[ROWS_AT_ONCE];
  for (int r = 0; r < ROWS_AT_ONCE; r++)
    x[r] = p.x[r < rows ? r : 0];
  p.x = x;
  switch (rows) {
#define CASE(n)                                                                                    \
  case n:                                                                                          \
    p.rows = n;                                                                                    \
    multiply(&p, sum);                                                                             \
    break;
    CASE(1)
    CASE(2)
    CASE(3)
#if ROWS_AT_ONCE == 8
    CASE(4)
  case 5:
    CASE(6)
  case 7:
    CASE(8)
#endif
#undef CASE
  default:
    __builtin_unreachable();
  }
}

// How many of the rows that are left are multiplied next: about equal numbers, since few rows waste
// the work on the weights.
ALWAYS_INLINE int next_rows(int left) {
  const int times = (left + ROWS_AT_ONCE - 1) / ROWS_AT_ONCE;
  return (left + times - 1) / times;
}

#endif
