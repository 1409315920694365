// Reads the safetensors files of a HF checkpoint folder in place, through one read-only map per
// file. Every entry of every header is checked before the first tensor can be looked up.
#ifndef GETP_CHECKPOINT_SAFETENSORS_H
#define GETP_CHECKPOINT_SAFETENSORS_H

#include "base/error.h"
#include "checkpoint/dtype.h"

#include <stddef.h>
#include <stdint.h>

enum { TENSOR_MAX_RANK = 4 };

struct tensor {
  const char *name, *file; // as in the file; the path of the file
  const uint8_t *data;     // in the map; may have any alignment
  size_t bytes;
  enum dtype dtype;
  const char *other_dtype; // for DTYPE_OTHER: its name in the file
  int rank;
  int64_t shape[TENSOR_MAX_RANK]; // the first sizes, if there are more
};

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

// The tensor of that name if it has exactly that shape, of `rank` numbers. Otherwise NULL with a
// message that has both shapes.
const struct tensor *safetensors_require(const struct safetensors *checkpoint, const char *name,
                                         int rank, const int64_t *shape, struct error *err);

// The name of its dtype, as in the file.
const char *tensor_dtype_name(const struct tensor *tensor);

// Refuses, by file and name, a tensor that is not of a float type that weights may have; or, if
// `bytes`, that is not U8.
bool tensor_check_dtype(const struct tensor *tensor, bool bytes, struct error *err);

// Lets the kernel drop the mapped pages of a tensor, which will not be read again soon.
void safetensors_release(const struct tensor *tensor);

#endif
