// What the kernels of precision `mixed` that work on whole rows are made of: one block of threads a row,
// every thread with some of its elements. Sums have one order, the same for every row.
#ifndef GETP_TARGET_ROWS_H
#define GETP_TARGET_ROWS_H

constexpr int BLOCK_WAVES = BLOCK / WAVE;

template <class Combine> DEVICE float wave_reduce(float value, Combine combine) {
#pragma unroll
  for (int step = WAVE / 2; step > 0; step /= 2)
    value = combine(value, __shfl_xor(value, step));
  return value;
}

// The sum over a block, the same for every thread. All threads must come.
DEVICE float block_total(float value) {
  __shared__ float of_wave[BLOCK_WAVES];
  const auto add = [](float a, float b) { return a + b; };
  value = wave_reduce(value, add);
  __syncthreads();
  if (threadIdx.x % WAVE == 0)
    of_wave[threadIdx.x / WAVE] = value;
  __syncthreads();
  value = 0;
  for (int w = 0; w < BLOCK_WAVES; w++)
    value += of_wave[w];
  return value;
}

// A thread's elements of a row of N: t, t + BLOCK, ...
template <int N> struct row_part {
  static constexpr int COUNT = (N + BLOCK - 1) / BLOCK;
  float value[COUNT];

  static DEVICE_MEMBER bool has(int j) {
    return (int)threadIdx.x + j * BLOCK < N;
  }
  // value = f(element)
  template <class F> DEVICE_MEMBER void fill(F f) {
#pragma unroll
    for (int j = 0; j < COUNT; j++)
      value[j] = has(j) ? f((int)threadIdx.x + j * BLOCK) : 0;
  }
  // f(element, value)
  template <class F> DEVICE_MEMBER void each(F f) const {
#pragma unroll
    for (int j = 0; j < COUNT; j++)
      if (has(j))
        f((int)threadIdx.x + j * BLOCK, value[j]);
  }
  // 1 / sqrt(mean of squares + eps); all threads must come
  DEVICE_MEMBER float inverse_rms(float eps) const {
    float squares = 0;
#pragma unroll
    for (int j = 0; j < COUNT; j++)
      squares += value[j] * value[j];
    return 1.0f / sqrtf(block_total(squares) / N + eps);
  }
};

// Writes elements N..PADDED-1 of a row of halves as zeros.
template <int N, int PADDED> DEVICE void pad_row(uint16_t *row) {
  for (int i = N + (int)threadIdx.x; i < PADDED; i += BLOCK)
    row[i] = 0;
}

// Eight consecutive elements of a row of weights, as they lie in memory.
template <class T> struct octet_of;

template <> struct octet_of<uint16_t> {
  uint4 pairs;
  DEVICE_MEMBER void load(const uint16_t *from) {
    pairs = *(const uint4 *)from;
  }
  DEVICE_MEMBER float get(int i) const {
    const uint32_t pair = i < 2 ? pairs.x : i < 4 ? pairs.y : i < 6 ? pairs.z : pairs.w;
    return bits_as<float>(i % 2 == 0 ? pair << 16 : pair & 0xffff0000u);
  }
};

template <> struct octet_of<float> {
  float4 half[2];
  DEVICE_MEMBER void load(const float *from) {
    half[0] = ((const float4 *)from)[0];
    half[1] = ((const float4 *)from)[1];
  }
  DEVICE_MEMBER float get(int i) const {
    const float4 &four = half[i / 4];
    return i % 4 == 0 ? four.x : i % 4 == 1 ? four.y : i % 4 == 2 ? four.z : four.w;
  }
};

DEVICE uint16_t to_half(float value) {
  return (uint16_t)to_halves(value, 0);
}

#endif
