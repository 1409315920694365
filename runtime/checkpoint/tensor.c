#include "checkpoint/tensor.h"

const char *tensor_dtype_name(const struct tensor *tensor) {
  return tensor->other_dtype ? tensor->other_dtype : dtype_name(tensor->dtype);
}

bool tensor_check_dtype(const struct tensor *tensor, bool bytes, struct error *err) {
  const enum dtype dtype = tensor->dtype;
  return dtype != DTYPE_OTHER && (dtype == DTYPE_U8) == bytes
             ? true
             : fail(err, "%s: %s: want dtype %s, found %.40s", tensor->file, tensor->name,
                    bytes ? "U8" : "BF16, F16 or F32", tensor_dtype_name(tensor));
}
