// The number types of a checkpoint's tensors.
#ifndef GETP_CHECKPOINT_DTYPE_H
#define GETP_CHECKPOINT_DTYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum dtype { DTYPE_U8, DTYPE_F16, DTYPE_BF16, DTYPE_F32 };

// Finds a type by its safetensors name ("BF16"); false if there is none of that name.
bool dtype_parse(enum dtype *dtype, const char *name);

// "BF16", ...; and the bytes of one element.
const char *dtype_name(enum dtype dtype);
size_t dtype_bytes(enum dtype dtype);

// Widens n elements of data to float, exactly; U8 counts as whole numbers.
void dtype_widen(float *out, const uint8_t *data, enum dtype dtype, size_t n);

#endif
