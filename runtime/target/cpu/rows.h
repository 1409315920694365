// The primitives of kernels that go by rows: sums, exponentials and embeddings. Every dimension is
// a constant after inlining, and every inner loop has a constant length or is a plain loop over an
// array, so that the compiler vectorises it.
#ifndef GETP_TARGET_CPU_ROWS_H
#define GETP_TARGET_CPU_ROWS_H

#include "engine/claims.h"
#include "target/cpu/lanes.h"

#include <assert.h>

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

// ---- embeddings to float ----
// They are read where they lie in the mapped file, so they have no alignment.

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

#endif
