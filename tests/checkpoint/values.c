#include "values.h"

#include <endian.h>
#include <math.h>
#include <string.h>

// ---- random numbers ----

static const uint64_t GOLDEN = 0x9e3779b97f4a7c15;

// The finalizer of SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators).
static uint64_t mix(uint64_t x) {
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
  x = (x ^ x >> 27) * 0x94d049bb133111eb;
  return x ^ x >> 31;
}

static uint64_t random_word(uint64_t key, uint64_t i) {
  return mix(key + (i + 1) * GOLDEN);
}

uint64_t name_key(uint64_t seed, const char *name) {
  uint64_t key = mix(seed + GOLDEN);
  for (; *name; name++)
    key = mix(key + GOLDEN + (uint8_t)*name);
  return key;
}

// ---- the contents of tensors ----

static uint32_t bits_of(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

// To nearest even; the value is finite.
static uint16_t narrow_bf16(float value) {
  uint32_t bits = bits_of(value);
  return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

// To nearest even; |value| < 65504.
static uint16_t narrow_f16(float value) {
  uint32_t bits = bits_of(value), magnitude = bits & 0x7fffffff;
  uint32_t half;
  if (magnitude < bits_of(0x1p-14f)) // subnormal: a multiple of 2^-24
    half = (uint32_t)lrintf(fabsf(value) * 0x1p24f);
  else
    half = (magnitude - ((127 - 15) << 23) + 0xfff + (magnitude >> 13 & 1)) >> 13;
  return (uint16_t)(bits >> 16 & 0x8000) | (uint16_t)half;
}

static void store(uint8_t *out, enum dtype dtype, float value) {
  const uint32_t wide = htole32(bits_of(value));
  uint16_t narrow;
  if (dtype == DTYPE_F32) {
    memcpy(out, &wide, sizeof wide);
    return;
  }
  narrow = htole16(dtype == DTYPE_F16 ? narrow_f16(value) : narrow_bf16(value));
  memcpy(out, &narrow, sizeof narrow);
}

// The sum of the four 16-bit quarters of a word is close enough to a normal distribution, and
// exact. Its variance is 4 (2^32 - 1) / 12. The mean is added to the integer, so that only one
// rounding is left, whatever a compiler contracts.
static void fill_normal(uint8_t *out, const struct spec *spec, uint64_t first, size_t n) {
  const size_t size = dtype_bytes(spec->dtype);
  const double step = spec->std / sqrt(4294967295.0 / 3);
  const int32_t shift = (int32_t)lrint(spec->mean / step) - 4 * 65535 / 2;
  for (size_t i = 0; i < n; i++) {
    const uint64_t word = random_word(spec->key, first + i);
    const uint64_t sum =
        (word & 0xffff) + (word >> 16 & 0xffff) + (word >> 32 & 0xffff) + (word >> 48);
    store(out + i * size, spec->dtype, (float)((int32_t)sum + shift) * (float)step);
  }
}

// Any byte holds two codes, so a random word makes eight bytes.
static void fill_codes(uint8_t *out, const struct spec *spec, uint64_t first, size_t n) {
  for (size_t i = 0; i < n; i += sizeof(uint64_t)) {
    const uint64_t word = htole64(random_word(spec->key, (first + i) / sizeof word));
    memcpy(out + i, &word, sizeof word);
  }
}

// Random codes stand for +-{0, .5, 1, 1.5, 2, 3, 4, 6}, whose mean square is 8.5625. Scales of 2^e
// and 2^(e+1) are mixed so that the mean square of the matrix is std^2.
static void fill_scales(uint8_t *out, const struct spec *spec, uint64_t first, size_t n) {
  const double square = spec->std * spec->std / 8.5625; // mean square of the scales
  const int e = (ilogb(square) - (ilogb(square) & 1)) / 2;
  const double larger = (ldexp(square, -2 * e) - 1) / 3; // fraction of groups with e + 1
  const uint64_t threshold = (uint64_t)(larger * 0x1p32);
  for (size_t i = 0; i < n; i++)
    out[i] = (uint8_t)(127 + e + (random_word(spec->key, first + i) >> 32 < threshold));
}

void fill(uint8_t *out, const struct spec *spec, uint64_t first, size_t n) {
  const size_t size = dtype_bytes(spec->dtype);
  switch (spec->content) {
  case CONTENT_NORMAL:
    fill_normal(out, spec, first / size, n / size);
    break;
  case CONTENT_CODES:
    fill_codes(out, spec, first, n);
    break;
  case CONTENT_SCALES:
    fill_scales(out, spec, first, n);
    break;
  }
}
