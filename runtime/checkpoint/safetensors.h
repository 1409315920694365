// Reads the safetensors files of a HF checkpoint folder in place, through one read-only map per
// file. Every entry of every header is checked before the first tensor can be looked up.
#ifndef GETP_CHECKPOINT_SAFETENSORS_H
#define GETP_CHECKPOINT_SAFETENSORS_H

#include "base/error.h"
#include "checkpoint/tensor.h"

struct safetensors;

// Maps DIRECTORY/model.safetensors; or every file that DIRECTORY/model.safetensors.index.json
// names; or the files that shard_names_find finds. Refuses a header that is cut off, breaks a rule
// of the format, or does not describe exactly the bytes that follow it, and a tensor that is in two
// files. A tensor may have any dtype and any shape, also those of no weight. The caller closes
// *out.
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
