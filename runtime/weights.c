#include "weights.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

// Elements that are widened to float together: a piece of work for one thread.
enum { PIECE = 4096 };

static int rank_of(const int64_t *shape) {
  int rank = 0;
  while (rank < TENSOR_MAX_RANK && shape[rank])
    rank++;
  return rank;
}

size_t weight_elements(const struct weight_row *row) {
  size_t n = 1;
  for (int d = 0; d < rank_of(row->shape); d++)
    n *= (size_t)row->shape[d];
  return n;
}

static bool find_packed(struct weight_view *weight, const struct safetensors *checkpoint,
                        struct error *err) {
  const struct weight_row *row = weight->row;
  const int64_t groups = row->shape[2] / 32;
  const int64_t codes[] = {row->shape[0], row->shape[1], groups, 16};
  char name[256];
  snprintf(name, sizeof name, "%s_blocks", row->name);
  weight->tensor = safetensors_want(checkpoint, name, 4, codes, err);
  if (!weight->tensor)
    return false;
  snprintf(name, sizeof name, "%s_scales", row->name);
  weight->scales = safetensors_want(checkpoint, name, 3, codes, err);
  if (!weight->scales)
    return false;
  if (weight->tensor->dtype == DTYPE_U8 && weight->scales->dtype == DTYPE_U8)
    return true;
  return fail(err, "%s: want U8 blocks and scales", row->name);
}

static bool find_floats(struct weight_view *weight, const struct safetensors *checkpoint,
                        struct error *err) {
  const struct weight_row *row = weight->row;
  int64_t shape[TENSOR_MAX_RANK];
  memcpy(shape, row->shape, sizeof shape);
  if (row->source == SOURCE_TRANSPOSED) {
    shape[1] = row->shape[2];
    shape[2] = row->shape[1];
  }
  weight->tensor = safetensors_want(checkpoint, row->name, rank_of(shape), shape, err);
  if (!weight->tensor)
    return false;
  // Bytes stay bytes; a BF16 place takes no wider type, since it could not hold it.
  const enum dtype has = weight->tensor->dtype;
  const bool fits = row->offset == WEIGHT_MAPPED || row->stored == DTYPE_BF16
                        ? has == row->stored
                        : (has == DTYPE_U8) == (row->stored == DTYPE_U8);
  return fits ? true
              : fail(err,
                     "%s: want %s, the checkpoint has %s: generate a getp from its config.json "
                     "with the right \"dtype\"",
                     row->name, dtype_name(row->stored), dtype_name(has));
}

bool weight_find(struct weight_view *weight, const struct weight_row *row,
                 const struct safetensors *checkpoint, struct error *err) {
  *weight = (struct weight_view){.row = row, .elements = weight_elements(row)};
  return row->source == SOURCE_MXFP4 ? find_packed(weight, checkpoint, err)
                                     : find_floats(weight, checkpoint, err);
}

// ---- reading a piece as floats ----

// value = e2m1(code) * 2^(scale - 127), the even column in the low nibble (OCP Microscaling
// Formats)
static void read_mxfp4(const struct weight_view *weight, size_t first, size_t n, float *out) {
  static const float VALUE[16] = {0,     0.5f,  1,  1.5f,  2,  3,  4,  6,
                                  -0.0f, -0.5f, -1, -1.5f, -2, -3, -4, -6};
  for (size_t group = first / 32; group < (first + n) / 32; group++) {
    const float scale = ldexpf(1, weight->scales->data[group] - 127);
    const uint8_t *codes = weight->tensor->data + group * 16;
    for (int b = 0; b < 16; b++) {
      *out++ = VALUE[codes[b] & 15] * scale;
      *out++ = VALUE[codes[b] >> 4] * scale;
    }
  }
}

static void read_transposed(const struct weight_view *weight, size_t first, size_t n, float *out) {
  const size_t rows = (size_t)weight->row->shape[1], columns = (size_t)weight->row->shape[2];
  const size_t width = dtype_bytes(weight->tensor->dtype);
  for (size_t i = first; i < first + n; i++) {
    const size_t expert = i / (rows * columns), row = i / columns % rows, column = i % columns;
    const size_t at = (expert * columns + column) * rows + row;
    dtype_widen(out++, weight->tensor->data + at * width, weight->tensor->dtype, 1);
  }
}

static uint16_t to_bf16(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  if ((bits & 0x7fffffffu) > 0x7f800000u)
    return (uint16_t)(bits >> 16 | 64);
  return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1)) >> 16);
}

static void read_piece(const struct weight_view *weight, size_t first, size_t n, uint8_t *out) {
  float values[PIECE];
  const struct tensor *tensor = weight->tensor;
  if (weight->row->source == SOURCE_MXFP4)
    read_mxfp4(weight, first, n, values);
  else if (weight->row->source == SOURCE_TRANSPOSED)
    read_transposed(weight, first, n, values);
  else
    dtype_widen(values, tensor->data + first * dtype_bytes(tensor->dtype), tensor->dtype, n);
  if (weight->row->stored == DTYPE_F32) {
    memcpy(out, values, n * sizeof *values);
    return;
  }
  for (size_t i = 0; i < n; i++) {
    const uint16_t half = to_bf16(values[i]);
    memcpy(out + 2 * i, &half, sizeof half);
  }
}

void weight_read(const struct weight_view *weight, size_t first, size_t n, void *out) {
  const size_t width = dtype_bytes(weight->row->stored);
  if (weight->row->source == SOURCE_PLAIN && weight->tensor->dtype == weight->row->stored) {
    memcpy(out, weight->tensor->data + first * width, n * width);
    return;
  }
#pragma omp parallel for schedule(static)
  for (size_t at = 0; at < n; at += PIECE)
    read_piece(weight, first + at, n - at < PIECE ? n - at : PIECE, (uint8_t *)out + at * width);
}
