// Products of a few rows and a panel of weights (formats/panels.h).
//
// Each sum has one order, whatever the machine, the rows or the threads: the columns of a block of
// 32 are added one after the other, and so are the sums of the blocks.
#ifndef GETP_TARGET_CPU_MATRIX_H
#define GETP_TARGET_CPU_MATRIX_H

#include "formats/panels.h"
#include "target/cpu/vectors.h"

enum weight_form { WEIGHTS_F32, WEIGHTS_BF16, WEIGHTS_MXFP4 };

enum {
  BLOCK = PANEL_GROUP,      // columns whose products are summed before they join the total
  OCTET = 8,                // columns in one word of MXFP4
  PREFETCH_DISTANCE = 4096, // bytes
  CACHE_LINE = 64,
};

// A product of rows and a panel. All but the pointers are constants after inlining.
struct product {
  enum weight_form form;
  int k;                 // columns
  int rows;              // at most ROWS_AT_ONCE
  const float *const *x; // (rows) each k numbers
  const uint8_t *w;      // the panel
};

// Where column k of a panel begins, for a multiple of OCTET.
ALWAYS_INLINE size_t column_offset(enum weight_form form, int k) {
  const size_t octet = (size_t)k / OCTET * PANEL * 4;
  return form == WEIGHTS_F32 ? 8 * octet : form == WEIGHTS_BF16 ? 4 * octet : octet;
}

// The weights of column `c` of the octet at `from`.
ALWAYS_INLINE vec column_weights(enum weight_form form, const uint8_t *from, int c) {
  if (form == WEIGHTS_F32)
    return vec_load((const float *)(const void *)from + c * PANEL);
  if (form == WEIGHTS_MXFP4)
    return words_code(words_load(from), c);
  const words pair = words_load(from + c / 2 * PANEL * 4);
  return c % 2 ? words_high(pair) : words_low(pair);
}

// Prefetches the octets that will be read PREFETCH_DISTANCE bytes after those at column k. Few rows
// read a panel only once, so it need not displace what the outer caches hold.
ALWAYS_INLINE void prefetch_octets(const struct product *p, int blocks, int k) {
  const uint8_t *w = p->w + column_offset(p->form, k) + PREFETCH_DISTANCE;
  UNROLL
  for (int b = 0; b < blocks; b++)
    UNROLL
  for (size_t at = 0; at < column_offset(p->form, OCTET); at += CACHE_LINE)
    if (p->rows <= ROWS_AT_ONCE / 2)
      __builtin_prefetch(w + (size_t)b * column_offset(p->form, BLOCK) + at, 0, 0);
    else
      __builtin_prefetch(w + (size_t)b * column_offset(p->form, BLOCK) + at, 0, 3);
}

// Adds the products of `columns` columns from column k on, and of the same columns of the blocks
// after it, to sum[block][row].
ALWAYS_INLINE void add_octet(const struct product *p, int blocks, int k, int columns, vec *sum) {
  UNROLL
  for (int c = 0; c < columns; c++)
    UNROLL
  for (int b = 0; b < blocks; b++) {
    const vec w = column_weights(p->form, p->w + column_offset(p->form, k + b * BLOCK), c);
    UNROLL
    for (int r = 0; r < p->rows; r++)
      sum[b * p->rows + r] = vec_fma(w, vec_set(p->x[r][k + b * BLOCK + c]), sum[b * p->rows + r]);
  }
}

// Adds the sums of blocks of `columns` columns, the first of which begins at column k, to
// total[row].
ALWAYS_INLINE void add_blocks(const struct product *p, int blocks, int k, int columns, vec *total) {
  vec sum[SUMS_AT_ONCE];
  UNROLL
  for (int i = 0; i < blocks * p->rows; i++)
    sum[i] = vec_zero();
#pragma GCC unroll 1
  for (int at = 0; at < columns - columns % OCTET; at += OCTET) {
    prefetch_octets(p, blocks, k + at);
    add_octet(p, blocks, k + at, OCTET, sum);
  }
  if (columns % OCTET)
    add_octet(p, blocks, k + columns - columns % OCTET, columns % OCTET, sum);
  UNROLL
  for (int i = 0; i < blocks * p->rows; i++) {
    vec *to = &total[i % p->rows];
    if (p->form == WEIGHTS_MXFP4)
      *to = vec_fma(
          vec_scales(p->w + PANEL_WORD_BYTES(p->k) + (size_t)(k / BLOCK + i / p->rows) * PANEL),
          sum[i], *to);
    else
      *to = vec_add(sum[i], *to);
  }
}

// sum[row][feature] = sum over k of w[k][feature] x[row][k]
ALWAYS_INLINE void multiply(const struct product *p, float (*sum)[PANEL]) {
  const int blocks = BLOCKS_AT_ONCE(p->rows), rest = p->k / BLOCK % blocks;
  vec total[ROWS_AT_ONCE];
  int k = 0;
  UNROLL
  for (int r = 0; r < p->rows; r++)
    total[r] = vec_zero();
  for (; k + blocks * BLOCK <= p->k; k += blocks * BLOCK)
    add_blocks(p, blocks, k, BLOCK, total);
  if (rest)
    add_blocks(p, rest, k, BLOCK, total);
  if (p->k % BLOCK)
    add_blocks(p, 1, p->k - p->k % BLOCK, p->k % BLOCK, total);
  UNROLL
  for (int r = 0; r < p->rows; r++)
    vec_store(sum[r], total[r]);
}

// The same for a number of rows that is no constant, from 1 to ROWS_AT_ONCE.
ALWAYS_INLINE void multiply_rows(struct product p, int rows, float (*sum)[PANEL]) {
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
    CASE(5)
    CASE(6)
    CASE(7)
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
