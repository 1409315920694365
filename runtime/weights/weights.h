// The weights of a tree, made from the tensors of a checkpoint: found by name and shape, and
// converted while they are read, in pieces of any size.
#ifndef GETP_WEIGHTS_WEIGHTS_H
#define GETP_WEIGHTS_WEIGHTS_H

#include "checkpoint/checkpoint.h"

// How the checkpoint holds a weight.
enum checkpoint_form {
  FORM_PLAIN,      // one tensor of the same shape, of any float type
  FORM_MXFP4,      // two tensors, NAME_blocks and NAME_scales
  FORM_TRANSPOSED, // one tensor (experts, k, n) for a weight (experts, n, k)
};

// The number type in which a tree stores a weight. Packed files know the tree by these values.
enum weight_type {
  STORED_BF16 = 1,
  STORED_F32,
  STORED_F16,   // in tiles only
  STORED_MXFP4, // in tiles and panels only, and only from FORM_MXFP4
};

// The order in which a tree stores the numbers of a weight.
enum weight_layout {
  LAYOUT_CONTIGUOUS,   // in C order
  LAYOUT_PAIRS,        // a vector, paired within heads as LAYOUT_PAIRED_TILES
  LAYOUT_TILES,        // matrices in tiles, see formats/tiles.h
  LAYOUT_PAIRED_TILES, // in tiles whose features are paired within heads, see weights/tiles.h
  LAYOUT_WOVEN_TILES,  // in woven tiles
  LAYOUT_PANELS,       // matrices in panels, see formats/panels.h; not MXFP4 as another type
};

// A weight of a tree: one line of its weights.inc.
struct weight_spec {
  const char *name;
  enum checkpoint_form form;
  enum weight_type stored;
  enum weight_layout layout;
  int64_t offset; // in the packed weights, or WEIGHT_MAPPED
  int64_t d_head; // of the model
  int64_t shape[TENSOR_MAX_RANK];
};

// Instead of an offset: the tree reads the weight in place, in the map of its file. If the
// checkpoint has it in another dtype, or flipped, it is converted into memory of its own.
enum { WEIGHT_MAPPED = -1 };

// All weights of a tree, in the order of weights.inc.
struct weight_table {
  const char *tree; // its name
  const struct weight_spec *specs;
  int n;
  size_t packed_bytes; // the end of the last packed weight
  bool on_host;        // the tree runs on the host: it reads all weights of a packed file in place
};

// A weight and the tensors of a checkpoint that it is made from.
struct weight_view {
  const struct weight_spec *spec;
  const struct tensor *tensor, *scales; // scales for FORM_MXFP4 alone
  bool transposed; // the last two dimensions of the tensor are those of the weight, exchanged
};

// Bytes of a weight as the tree stores it.
size_t weight_bytes(const struct weight_spec *spec);

// Pieces of a stored weight begin and end at multiples of this many bytes.
size_t weight_granule(const struct weight_spec *spec);

// The offset of a weight in an image that holds all weights of a table: first the packed ones at
// their offsets, then, from `*end` on, the mapped ones. *end begins as packed_bytes; the caller
// asks for the weights in the order of the table, and a mapped one moves *end to the next multiple
// of 64 after it.
size_t weight_offset(const struct weight_spec *spec, size_t *end);

// Finds the tensors of a weight. Names a tensor that is missing, of another shape, or of a dtype
// that no weight may have: blocks and scales are U8, all others BF16, F16 or F32.
bool weight_find(struct weight_view *view, const struct weight_spec *spec,
                 const struct checkpoint *checkpoint, struct error *err);

// True if the tree reads the weight in place: a mapped one that the checkpoint has as it is stored.
bool weight_is_mapped(const struct weight_view *view);

// Writes bytes [first, first + n) of the stored weight to `out`, with all threads. Both bounds are
// multiples of its granule. Rounds to nearest even; an infinity or a NaN stays one.
void weight_read(const struct weight_view *view, size_t first, size_t n, void *out);

// Let the kernel read all pages now, or drop them, that the weight is made from in the maps of its
// tensors. Most weights need none.
void weight_populate(const struct weight_view *view);
void weight_release(const struct weight_view *view);

#endif
