// What the kernels of precision `mixed` that work on whole rows are made of: one block of threads a
// row, every thread with some of its elements. Sums have one order, the same for every row.
#ifndef GETP_TARGET_ROWS_H
#define GETP_TARGET_ROWS_H

template <class Combine> DEVICE float wave_reduce(float value, Combine combine) {
#pragma unroll
  for (int step = WAVE / 2; step > 0; step /= 2)
    value = combine(value, __shfl_xor(value, step));
  return value;
}

// The sum over a block of THREADS, the same for every thread. All threads must come.
template <int THREADS> DEVICE float block_total(float value) {
  constexpr int WAVES = THREADS / WAVE;
  __shared__ float of_wave[WAVES];
  const auto add = [](float a, float b) { return a + b; };
  value = wave_reduce(value, add);
  __syncthreads();
  if (threadIdx.x % WAVE == 0)
    of_wave[threadIdx.x / WAVE] = value;
  __syncthreads();
  value = 0;
  for (int w = 0; w < WAVES; w++)
    value += of_wave[w];
  return value;
}

// What thread t of a block has of a row of N: elements t, t + THREADS, ...
template <int N, int THREADS> struct row_part {
  static constexpr int COUNT = (N + THREADS - 1) / THREADS;
  float value[COUNT];

  static DEVICE_MEMBER bool has(int j) {
    return (int)threadIdx.x + j * THREADS < N;
  }
  // value = f(element). A thread without its last element looks at the row's last in its place, so
  // that no load waits for a branch.
  template <class F> DEVICE_MEMBER void fill(F f) {
#pragma unroll
    for (int j = 0; j < COUNT; j++)
      value[j] = f(has(j) ? (int)threadIdx.x + j * THREADS : N - 1);
#pragma unroll
    for (int j = 0; j < COUNT; j++)
      value[j] = has(j) ? value[j] : 0;
  }
  // f(element, value, the other's value)
  template <class F> DEVICE_MEMBER void each(const row_part &other, F f) const {
#pragma unroll
    for (int j = 0; j < COUNT; j++)
      if (has(j))
        f((int)threadIdx.x + j * THREADS, value[j], other.value[j]);
  }
  // 1 / sqrt(mean of squares + eps); all threads must come
  DEVICE_MEMBER float inverse_rms(float eps) const {
    float squares = 0;
#pragma unroll
    for (int j = 0; j < COUNT; j++)
      squares += value[j] * value[j];
    return 1.0f / sqrtf(block_total<THREADS>(squares) / N + eps);
  }
};

// Writes elements N..PADDED-1 of a row of halves as zeros.
template <int N, int PADDED, int THREADS> DEVICE void pad_row(uint16_t *row) {
  for (int i = N + (int)threadIdx.x; i < PADDED; i += THREADS)
    row[i] = 0;
}

// Two neighbours of a row of weights, as they lie in memory.
template <class T> struct pair_of;

template <> struct pair_of<uint16_t> {
  uint32_t both;
  DEVICE_MEMBER void load(const uint16_t *from) {
    both = *(const uint32_t *)from;
  }
  DEVICE_MEMBER float2 get() const {
    return make_float2(bits_as<float>(both << 16), bits_as<float>(both & 0xffff0000u));
  }
};

template <> struct pair_of<float> {
  float2 both;
  DEVICE_MEMBER void load(const float *from) {
    both = *(const float2 *)from;
  }
  DEVICE_MEMBER float2 get() const {
    return both;
  }
};

DEVICE uint16_t to_half(float value) {
  return (uint16_t)to_halves(value, 0);
}

#endif
