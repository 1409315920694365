// The number types of a checkpoint's tensors.
#ifndef GETP_CHECKPOINT_DTYPE_H
#define GETP_CHECKPOINT_DTYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum dtype { DTYPE_U8, DTYPE_F16, DTYPE_BF16, DTYPE_F32 };

// Finds a type by its name in safetensors, such as "BF16". Returns false for an unknown name.
bool dtype_parse(enum dtype *dtype, const char *name);

// The name in safetensors, and the bytes of one number.
const char *dtype_name(enum dtype dtype);
size_t dtype_bytes(enum dtype dtype);

// Widens n numbers to float, exactly. A U8 is a whole number.
void dtype_widen(float *out, const uint8_t *data, enum dtype dtype, size_t n);

#endif
