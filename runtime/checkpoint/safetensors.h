// Reads the safetensors files of a HF checkpoint folder in place, through one read-only map per
// file. Every entry of every header is checked before the first tensor can be looked up.
#ifndef GETP_CHECKPOINT_SAFETENSORS_H
#define GETP_CHECKPOINT_SAFETENSORS_H

#include "base/error.h"
#include "checkpoint/tensor.h"

struct safetensors;

// Maps DIRECTORY/model.safetensors, or every file that DIRECTORY/model.safetensors.index.json
// names. Refuses a header that is cut off, is not JSON, names a tensor twice, or does not describe
// exactly the bytes that follow it. The caller closes *out.
bool safetensors_open(struct safetensors **out, const char *directory, struct error *err);
void safetensors_close(struct safetensors *checkpoint);

// The tensor of that name, or NULL.
const struct tensor *safetensors_find(const struct safetensors *checkpoint, const char *name);

// Tensor `index` in the order of their names, or NULL after the last one.
const struct tensor *safetensors_at(const struct safetensors *checkpoint, size_t index);

// The tensor of that name if it has exactly that shape, of `rank` numbers. Otherwise NULL with a
// message that has both shapes.
const struct tensor *safetensors_require(const struct safetensors *checkpoint, const char *name,
                                         int rank, const int64_t *shape, struct error *err);

#endif
