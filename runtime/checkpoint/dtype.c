#include "checkpoint/dtype.h"

#include <endian.h>
#include <string.h>

static const struct {
  const char *name;
  size_t bytes;
} DTYPES[] = {
    [DTYPE_U8] = {"U8", 1},
    [DTYPE_F16] = {"F16", 2},
    [DTYPE_BF16] = {"BF16", 2},
    [DTYPE_F32] = {"F32", 4},
};

const char *dtype_name(enum dtype dtype) {
  return DTYPES[dtype].name;
}

size_t dtype_bytes(enum dtype dtype) {
  return dtype == DTYPE_OTHER ? 0 : DTYPES[dtype].bytes;
}

enum dtype dtype_parse(const char *name) {
  enum dtype dtype = DTYPE_U8;
  while (dtype < DTYPE_OTHER && strcmp(name, DTYPES[dtype].name) != 0)
    dtype++;
  return dtype;
}

// The types of version 0.6 of the safetensors library.
size_t dtype_bits(const char *name) {
  static const struct {
    size_t bits;
    const char *names[8];
  } SIZES[] = {
      {4, {"F4"}},
      {6, {"F6_E2M3", "F6_E3M2"}},
      {8, {"BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0"}},
      {16, {"U16", "I16", "F16", "BF16"}},
      {32, {"U32", "I32", "F32"}},
      {64, {"U64", "I64", "F64", "C64"}},
  };
  for (size_t i = 0; i < sizeof SIZES / sizeof *SIZES; i++)
    for (const char *const *each = SIZES[i].names; *each; each++)
      if (strcmp(name, *each) == 0)
        return SIZES[i].bits;
  return 0;
}

static float float_of_bits(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

static uint16_t load_u16(const uint8_t *data) {
  uint16_t bits;
  memcpy(&bits, data, sizeof bits);
  return le16toh(bits);
}

// IEEE 754 binary16: 1 sign, 5 exponent (bias 15), 10 fraction bits.
static float widen_f16(uint16_t half) {
  uint32_t sign = (uint32_t)(half >> 15) << 31, exponent = half >> 10 & 31, fraction = half & 1023;
  if (exponent == 0) // zero or subnormal: fraction * 2^-24
    return sign ? -0x1p-24f * (float)fraction : 0x1p-24f * (float)fraction;
  uint32_t wide = exponent == 31 ? 255 : exponent + (127 - 15);
  return float_of_bits(sign | wide << 23 | fraction << 13);
}

void dtype_widen(float *out, const uint8_t *data, enum dtype dtype, size_t n) {
  switch (dtype) {
  case DTYPE_U8:
    for (size_t i = 0; i < n; i++)
      out[i] = data[i];
    break;
  case DTYPE_F16:
    for (size_t i = 0; i < n; i++)
      out[i] = widen_f16(load_u16(data + 2 * i));
    break;
  case DTYPE_BF16:
    for (size_t i = 0; i < n; i++)
      out[i] = float_of_bits((uint32_t)load_u16(data + 2 * i) << 16);
    break;
  case DTYPE_F32:
    memcpy(out, data, n * sizeof *out);
    break;
  case DTYPE_OTHER:
    break;
  }
}

static uint16_t round_bf16(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  const uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
  return (uint16_t)((bits & 0x7fffffff) > 0x7f800000 ? bits >> 16 | 64 : rounded);
}

void dtype_round_bf16(uint16_t *out, const float *values, size_t n) {
  for (size_t i = 0; i < n; i++)
    out[i] = htole16(round_bf16(values[i]));
}
