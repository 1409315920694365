// Converts tensors of a checkpoint into the weights of a tree. tiles.c does those in tiles,
// panels.c those in panels.
#include "weights/weights.h"

#include "base/pages.h"
#include "weights/panels.h"
#include "weights/tiles.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
  PIECE = 4096, // numbers that one thread widens to float at a time
  ALIGN = 64,   // of a mapped weight in an image
};

// For each weight_type: the bytes of a number, and the dtype of a tensor that needs no conversion.
// F16 and MXFP4 are only packed, and use neither.
static const struct {
  size_t bytes;
  enum dtype same;
} TYPES[] = {
    [STORED_BF16] = {2, DTYPE_BF16},
    [STORED_F32] = {4, DTYPE_F32},
    [STORED_F16] = {0, DTYPE_F16},
    [STORED_MXFP4] = {0, DTYPE_U8},
};

static int rank_of(const int64_t *shape) {
  int rank = 0;
  while (rank < TENSOR_MAX_RANK && shape[rank])
    rank++;
  return rank;
}

static size_t elements(const struct weight_spec *spec) {
  size_t n = 1;
  for (int d = 0; d < rank_of(spec->shape); d++)
    n *= (size_t)spec->shape[d];
  return n;
}

static bool in_panels(const struct weight_spec *spec) {
  return spec->layout == LAYOUT_PANELS;
}

static bool in_tiles_or_panels(const struct weight_spec *spec) {
  return spec->layout >= LAYOUT_TILES;
}

// The matrices of a weight, without their data. The last two dimensions are features and columns.
static struct matrices matrices_of(const struct weight_spec *spec) {
  const int rank = rank_of(spec->shape);
  const size_t features = (size_t)spec->shape[rank - 2], columns = (size_t)spec->shape[rank - 1];
  return (struct matrices){
      .n = elements(spec) / (features * columns),
      .features = features,
      .columns = columns,
      .d_head = spec->layout == LAYOUT_PAIRED_TILES ? (size_t)spec->d_head : 0,
      .woven = spec->layout == LAYOUT_WOVEN_TILES,
  };
}

static size_t panel_bytes(enum weight_type stored, size_t columns) {
  return stored == STORED_F32    ? PANEL_BYTES_F32(columns)
         : stored == STORED_BF16 ? PANEL_BYTES_BF16(columns)
                                 : PANEL_BYTES_MXFP4(columns);
}

size_t weight_granule(const struct weight_spec *spec) {
  if (!in_tiles_or_panels(spec))
    return TYPES[spec->stored].bytes * (spec->form == FORM_MXFP4 ? 32 : 1);
  const size_t columns = matrices_of(spec).columns;
  if (in_panels(spec))
    return panel_bytes(spec->stored, columns);
  return spec->stored == STORED_F16 ? tile_bytes_f16(columns) : tile_bytes_mxfp4(columns);
}

size_t weight_bytes(const struct weight_spec *spec) {
  if (!in_tiles_or_panels(spec))
    return elements(spec) * TYPES[spec->stored].bytes;
  const struct matrices matrices = matrices_of(spec);
  return (in_panels(spec) ? panel_count(&matrices) : tile_count(&matrices)) * weight_granule(spec);
}

size_t weight_offset(const struct weight_spec *spec, size_t *end) {
  if (spec->offset != WEIGHT_MAPPED)
    return (size_t)spec->offset;
  const size_t offset = *end;
  *end = (offset + weight_bytes(spec) + ALIGN - 1) / ALIGN * ALIGN;
  return offset;
}

static bool find_mxfp4(struct weight_view *view, const struct checkpoint *checkpoint,
                       struct error *err) {
  const struct weight_spec *spec = view->spec;
  const int64_t groups = spec->shape[2] / 32;
  const int64_t codes[] = {spec->shape[0], spec->shape[1], groups, 16};
  char name[256];
  snprintf(name, sizeof name, "%s_blocks", spec->name);
  view->tensor = checkpoint_require(checkpoint, name, 4, codes, err);
  if (!view->tensor)
    return false;
  snprintf(name, sizeof name, "%s_scales", spec->name);
  view->scales = checkpoint_require(checkpoint, name, 3, codes, err);
  if (!view->scales)
    return false;
  return tensor_check_dtype(view->tensor, true, err) && tensor_check_dtype(view->scales, true, err);
}

// True if the bytes of the tensor are those of the stored weight.
static bool is_stored(const struct weight_view *view) {
  const struct weight_spec *spec = view->spec;
  return spec->layout == LAYOUT_CONTIGUOUS && spec->form != FORM_MXFP4 && !view->transposed &&
         view->tensor->dtype == TYPES[spec->stored].same;
}

static bool find_plain(struct weight_view *view, const struct checkpoint *checkpoint,
                       struct error *err) {
  const struct weight_spec *spec = view->spec;
  int64_t shape[TENSOR_MAX_RANK];
  memcpy(shape, spec->shape, sizeof shape);
  if (spec->form == FORM_TRANSPOSED) {
    shape[1] = spec->shape[2];
    shape[2] = spec->shape[1];
  }
  view->tensor = checkpoint_require(checkpoint, spec->name, rank_of(shape), shape, err);
  if (!view->tensor)
    return false;
  view->transposed = (spec->form == FORM_TRANSPOSED) != view->tensor->flipped;
  return tensor_check_dtype(view->tensor, false, err);
}

bool weight_find(struct weight_view *view, const struct weight_spec *spec,
                 const struct checkpoint *checkpoint, struct error *err) {
  *view = (struct weight_view){.spec = spec};
  return spec->form == FORM_MXFP4 ? find_mxfp4(view, checkpoint, err)
                                  : find_plain(view, checkpoint, err);
}

bool weight_is_mapped(const struct weight_view *view) {
  return view->spec->offset == WEIGHT_MAPPED && is_stored(view);
}

// ---- a piece as floats ----

// value = e2m1(code) * 2^(scale - 127), with the even column in the low nibble (OCP Microscaling
// Formats 1.0).
static void read_mxfp4(const struct weight_view *view, size_t first, size_t n, float *out) {
  static const float VALUE[16] = {0,     0.5f,  1,  1.5f,  2,  3,  4,  6,
                                  -0.0f, -0.5f, -1, -1.5f, -2, -3, -4, -6};
  for (size_t group = first / 32; group < (first + n) / 32; group++) {
    const int exponent = view->scales->data[group] - 127;
    const float scale = exponent < 128 ? ldexpf(1, exponent) : NAN;
    const uint8_t *codes = view->tensor->data + group * 16;
    for (int b = 0; b < 16; b++) {
      *out++ = VALUE[codes[b] & 15] * scale;
      *out++ = VALUE[codes[b] >> 4] * scale;
    }
  }
}

// Number `index` of a tensor, in the order of the checkpoint.
static float read_one(const struct tensor *tensor, size_t index) {
  float value;
  dtype_widen(&value, tensor->data + index * dtype_bytes(tensor->dtype), tensor->dtype, 1);
  return value;
}

static void read_transposed(const struct weight_view *view, size_t first, size_t n, float *out) {
  const size_t features = (size_t)view->spec->shape[1], columns = (size_t)view->spec->shape[2];
  for (size_t i = first; i < first + n; i++) {
    const size_t expert = i / (features * columns), column = i % columns;
    const size_t feature = i / columns % features;
    *out++ = read_one(view->tensor, (expert * columns + column) * features + feature);
  }
}

static void read_pairs(const struct weight_view *view, size_t first, size_t n, float *out) {
  for (size_t i = first; i < first + n; i++)
    *out++ = read_one(view->tensor, tile_paired_feature(i, (size_t)view->spec->d_head));
}

static void read_plain(const struct tensor *tensor, size_t first, size_t n, float *out) {
  uint8_t numbers[PIECE * sizeof *out];
  const size_t width = dtype_bytes(tensor->dtype);
  pages_read(numbers, tensor->data + first * width, n * width);
  dtype_widen(out, numbers, tensor->dtype, n);
}

static void read_floats(const struct weight_view *view, size_t first, size_t n, float *out) {
  const struct tensor *tensor = view->tensor;
  if (view->spec->layout == LAYOUT_PAIRS)
    read_pairs(view, first, n, out);
  else if (view->spec->form == FORM_MXFP4)
    read_mxfp4(view, first, n, out);
  else if (view->transposed)
    read_transposed(view, first, n, out);
  else
    read_plain(tensor, first, n, out);
}

static void read_piece(const struct weight_view *view, size_t first, size_t n, uint8_t *out) {
  float values[PIECE];
  read_floats(view, first, n, values);
  if (view->spec->stored == STORED_F32) {
    memcpy(out, values, n * sizeof *values);
    return;
  }
  uint16_t halves[PIECE];
  dtype_round_bf16(halves, values, n);
  memcpy(out, halves, n * sizeof *halves);
}

// ---- any piece ----

static void read_contiguous(const struct weight_view *view, size_t first, size_t n, uint8_t *out) {
  const size_t width = TYPES[view->spec->stored].bytes;
#pragma omp parallel for schedule(static)
  for (size_t i = 0; i < n; i += PIECE)
    read_piece(view, first + i, n - i < PIECE ? n - i : PIECE, out + i * width);
}

// Packs granules [first, first + n).
static void read_granules(const struct weight_view *view, size_t first, size_t n, uint8_t *out) {
  const struct weight_spec *spec = view->spec;
  struct matrices matrices = matrices_of(spec);
  matrices.data = view->tensor->data;
  matrices.dtype = view->tensor->dtype;
  matrices.transposed = view->transposed;
  matrices.scales = view->scales ? view->scales->data : NULL;
  if (spec->stored == STORED_F16)
    tiles_pack_f16(&matrices, first, n, out);
  else if (spec->stored == STORED_F32)
    panels_pack_f32(&matrices, first, n, out);
  else if (spec->stored == STORED_BF16)
    panels_pack_bf16(&matrices, first, n, out);
  else if (in_panels(spec))
    panels_pack_mxfp4(&matrices, first, n, out);
  else
    tiles_pack_mxfp4(&matrices, first, n, out);
}

void weight_read(const struct weight_view *view, size_t first, size_t n, void *out) {
  const struct weight_spec *spec = view->spec;
  const size_t granule = weight_granule(spec), width = TYPES[spec->stored].bytes;
  if (in_tiles_or_panels(spec))
    read_granules(view, first / granule, n / granule, out);
  else if (is_stored(view))
    pages_copy(out, view->tensor->data + first, n);
  else
    read_contiguous(view, first / width, n / width, out);
}

// True if the weight is made from the map; otherwise its file is read (pages_read). Panels care for
// the pages of one matrix at a time.
static bool needs_map(const struct weight_view *view) {
  const bool plain = view->spec->layout == LAYOUT_CONTIGUOUS && view->spec->form != FORM_MXFP4;
  return !in_panels(view->spec) && (!plain || view->transposed);
}

void weight_populate(const struct weight_view *view) {
  if (!needs_map(view))
    return;
  pages_populate(view->tensor->data, view->tensor->bytes);
  if (view->scales)
    pages_populate(view->scales->data, view->scales->bytes);
}

void weight_release(const struct weight_view *view) {
  if (!needs_map(view))
    return;
  pages_release(view->tensor->data, view->tensor->bytes);
  if (view->scales)
    pages_release(view->scales->data, view->scales->bytes);
}
