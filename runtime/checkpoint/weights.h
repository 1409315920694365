// A checkpoint's tensors as a tree stores them: found by name and shape, read in any piece,
// converted on the way.
#ifndef GETP_CHECKPOINT_WEIGHTS_H
#define GETP_CHECKPOINT_WEIGHTS_H

#include "checkpoint/safetensors.h"

// How the checkpoint holds a stored tensor.
enum tensor_source {
  SOURCE_PLAIN,      // as it is stored, in any float type, or as bytes
  SOURCE_MXFP4,      // NAME_blocks and NAME_scales
  SOURCE_TRANSPOSED, // [experts, k, n] for a stored [experts, n, k]
};

// The type of its numbers where it is stored.
enum weight_type {
  STORED_U8,
  STORED_BF16,
  STORED_F32,
  STORED_F16,   // in tiles only
  STORED_MXFP4, // in tiles only, and from SOURCE_MXFP4
};

// The order of its numbers where it is stored.
enum weight_layout {
  LAYOUT_CONTIGUOUS,   // row after row
  LAYOUT_PAIRS,        // a vector whose elements are paired within heads: see tiles.h
  LAYOUT_TILES,        // matrices in tiles of 16 rows: see tiles.h
  LAYOUT_PAIRED_TILES, // the same with rows paired within heads
  LAYOUT_WOVEN_TILES,  // the same with columns woven
};

// What weights.inc says of a tensor.
struct weight_spec {
  const char *name;
  enum tensor_source source;
  enum weight_type stored;
  enum weight_layout layout;
  int64_t offset; // in the packed weights, or WEIGHT_MAPPED
  int64_t d_head; // of the model
  int64_t shape[TENSOR_MAX_RANK];
};

enum { WEIGHT_MAPPED = -1 };

// All of them, in the order of weights.inc.
struct weight_table {
  const char *tree; // name of the tree that they are for
  const struct weight_spec *specs;
  int n;
  size_t packed_bytes; // up to which the packed ones reach
};

// A tensor found.
struct weight_view {
  const struct weight_spec *spec;
  const struct tensor *tensor, *scales; // scales: of SOURCE_MXFP4
};

// Of the stored tensor.
size_t weight_bytes(const struct weight_spec *spec);

// Pieces of a stored tensor begin and end at multiples of this.
size_t weight_granule(const struct weight_spec *spec);

// Where a tensor lies among all of a table, in one piece of memory: a packed one at its offset; a
// mapped one at *end, which then moves behind it to a multiple of 64. *end begins at packed_bytes.
size_t weight_offset(const struct weight_spec *spec, size_t *end);

// Refuses, by name, a tensor that is missing, of another shape, or of a type that cannot be stored
// as the row says; a mapped one must have the stored type itself.
bool weight_find(struct weight_view *weight, const struct weight_spec *spec,
                 const struct safetensors *checkpoint, struct error *err);

// Writes bytes [first, first + n) of the stored tensor to `out`, with all threads; both are
// multiples of its granule. Numbers are rounded to nearest even; an infinity or a NaN stays one.
void weight_read(const struct weight_view *weight, size_t first, size_t n, void *out);

// Advice to the kernel: all of the tensor's mapped pages will be read now; or not again soon.
void weight_populate(const struct weight_view *weight);
void weight_release(const struct weight_view *weight);

#endif
