// Reads the safetensors files of a HF checkpoint folder in place: one read-only map a file, every
// entry of every header checked before any tensor is handed out.
#ifndef GETP_CHECKPOINT_SAFETENSORS_H
#define GETP_CHECKPOINT_SAFETENSORS_H

#include "base/error.h"
#include "checkpoint/dtype.h"

#include <stddef.h>
#include <stdint.h>

enum { TENSOR_MAX_RANK = 4 };

struct tensor {
  const char *name;
  const uint8_t *data; // in the map; aligned to nothing
  size_t bytes;
  enum dtype dtype;
  int rank;
  int64_t shape[TENSOR_MAX_RANK];
};

struct safetensors;

// Maps DIRECTORY/model.safetensors, or every file that DIRECTORY/model.safetensors.index.json
// names. Refuses a header that is cut off, is not JSON, names a tensor twice, or whose dtypes,
// shapes and offsets do not describe exactly the bytes that follow it. The caller closes *out.
bool safetensors_open(struct safetensors **out, const char *directory, struct error *err);
void safetensors_close(struct safetensors *checkpoint);

// NULL if there is no such tensor.
const struct tensor *safetensors_find(const struct safetensors *checkpoint, const char *name);

// The tensor of that name with exactly that shape (rank numbers), or NULL with a message that says
// what was wanted and what the file has.
const struct tensor *safetensors_want(const struct safetensors *checkpoint, const char *name,
                                      int rank, const int64_t *shape, struct error *err);

// Tells the kernel that a tensor's mapped pages will not be read again soon.
void safetensors_release(const struct tensor *tensor);

#endif
