// The number types of a checkpoint's tensors.
#ifndef GETP_CHECKPOINT_DTYPE_H
#define GETP_CHECKPOINT_DTYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// DTYPE_OTHER stands for every type that no weight may have.
enum dtype { DTYPE_U8, DTYPE_F16, DTYPE_BF16, DTYPE_F32, DTYPE_OTHER };

// Finds a type by its name in safetensors, such as "BF16".
enum dtype dtype_parse(const char *name);

// The bits of one number of a type of safetensors, of any of them. 0 for a name that this program
// does not know, since new versions of the format add types.
size_t dtype_bits(const char *name);

// The name in safetensors, and the bytes of one number: 0 for DTYPE_OTHER, which has no name.
const char *dtype_name(enum dtype dtype);
size_t dtype_bytes(enum dtype dtype);

// Widens n numbers to float, exactly. A U8 is a whole number.
void dtype_widen(float *out, const uint8_t *data, enum dtype dtype, size_t n);

// Rounds n floats to BF16, to nearest even. An infinity or a NaN stays one.
void dtype_round_bf16(uint16_t *out, const float *values, size_t n);

#endif
