// A checkpoint's tensors as a tree stores them: found by name and shape, read in any piece,
// converted on the way.
#ifndef GETP_WEIGHTS_H
#define GETP_WEIGHTS_H

#include "checkpoint/safetensors.h"

// How the checkpoint holds a stored tensor.
enum weight_source {
  SOURCE_PLAIN,      // as it is stored, in any float type, or as bytes
  SOURCE_MXFP4,      // NAME_blocks and NAME_scales
  SOURCE_TRANSPOSED, // [experts, k, n] for a stored [experts, n, k]
};

// What weights.inc says of a tensor.
struct weight_row {
  const char *name;
  enum weight_source source;
  enum dtype stored;
  int64_t offset; // in the packed weights, or WEIGHT_MAPPED
  int64_t shape[TENSOR_MAX_RANK];
};

enum { WEIGHT_MAPPED = -1 };

// A tensor found.
struct weight_view {
  const struct weight_row *row;
  const struct tensor *tensor, *scales; // scales: of SOURCE_MXFP4
  size_t elements;
};

size_t weight_elements(const struct weight_row *row);

// Refuses, by name, a tensor that is missing, of another shape, or of a type that cannot be stored
// as the row says; a mapped one must have the stored type itself.
bool weight_find(struct weight_view *weight, const struct weight_row *row,
                 const struct safetensors *checkpoint, struct error *err);

// Writes elements [first, first + n) as stored to `out`. For SOURCE_MXFP4 first and n are multiples
// of
// 32. BF16 is rounded to nearest even, a NaN stays one.
void weight_read(const struct weight_view *weight, size_t first, size_t n, void *out);

#endif
