// The kernels of precision `mixed` that work on whole rows are built from these: one block has one
// row, each thread some quads of it (four neighbouring elements). Sums have the same order for
// every row.
#ifndef GETP_TARGET_MIXED_ROWS_H
#define GETP_TARGET_MIXED_ROWS_H

#include "target/mixed/machine.h"
#include "target/mixed/vectors.h"

// The elements of a row of N that thread t holds: 4t..4t+3, and the same 4 THREADS further on, as
// often as the row is long.
template <int N, int THREADS> struct row_slice {
  static_assert(N % 4 == 0, "whole quads");
  static constexpr int COUNT = (N / 4 + THREADS - 1) / THREADS;
  float4 value[COUNT];

  static DEVICE_MEMBER size_t first(int j) {
    return (threadIdx.x + (size_t)j * THREADS) * 4;
  }
  // Whether the row has quad j of this thread. Only the last quad may be outside.
  static DEVICE_MEMBER bool has(int j) {
    return j + 1 < COUNT || first(j) < N;
  }
  // value = f(first element of a quad). A thread without a last quad calls f with the row's last
  // quad, so that no load waits for a branch.
  template <class F> DEVICE_MEMBER void fill(F f) {
#pragma unroll
    for (int j = 0; j < COUNT; j++)
      value[j] = f(has(j) ? first(j) : N - 4);
  }
  // Calls f(first element of a quad, its values, the values of `other`).
  template <class F> DEVICE_MEMBER void each(const row_slice &other, F f) const {
#pragma unroll
    for (int j = 0; j < COUNT; j++)
      if (has(j))
        f(first(j), value[j], other.value[j]);
  }
  // 1 / sqrt(mean of squares + eps). All threads of the block must call it. The sums of each WAVE
  // quads are added in order, so that it does not depend on the number of threads.
  DEVICE_MEMBER float inverse_rms(float eps) const {
    constexpr int SUMS = (N / 4 + WAVE - 1) / WAVE, WAVES = THREADS / WAVE;
    __shared__ float sum[SUMS];
    const int wave = (int)threadIdx.x / WAVE;
    float total = 0;
    __syncthreads();
#pragma unroll
    for (int j = 0; j < COUNT; j++) {
      const float squares = wave_sum(has(j) ? dot(value[j], value[j]) : 0);
      if (threadIdx.x % WAVE == 0 && wave + j * WAVES < SUMS)
        sum[wave + j * WAVES] = squares;
    }
    __syncthreads();
    for (int i = 0; i < SUMS; i++)
      total += sum[i];
    return reciprocal_root(total * (1.0f / N) + eps);
  }
};

// Stores zeros in elements N..PADDED-1 of a row of halves.
template <int N, int PADDED, int THREADS> DEVICE void pad_row(uint16_t *row) {
  for (int i = N + (int)threadIdx.x; i < PADDED; i += THREADS)
    row[i] = 0;
}

// Four neighbouring elements of a table, as they lie in memory: BF16 or FP32.
template <class T> struct quad_of;

template <> struct quad_of<uint16_t> {
  uint2 bits;
  DEVICE_MEMBER void load(const uint16_t *from) {
    bits = *(const uint2 *)from;
  }
  DEVICE_MEMBER float4 get() const {
    return make_float4(bits_as<float>(bits.x << 16), bits_as<float>(bits.x & 0xffff0000u),
                       bits_as<float>(bits.y << 16), bits_as<float>(bits.y & 0xffff0000u));
  }
};

template <> struct quad_of<float> {
  float4 values;
  DEVICE_MEMBER void load(const float *from) {
    values = *(const float4 *)from;
  }
  DEVICE_MEMBER float4 get() const {
    return values;
  }
};

#endif
