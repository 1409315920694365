// A tensor of a checkpoint, in the map of its file.
#ifndef GETP_CHECKPOINT_TENSOR_H
#define GETP_CHECKPOINT_TENSOR_H

#include "checkpoint/dtype.h"

#include <stddef.h>
#include <stdint.h>

enum { TENSOR_MAX_RANK = 4 };

struct tensor {
  const char *name;
  const uint8_t *data; // in the map; may have any alignment
  size_t bytes;
  enum dtype dtype;
  // The last two dimensions lie the other way round than in HF's tensor of that name: unpacked
  // experts as (experts, features, columns) where HF has (experts, columns, features). The shape
  // does not show it, since hidden and intermediate size may be equal.
  bool flipped;
  int rank;
  int64_t shape[TENSOR_MAX_RANK]; // as it lies
};

#endif
