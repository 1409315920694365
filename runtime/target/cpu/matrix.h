// Products of a few rows and a few panels of weights (formats/panels.h).
//
// Each sum has one order, whatever the machine, the rows or the threads: the columns of a block of
// 32 are added one after the other, and the sums of the blocks are, too.
#ifndef GETP_TARGET_CPU_MATRIX_H
#define GETP_TARGET_CPU_MATRIX_H

#include "formats/panels.h"
#include "target/cpu/vectors.h"

#include <stdbool.h>

#ifdef _OPENMP
#include <omp.h>
#endif

enum weight_form { WEIGHTS_F32, WEIGHTS_BF16, WEIGHTS_MXFP4 };

enum {
  BLOCK = PANEL_GROUP,      // columns whose products are summed before they join the total
  OCTET = 8,                // columns in one word of MXFP4
  PREFETCH_DISTANCE = 4096, // bytes
  MOST_SUMS = 16,
  SUM_FLOATS = ROWS_AT_ONCE * PANELS_AT_ONCE * PANEL, // of a product
};

// A product of rows and panels. All but the pointers are constants after inlining.
struct product {
  enum weight_form form;
  int k;                 // columns
  int rows, panels;      // at most ROWS_AT_ONCE and PANELS_AT_ONCE
  const float *const *x; // (rows) each k numbers
  const uint8_t *w;      // the panels, one after the other
};

ALWAYS_INLINE size_t panel_bytes(enum weight_form form, int k) {
  return form == WEIGHTS_F32    ? PANEL_BYTES_F32(k)
         : form == WEIGHTS_BF16 ? PANEL_BYTES_BF16(k)
                                : PANEL_BYTES_MXFP4(k);
}

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

// Prefetches octets that will be read PREFETCH_DISTANCE bytes later. They are read once, so they do
// not displace what the caches hold.
ALWAYS_INLINE void prefetch_octets(const struct product *p, int blocks, int k) {
  const size_t panel = panel_bytes(p->form, p->k), block = column_offset(p->form, BLOCK);
  const uint8_t *w = p->w + column_offset(p->form, k) + PREFETCH_DISTANCE;
  UNROLL
  for (int b = 0; b < blocks; b++)
    UNROLL
  for (int i = 0; i < p->panels; i++)
    UNROLL
  for (size_t at = 0; at < column_offset(p->form, OCTET); at += 64)
    __builtin_prefetch(w + (size_t)i * panel + (size_t)b * block + at, 0, 0);
}

// Adds the products of `columns` columns from column k on, and the same columns of the blocks after
// it, to sum[block][panel][row].
ALWAYS_INLINE void add_octet(const struct product *p, int blocks, int k, int columns, vec *sum) {
  const size_t panel = panel_bytes(p->form, p->k), block = column_offset(p->form, BLOCK);
  const uint8_t *w = p->w + column_offset(p->form, k);
  UNROLL
  for (int c = 0; c < columns; c++)
    UNROLL
  for (int b = 0; b < blocks; b++) {
    vec weights[PANELS_AT_ONCE];
    UNROLL
    for (int i = 0; i < p->panels; i++)
      weights[i] = column_weights(p->form, w + (size_t)i * panel + (size_t)b * block, c);
    UNROLL
    for (int r = 0; r < p->rows; r++) {
      const vec x = vec_set(p->x[r][k + b * BLOCK + c]);
      UNROLL
      for (int i = 0; i < p->panels; i++) {
        vec *to = &sum[(b * p->panels + i) * p->rows + r];
        *to = vec_fma(weights[i], x, *to);
      }
    }
  }
}

// Adds the sums of blocks of `columns` columns, the first of which begins at column k, to
// total[panel][row].
ALWAYS_INLINE void add_blocks(const struct product *p, int blocks, int k, int columns, vec *total) {
  const size_t panel = panel_bytes(p->form, p->k);
  const int sums = blocks * p->panels * p->rows;
  vec sum[MOST_SUMS];
  UNROLL
  for (int i = 0; i < sums; i++)
    sum[i] = vec_zero();
#pragma GCC unroll 1
  for (int at = 0; at < columns - columns % OCTET; at += OCTET) {
    prefetch_octets(p, blocks, k + at);
    add_octet(p, blocks, k + at, OCTET, sum);
  }
  if (columns % OCTET)
    add_octet(p, blocks, k + columns - columns % OCTET, columns % OCTET, sum);
  UNROLL
  for (int i = 0; i < sums; i++) {
    vec *to = &total[i % (p->panels * p->rows)];
    if (p->form == WEIGHTS_MXFP4) {
      const uint8_t *scales = p->w + (size_t)(i / p->rows % p->panels) * panel +
                              PANEL_WORD_BYTES(p->k) +
                              (k / BLOCK + i / (p->panels * p->rows)) * PANEL;
      *to = vec_fma(vec_scales(scales), sum[i], *to);
    } else {
      *to = vec_add(sum[i], *to);
    }
  }
}

// sum[row][panel][feature] = sum over k of w[panel][k][feature] x[row][k]
ALWAYS_INLINE void multiply(const struct product *p, float *sum) {
  const int blocks = p->rows * p->panels < SUMS_AT_ONCE ? SUMS_AT_ONCE / (p->rows * p->panels) : 1;
  const int whole = p->k - p->k % BLOCK;
  vec total[ROWS_AT_ONCE * PANELS_AT_ONCE];
  int k = 0;
  UNROLL
  for (int i = 0; i < p->rows * p->panels; i++)
    total[i] = vec_zero();
  for (; k + blocks * BLOCK <= whole; k += blocks * BLOCK)
    add_blocks(p, blocks, k, BLOCK, total);
  for (; k < whole; k += BLOCK)
    add_blocks(p, 1, k, BLOCK, total);
  if (p->k % BLOCK)
    add_blocks(p, 1, whole, p->k % BLOCK, total);
  UNROLL
  for (int i = 0; i < p->rows * p->panels; i++)
    vec_store(sum + (size_t)(i % p->rows * p->panels + i / p->rows) * PANEL, total[i]);
}

// The same for numbers of rows and panels that are no constants: one row or any number up to
// ROWS_AT_ONCE; one panel or PANELS_AT_ONCE.
ALWAYS_INLINE void multiply_some(struct product p, int rows, int panels, float *sum) {
  switch (panels == 1 ? rows : ROWS_AT_ONCE + rows) {
#define CASE(value, n_rows, n_panels)                                                              \
  case value:                                                                                      \
    p.rows = n_rows, p.panels = n_panels;                                                          \
    multiply(&p, sum);                                                                             \
    break;
    CASE(1, 1, 1)
    CASE(2, 2, 1)
    CASE(3, 3, 1)
#if ROWS_AT_ONCE == 6
    CASE(4, 4, 1)
    CASE(5, 5, 1)
    CASE(6, 6, 1)
    CASE(ROWS_AT_ONCE + 2, 2, PANELS_AT_ONCE)
    CASE(ROWS_AT_ONCE + 3, 3, PANELS_AT_ONCE)
    CASE(ROWS_AT_ONCE + 4, 4, PANELS_AT_ONCE)
    CASE(ROWS_AT_ONCE + 5, 5, PANELS_AT_ONCE)
    CASE(ROWS_AT_ONCE + 6, 6, PANELS_AT_ONCE)
#endif
#undef CASE
  default:
    __builtin_unreachable();
  }
}

// ---- who does what ----

// A range of panels, rows or other items.
struct share {
  int first, end;
};

// The calling thread's share of n items. It is the same in every step and every pass, so the memory
// of its panels stays near it, and a step that goes by rows finds the rows of the step before.
ALWAYS_INLINE struct share thread_share(int n) {
#ifdef _OPENMP
  const long thread = omp_get_thread_num(), threads = omp_get_num_threads();
#else
  const long thread = 0, threads = 1;
#endif
  return (struct share){(int)(n * thread / threads), (int)(n * (thread + 1) / threads)};
}

// How many of the panels that are left are multiplied next with a number of rows.
ALWAYS_INLINE int next_panels(int left, int rows) {
  return rows > 1 && left >= PANELS_AT_ONCE ? PANELS_AT_ONCE : 1;
}

// How many of the rows that are left are multiplied next: about equal numbers, since few rows waste
// the work on the weights.
ALWAYS_INLINE int next_rows(int left) {
  const int times = (left + ROWS_AT_ONCE - 1) / ROWS_AT_ONCE;
  return (left + times - 1) / times;
}

#endif
