// A tensor of a checkpoint, in the map of its file. A tensor of no weight may have any dtype and
// rank.
#ifndef GETP_CHECKPOINT_TENSOR_H
#define GETP_CHECKPOINT_TENSOR_H

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
  // The last two dimensions lie the other way round than in HF's tensor of that name: unpacked
  // experts as (experts, features, columns) where HF has (experts, columns, features). The shape
  // does not show it, since hidden and intermediate size may be equal.
  bool flipped;
  int rank;
  int64_t shape[TENSOR_MAX_RANK]; // as it lies; the first sizes, if there are more
};

// The name of its dtype, as in the file.
const char *tensor_dtype_name(const struct tensor *tensor);

// Refuses, by file and name, a tensor that is not of a float type that weights may have; or, if
// `bytes`, that is not U8.
bool tensor_check_dtype(const struct tensor *tensor, bool bytes, struct error *err);

#endif
