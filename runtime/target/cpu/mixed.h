// The primitives of cpu kernels: expanding weights to float, products of a row and a tile of
// weights, sums and exponentials. Every dimension is a constant after inlining, and every inner
// loop has a constant length or is a plain loop over an array, so that the compiler vectorises it.
//
// The source fixes the order of every sum and writes each fused multiply-add. A result therefore
// does not depend on the vector width of the machine, the number of rows or the number of threads.
#ifndef GETP_TARGET_CPU_MIXED_H
#define GETP_TARGET_CPU_MIXED_H

#include <assert.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#define ALWAYS_INLINE static inline __attribute__((always_inline))

enum {
  LANES = 16, // partial sums of a dot product: lane l adds the products l, l + LANES, ...
  // Features whose weights are expanded together. The weights of a matrix are feature-major if each
  // feature's lie side by side, and column-major if the weights of all features for one column of K
  // do; then a tile is as wide as a cache line of bf16.
  FEATURE_MAJOR_TILE = 4,
  COLUMN_MAJOR_TILE = 32,
};

// Adds the lanes pairwise.
ALWAYS_INLINE float sum_lanes(const float *lane) {
  float eight[8], four[4];
#pragma omp simd
  for (int l = 0; l < 8; l++)
    eight[l] = lane[l] + lane[l + 8];
#pragma omp simd
  for (int l = 0; l < 4; l++)
    four[l] = eight[l] + eight[l + 4];
  return (four[0] + four[2]) + (four[1] + four[3]);
}

// sum a[i] * b[i], i in [0, n)
ALWAYS_INLINE float dot(int n, const float *restrict a, const float *restrict b) {
  float lane[LANES] = {0};
  const int whole = n - n % LANES;
  for (int i = 0; i < whole; i += LANES)
#pragma omp simd
    for (int l = 0; l < LANES; l++)
      lane[l] = fmaf(a[i + l], b[i + l], lane[l]);
#pragma omp simd
  for (int l = 0; l < n - whole; l++)
    lane[l] = fmaf(a[whole + l], b[whole + l], lane[l]);
  return sum_lanes(lane);
}

// y[i] += scale * x[i], i in [0, n)
ALWAYS_INLINE void add_scaled(int n, float *restrict y, float scale, const float *restrict x) {
#pragma omp simd
  for (int i = 0; i < n; i++)
    y[i] = fmaf(scale, x[i], y[i]);
}

// e^x within 2 ulp for x in [-87, 88]; x outside is clamped. With x = n ln 2 + r, |r| <= ln 2 / 2,
// e^x = 2^n e^r, and e^r is its series up to r^7. ln 2 is split in two as in Cody and Waite (1980,
// chapter 6).
ALWAYS_INLINE float exp_f32(float x) {
  const float ROUND =
      12582912.0f; // 1.5 * 2^23: adding it leaves the nearest integer in the low bits
  x = x < -87.0f ? -87.0f : x;
  x = x > 88.0f ? 88.0f : x;
  const float shifted = fmaf(x, 1.44269504f, ROUND);
  const float n = shifted - ROUND;
  const float r = fmaf(n, -1.42860677e-6f, fmaf(n, -0.693145752f, x));
  float p = 1.0f / 5040;
  p = fmaf(p, r, 1.0f / 720);
  p = fmaf(p, r, 1.0f / 120);
  p = fmaf(p, r, 1.0f / 24);
  p = fmaf(p, r, 1.0f / 6);
  p = fmaf(p, r, 0.5f);
  p = fmaf(p, r, 1.0f);
  p = fmaf(p, r, 1.0f);
  uint32_t bits, power;
  memcpy(&power, &shifted, sizeof power);
  memcpy(&bits, &p, sizeof bits);
  bits += power << 23;
  memcpy(&p, &bits, sizeof p);
  return p;
}

// ---- weights to float ----
// Weights are read where they lie in the mapped checkpoint, so they have no alignment.

// Copies n floats.
ALWAYS_INLINE void expand_f32(int n, float *restrict out, const uint8_t *restrict in) {
  memcpy(out, in, (size_t)n * sizeof *out);
}

// A bf16 is the upper half of a float.
ALWAYS_INLINE void expand_bf16(int n, float *restrict out, const uint8_t *restrict in) {
#pragma omp simd
  for (int i = 0; i < n; i++) {
    uint16_t half;
    memcpy(&half, in + 2 * i, sizeof half);
    const uint32_t bits = (uint32_t)half << 16;
    memcpy(&out[i], &bits, sizeof bits);
  }
}

// Twice the value of an e2m1 code: {0, 1, 2, 3, 4, 6, 8, 12}, negative if bit 3 is set. Bytes let a
// vector hold as many values as it can.
ALWAYS_INLINE int8_t e2m1_doubled(uint8_t code) {
  const uint8_t t = code & 7;
  const uint8_t above4 = (uint8_t)((t > 4 ? t : 4) - 4);
  const uint8_t v = (uint8_t)(t + above4 + (t == 7 ? 2 : 0));
  const uint8_t sign = code & 8 ? 0xff : 0;
  return (int8_t)(uint8_t)((v ^ sign) - sign);
}

// 2^(scale - 128); it is subnormal for scale 0 and 1. Scale 255 is NaN.
ALWAYS_INLINE float half_scale(uint8_t scale) {
  const uint32_t number = scale > 1 ? (uint32_t)(scale - 1) << 23 : 0x200000u << scale;
  const uint32_t bits = scale < 255 ? number : 0x7fc00000u;
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

// Expands the n MXFP4 weights of one feature (OCP Microscaling Formats 1.0): n / 2 bytes of codes,
// the even column in the low nibble, and one scale byte per 32 columns. The value of a weight is
// e2m1(code) * 2^(scale - 127). `doubled` is scratch memory of n bytes.
ALWAYS_INLINE void expand_mxfp4(int n, float *restrict out, const uint8_t *restrict codes,
                                const uint8_t *restrict scales, int8_t *restrict doubled) {
#pragma omp simd
  for (int b = 0; b < n / 2; b++) {
    doubled[2 * b] = e2m1_doubled(codes[b] & 15);
    doubled[2 * b + 1] = e2m1_doubled(codes[b] >> 4);
  }
  for (int block = 0; block < n / 32; block++) {
    const float scale = half_scale(scales[block]);
#pragma omp simd
    for (int i = 32 * block; i < 32 * block + 32; i++)
      out[i] = (float)doubled[i] * scale;
  }
}

// ---- products ----

// sum[f] = x . tile[f] for each of `features` features, whose tile is feature-major: [features][k].
// Each sum has the order of dot(). Four features are computed together, to load x once for them.
ALWAYS_INLINE void product_feature_major(int k, int features, const float *restrict x,
                                         const float *restrict tile, float *restrict sum) {
  const int whole = k - k % LANES;
  for (int f = 0; f < features; f += 4) {
    const float *w[4];
    float lane[4][LANES] = {{0}};
    for (int j = 0; j < 4; j++) // after the last feature the last one is repeated
      w[j] = tile + (size_t)(f + j < features ? f + j : features - 1) * (size_t)k;
    for (int i = 0; i < whole; i += LANES)
#pragma GCC unroll 4
      for (int j = 0; j < 4; j++)
#pragma omp simd
        for (int l = 0; l < LANES; l++)
          lane[j][l] = fmaf(w[j][i + l], x[i + l], lane[j][l]);
    for (int j = 0; j < 4; j++)
#pragma omp simd
      for (int l = 0; l < k - whole; l++)
        lane[j][l] = fmaf(w[j][whole + l], x[whole + l], lane[j][l]);
    for (int j = 0; j < 4 && f + j < features; j++)
      sum[f + j] = sum_lanes(lane[j]);
  }
}

// sum[f] = sum over i of x[i] * tile[i][f] in the order of i for each of `features` features, whose
// tile is column-major: [k][COLUMN_MAJOR_TILE].
ALWAYS_INLINE void product_column_major(int k, int features, const float *restrict x,
                                        const float *restrict tile, float *restrict sum) {
  float total[COLUMN_MAJOR_TILE] = {0};
  for (int i = 0; i < k; i++)
#pragma omp simd
    for (int f = 0; f < COLUMN_MAJOR_TILE; f++)
      total[f] = fmaf(x[i], tile[(size_t)i * COLUMN_MAJOR_TILE + (size_t)f], total[f]);
  memcpy(sum, total, (size_t)features * sizeof *sum);
}

#endif
