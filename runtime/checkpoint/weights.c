// Owns how a tensor of a checkpoint becomes a tensor of a tree, but for the order of tiles, which
// is tiles.c's. Refuses a tensor that is not what weights.inc says, by name.
#include "checkpoint/weights.h"

#include "base/pages.h"
#include "checkpoint/tiles.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
  PIECE = 4096, // elements that are widened to float together: a piece of work for one thread
  ALIGN = 64,   // of a mapped tensor that is brought to a place of its own
};

// Bytes of an element in rows, and the type of a tensor that is stored as it is; of F16 and MXFP4,
// which lie in tiles only, neither counts.
static const struct {
  const char *name;
  size_t bytes;
  enum dtype same;
} TYPES[] = {
    [STORED_U8] = {"U8", 1, DTYPE_U8},       [STORED_BF16] = {"BF16", 2, DTYPE_BF16},
    [STORED_F32] = {"F32", 4, DTYPE_F32},    [STORED_F16] = {"F16", 0, DTYPE_F16},
    [STORED_MXFP4] = {"MXFP4", 0, DTYPE_U8},
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

static bool in_tiles(const struct weight_spec *spec) {
  return spec->layout >= LAYOUT_TILES;
}

// The shape of what tiles are made of; its last two dimensions are features and columns.
static struct tile_source tile_shape(const struct weight_spec *spec) {
  const int rank = rank_of(spec->shape);
  const size_t features = (size_t)spec->shape[rank - 2], columns = (size_t)spec->shape[rank - 1];
  return (struct tile_source){
      .matrices = elements(spec) / (features * columns),
      .features = features,
      .columns = columns,
      .d_head = spec->layout == LAYOUT_PAIRED_TILES ? (size_t)spec->d_head : 0,
      .woven = spec->layout == LAYOUT_WOVEN_TILES,
      .transposed = spec->source == SOURCE_TRANSPOSED,
  };
}

size_t weight_granule(const struct weight_spec *spec) {
  if (!in_tiles(spec))
    return TYPES[spec->stored].bytes * (spec->source == SOURCE_MXFP4 ? 32 : 1);
  const size_t columns = tile_shape(spec).columns;
  return spec->stored == STORED_F16 ? tile_bytes_f16(columns) : tile_bytes_mxfp4(columns);
}

size_t weight_bytes(const struct weight_spec *spec) {
  if (!in_tiles(spec))
    return elements(spec) * TYPES[spec->stored].bytes;
  const struct tile_source source = tile_shape(spec);
  return tile_count(&source) * weight_granule(spec);
}

size_t weight_offset(const struct weight_spec *spec, size_t *end) {
  if (spec->offset != WEIGHT_MAPPED)
    return (size_t)spec->offset;
  const size_t place = *end;
  *end = (place + weight_bytes(spec) + ALIGN - 1) / ALIGN * ALIGN;
  return place;
}

static bool find_packed(struct weight_view *weight, const struct safetensors *checkpoint,
                        struct error *err) {
  const struct weight_spec *spec = weight->spec;
  const int64_t groups = spec->shape[2] / 32;
  const int64_t codes[] = {spec->shape[0], spec->shape[1], groups, 16};
  char name[256];
  snprintf(name, sizeof name, "%s_blocks", spec->name);
  weight->tensor = safetensors_want(checkpoint, name, 4, codes, err);
  if (!weight->tensor)
    return false;
  snprintf(name, sizeof name, "%s_scales", spec->name);
  weight->scales = safetensors_want(checkpoint, name, 3, codes, err);
  if (!weight->scales)
    return false;
  if (weight->tensor->dtype == DTYPE_U8 && weight->scales->dtype == DTYPE_U8)
    return true;
  return fail(err, "%s: want U8 blocks and scales", spec->name);
}

// Bytes stay bytes; a BF16 place takes no wider type, since it could not hold it.
static bool fits(const struct weight_spec *spec, enum dtype has) {
  return spec->offset == WEIGHT_MAPPED || spec->stored == STORED_BF16
             ? has == TYPES[spec->stored].same
             : (has == DTYPE_U8) == (spec->stored == STORED_U8);
}

static bool find_floats(struct weight_view *weight, const struct safetensors *checkpoint,
                        struct error *err) {
  const struct weight_spec *spec = weight->spec;
  int64_t shape[TENSOR_MAX_RANK];
  memcpy(shape, spec->shape, sizeof shape);
  if (spec->source == SOURCE_TRANSPOSED) {
    shape[1] = spec->shape[2];
    shape[2] = spec->shape[1];
  }
  weight->tensor = safetensors_want(checkpoint, spec->name, rank_of(shape), shape, err);
  if (!weight->tensor)
    return false;
  return fits(spec, weight->tensor->dtype)
             ? true
             : fail(err,
                    "%s: want %s, the checkpoint has %s: generate a getp from its config.json "
                    "with the right \"dtype\"",
                    spec->name, TYPES[spec->stored].name, dtype_name(weight->tensor->dtype));
}

bool weight_find(struct weight_view *weight, const struct weight_spec *spec,
                 const struct safetensors *checkpoint, struct error *err) {
  *weight = (struct weight_view){.spec = spec};
  return spec->source == SOURCE_MXFP4 ? find_packed(weight, checkpoint, err)
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

// One element of the tensor as the checkpoint has it.
static float read_one(const struct tensor *tensor, size_t at) {
  float value;
  dtype_widen(&value, tensor->data + at * dtype_bytes(tensor->dtype), tensor->dtype, 1);
  return value;
}

static void read_transposed(const struct weight_view *weight, size_t first, size_t n, float *out) {
  const size_t rows = (size_t)weight->spec->shape[1], columns = (size_t)weight->spec->shape[2];
  for (size_t i = first; i < first + n; i++) {
    const size_t expert = i / (rows * columns), row = i / columns % rows, column = i % columns;
    *out++ = read_one(weight->tensor, (expert * columns + column) * rows + row);
  }
}

static void read_pairs(const struct weight_view *weight, size_t first, size_t n, float *out) {
  for (size_t i = first; i < first + n; i++)
    *out++ = read_one(weight->tensor, tile_paired_feature(i, (size_t)weight->spec->d_head));
}

static uint16_t to_bf16(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  if ((bits & 0x7fffffffu) > 0x7f800000u)
    return (uint16_t)(bits >> 16 | 64);
  return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1)) >> 16);
}

static void read_floats(const struct weight_view *weight, size_t first, size_t n, float *out) {
  const struct tensor *tensor = weight->tensor;
  if (weight->spec->layout == LAYOUT_PAIRS)
    read_pairs(weight, first, n, out);
  else if (weight->spec->source == SOURCE_MXFP4)
    read_mxfp4(weight, first, n, out);
  else if (weight->spec->source == SOURCE_TRANSPOSED)
    read_transposed(weight, first, n, out);
  else
    dtype_widen(out, tensor->data + first * dtype_bytes(tensor->dtype), tensor->dtype, n);
}

static void read_piece(const struct weight_view *weight, size_t first, size_t n, uint8_t *out) {
  float values[PIECE];
  read_floats(weight, first, n, values);
  if (weight->spec->stored == STORED_F32) {
    memcpy(out, values, n * sizeof *values);
    return;
  }
  for (size_t i = 0; i < n; i++) {
    const uint16_t half = to_bf16(values[i]);
    memcpy(out + 2 * i, &half, sizeof half);
  }
}

// ---- reading any piece ----

static void read_rows(const struct weight_view *weight, size_t first, size_t n, uint8_t *out) {
  const size_t width = TYPES[weight->spec->stored].bytes;
#pragma omp parallel for schedule(static)
  for (size_t at = 0; at < n; at += PIECE)
    read_piece(weight, first + at, n - at < PIECE ? n - at : PIECE, out + at * width);
}

static void read_tiles(const struct weight_view *weight, size_t first, size_t n, uint8_t *out) {
  struct tile_source source = tile_shape(weight->spec);
  source.data = weight->tensor->data;
  source.dtype = weight->tensor->dtype;
  if (weight->spec->stored == STORED_F16) {
    tiles_pack_f16(&source, first, n, out);
    return;
  }
  source.scales = weight->scales->data;
  tiles_pack_mxfp4(&source, first, n, out);
}

void weight_read(const struct weight_view *weight, size_t first, size_t n, void *out) {
  const struct weight_spec *spec = weight->spec;
  const size_t granule = weight_granule(spec), width = TYPES[spec->stored].bytes;
  const struct tensor *tensor = weight->tensor;
  if (in_tiles(spec))
    read_tiles(weight, first / granule, n / granule, out);
  else if (spec->layout == LAYOUT_CONTIGUOUS && spec->source == SOURCE_PLAIN &&
           tensor->dtype == TYPES[spec->stored].same)
    pages_copy(out, tensor->data + first, n);
  else
    read_rows(weight, first / width, n / width, out);
}

void weight_populate(const struct weight_view *weight) {
  pages_populate(weight->tensor->data, weight->tensor->bytes);
  if (weight->scales)
    pages_populate(weight->scales->data, weight->scales->bytes);
}

void weight_release(const struct weight_view *weight) {
  safetensors_release(weight->tensor);
  if (weight->scales)
    safetensors_release(weight->scales);
}
