// See samples.h.

#include "samples.h"
#include <hip/hip_runtime.h>

enum { BLOCK = 256, TILE = 16 };

// ---- reverse ----

static __global__ void __launch_bounds__(BLOCK)
    reverse(int mutant, float *__restrict__ y, const float *__restrict__ x, int n) {
  __shared__ float tile[BLOCK];
  int t = (int)threadIdx.x, first = (int)(blockIdx.x * blockDim.x);
  int to = first + t + (mutant == ONE_TOO_FAR) - (mutant == ONE_TOO_EARLY);

  if (mutant != LDS_NOT_WRITTEN || t > 0)
    tile[t] = x[n - BLOCK - first + t];
  if (mutant == BARRIER_IN_BRANCH) {
    if (t < 100)
      __syncthreads();
  } else if (mutant == TWO_BARRIERS_FOR_ONE) {
    if (t < 100)
      __syncthreads();
    else
      __syncthreads();
  } else if (mutant != NO_BARRIER) {
    __syncthreads();
  }
  y[to] = tile[mutant == WRONG_INDEX ? t : BLOCK - 1 - t];
}

hipError_t launch_reverse(enum mutant mutant, float *y, const float *x, int n, hipStream_t stream) {
  hipLaunchKernelGGL(reverse, dim3((unsigned)n / BLOCK), dim3(BLOCK), 0, stream, mutant, y, x, n);
  return hipGetLastError();
}

// ---- matmul ----

static __global__ void matmul(int mutant, float *c, const float *a, const float *b, int n) {
  HIP_DYNAMIC_SHARED(float, tiles)
  float *tile_a = tiles, *tile_b = tiles + TILE * TILE, sum = 0;
  int x = (int)threadIdx.x, y = (int)threadIdx.y;
  int i = (int)blockIdx.y * TILE + y, j = (int)blockIdx.x * TILE + x;

  for (int k = 0; k < n; k += TILE) {
    tile_a[y * TILE + x] = a[i * n + k + x];
    tile_b[y * TILE + x] = b[(k + y) * n + j];
    if (mutant != NO_BARRIER)
      __syncthreads();
#pragma unroll
    for (int l = 0; l < TILE; l++)
      sum += tile_a[y * TILE + l] * tile_b[mutant == WRONG_INDEX ? x * TILE + l : l * TILE + x];
    if (mutant != NO_SECOND_BARRIER)
      __syncthreads();
  }
  c[i * n + j] = sum;
}

hipError_t launch_matmul(enum mutant mutant, float *c, const float *a, const float *b, int n,
                         hipStream_t stream) {
  size_t shared = (2 * TILE * TILE - (mutant == LDS_TOO_SMALL) * TILE) * sizeof(float);
  dim3 grid((unsigned)n / TILE, (unsigned)n / TILE);

  hipLaunchKernelGGL(matmul, grid, dim3(TILE, TILE), shared, stream, mutant, c, a, b, n);
  return hipGetLastError();
}

// ---- block sum ----

static __global__ void __launch_bounds__(BLOCK) block_sum(int mutant, float *y, const float *x) {
  __shared__ __align__(16) float partial[BLOCK];
  int t = (int)threadIdx.x;

  partial[t] = x[(int)blockIdx.x * BLOCK + t];
  for (int half = BLOCK / 2; half > 0; half /= 2) {
    if (mutant != NO_BARRIER)
      __syncthreads();
    if (mutant == EARLY_RETURN && t >= half)
      return;
    if (t < half)
      partial[t] += partial[t + half];
  }
  if (t == 0)
    y[blockIdx.x] = partial[0];
}

hipError_t launch_block_sum(enum mutant mutant, float *y, const float *x, int blocks,
                            hipStream_t stream) {
  hipLaunchKernelGGL(block_sum, dim3((unsigned)blocks), dim3(BLOCK), 0, stream, mutant, y, x);
  return hipGetLastError();
}

// ---- wave sum ----

static __global__ void wave_sum(int mutant, float *y, unsigned long long *votes, const float *x) {
  int t = (int)threadIdx.x;
  float sum = x[t];
  unsigned long long vote = __ballot(sum > 0);

  if (mutant == EARLY_RETURN && t % warpSize == 3)
    return;
  for (int mask = warpSize / (mutant == WRONG_LANE ? 4 : 2); mask > 0; mask /= 2) {
    if (mutant == BARRIER_IN_BRANCH && t % 2)
      __syncthreads();
    sum += __shfl_xor(sum, mask);
  }
  y[t] = sum;
  if (t % warpSize == 0)
    votes[t / warpSize] = vote;
}

hipError_t launch_wave_sum(enum mutant mutant, float *y, unsigned long long *votes, const float *x,
                           hipStream_t stream) {
  hipLaunchKernelGGL(wave_sum, dim3(1), dim3(BLOCK), 0, stream, mutant, y, votes, x);
  return hipGetLastError();
}

// ---- tile product ----

#if SIMT_WAVE == 64
typedef _Float16 half4v __attribute__((vector_size(8)));
typedef float float4v __attribute__((vector_size(16)));

static __global__ void tile_product(int mutant, float *d, const unsigned short *a,
                                    const unsigned short *b, const float *c) {
  int lane = (int)threadIdx.x, across = lane % 16, down = lane / 16 * 4;
  unsigned short left[4], right[4];
  half4v x, y;
  float4v sum;

  if (mutant == EARLY_RETURN && lane == 5)
    return;
  for (int i = 0; i < 4; i++) {
    left[i] = a[across * 16 + down + i];
    right[i] = b[(mutant == WRONG_INDEX ? i * 4 + lane / 16 : down + i) * 16 + across];
    sum[i] = c[(down + i) * 16 + across];
  }
  memcpy(&x, left, sizeof x);
  memcpy(&y, right, sizeof y);
  if (mutant == BARRIER_IN_BRANCH && lane == 5)
    __syncthreads();
  sum = __builtin_amdgcn_mfma_f32_16x16x16f16(x, y, sum, 0, 0, 0);
  for (int i = 0; i < 4; i++)
    d[(down + i) * 16 + across] = sum[i];
}
#else
#include <hip/hip_matrix.h>

static __device__ unsigned pair(unsigned short low, unsigned short high) {
  return (unsigned)low | (unsigned)high << 16;
}

static __global__ void tile_product(int mutant, float *d, const unsigned short *a,
                                    const unsigned short *b, const float *c) {
  int lane = (int)threadIdx.x, g = lane / 4, t = lane % 4;
  const unsigned short *upper = a + g * 16 + 2 * t, *lower = upper + 8 * 16;
  const unsigned short *column = b + 2 * (mutant == WRONG_INDEX ? 3 - t : t) * 8 + g;
  float sum[4];

  if (mutant == EARLY_RETURN && lane == 5)
    return;
  for (int i = 0; i < 4; i++)
    sum[i] = c[(g + i / 2 * 8) * 8 + 2 * t + i % 2];
  if (mutant == BARRIER_IN_BRANCH && lane == 5)
    __syncthreads();
  mma_m16n8k16(sum[0], sum[1], sum[2], sum[3], pair(upper[0], upper[1]), pair(lower[0], lower[1]),
               pair(upper[8], upper[9]), pair(lower[8], lower[9]), pair(column[0], column[8]),
               pair(column[8 * 8], column[9 * 8]));
  for (int i = 0; i < 4; i++)
    d[(g + i / 2 * 8) * 8 + 2 * t + i % 2] = sum[i];
}

// ---- copies to LDS ----

static __global__ void copies(int mutant, float *y, float *x) {
  __shared__ __align__(16) float halves[2][BLOCK];
  int mine = 4 * (int)threadIdx.x;

  if (mutant != NOT_AWAITED)
    await_kernels_before();
  for (int i = 0; i < 2; i++) {
    float *to = halves[i] + mine;
    if (mutant == NO_LDS)
      to = y + i * BLOCK + mine;
    copy_async_16(mutant == NOT_ALIGNED ? to + 1 : to, x + i * BLOCK + mine);
    commit_copies();
  }
  if (mutant == SOURCE_CHANGES)
    x[mine] = 100;
  if (mutant == WAIT_FOR_TOO_FEW)
    wait_for_copies_but<2>();
  else if (mutant != NO_WAIT && mutant != WAIT_TOO_LATE)
    wait_for_copies_but<1>();
  if (mutant != NO_BARRIER)
    __syncthreads();
  for (int i = 0; i < 4; i++)
    y[mine + i] = halves[0][BLOCK - 1 - mine - i];
  if (mutant != NO_WAIT && mutant != WAIT_TOO_LATE)
    wait_for_copies();
  __syncthreads();
  if (mutant == BUFFER_IN_USE) { // copies again before other lanes have read
    copy_async_16(halves[1] + mine, x + BLOCK + mine);
    __syncthreads();
  }
  for (int i = 0; i < 4; i++)
    y[BLOCK + mine + i] = halves[1][BLOCK - 1 - mine - i];
  if (mutant == WAIT_TOO_LATE || mutant == BUFFER_IN_USE)
    wait_for_copies();
}

hipError_t launch_copies(enum mutant mutant, float *y, float *x, hipStream_t stream) {
  LAUNCH_EARLY(copies, MOST_SHARED, dim3(1), dim3(BLOCK / 4), 0, stream, mutant, y, x);
  return hipGetLastError();
}
#endif

hipError_t launch_tile_product(enum mutant mutant, float *d, const unsigned short *a,
                               const unsigned short *b, const float *c, hipStream_t stream) {
  hipLaunchKernelGGL(tile_product, dim3(1), dim3(SIMT_WAVE), 0, stream, mutant, d, a, b, c);
  return hipGetLastError();
}

// ---- kernels without mistakes ----

template <int step> static __global__ void plus(float *y, const float *x, int n) {
  int i = (int)(blockIdx.x * blockDim.x + threadIdx.x);

  if (i < n)
    y[i] = x[i] + step;
}

hipError_t launch_plus_one(float *y, const float *x, int n, int threads, hipStream_t stream) {
  hipLaunchKernelGGL(HIP_KERNEL_NAME(plus<1>), dim3((unsigned)((n + threads - 1) / threads)),
                     dim3((unsigned)threads), 0, stream, y, x, n);
  return hipGetLastError();
}

static __global__ void indices(unsigned *seen) {
  unsigned block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
  unsigned thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
  unsigned *mine = seen + 6 * (block * blockDim.x * blockDim.y * blockDim.z + thread);

  __syncthreads();
  mine[0] = threadIdx.x;
  mine[1] = threadIdx.y;
  mine[2] = threadIdx.z;
  mine[3] = blockIdx.x;
  mine[4] = blockIdx.y;
  mine[5] = blockIdx.z;
}

hipError_t launch_indices(unsigned *seen, hipStream_t stream) {
  hipLaunchKernelGGL(indices, dim3(2, 3, 4), dim3(5, 6, 7), 0, stream, seen);
  return hipGetLastError();
}

static __global__ void shuffles(int *seen) {
  int t = (int)threadIdx.x;

  seen[t] = __shfl(t, 5);
  seen[64 + t] = __shfl(t, 5, 8);
  seen[128 + t] = __shfl_up(t, 3, 16);
  seen[192 + t] = __shfl_down(t, 3, 16);
  seen[256 + t] = __shfl_xor(t, 6) + 100 * __any(t == 63) + 1000 * __all(t >= 0);
}

hipError_t launch_shuffles(int *seen, hipStream_t stream) {
  hipLaunchKernelGGL(shuffles, dim3(1), dim3(64), 0, stream, seen);
  return hipGetLastError();
}

static __global__ void tickets(unsigned *ticket, unsigned *counter) {
  ticket[blockIdx.x * blockDim.x + threadIdx.x] = atomicAdd(counter, 1u);
}

hipError_t launch_tickets(unsigned *ticket, unsigned *counter, hipStream_t stream) {
  hipLaunchKernelGGL(tickets, dim3(4), dim3(128), 0, stream, ticket, counter);
  return hipGetLastError();
}

template <class T> static __device__ inline T *lds_of_function() {
  __shared__ T words[4];
  return words;
}

template <class T> static __global__ void read_lds(T *seen) {
  HIP_DYNAMIC_SHARED(T, dynamic)
  __shared__ T fixed[4];
  T t = threadIdx.x, *mine = seen + 3 * (blockIdx.x * blockDim.x + t);

  mine[0] = fixed[t];
  mine[1] = lds_of_function<T>()[t];
  mine[2] = dynamic[t];
  fixed[t] = lds_of_function<T>()[t] = dynamic[t] = 0;
}

hipError_t launch_read_lds(unsigned *seen, hipStream_t stream) {
  hipLaunchKernelGGL((read_lds<unsigned>), dim3(2), dim3(4), 4 * sizeof *seen, stream, seen);
  return hipGetLastError();
}

static __global__ void dynamic_lds(size_t bytes) {
  HIP_DYNAMIC_SHARED(char, lds)
  lds[bytes - 1] = 1;
}

hipError_t launch_dynamic_lds(size_t bytes, size_t allowed, hipStream_t stream) {
#if SIMT_WAVE == 32
  if (allowed)
    simt::allow_dynamic_lds((const void *)dynamic_lds, allowed);
#else
  (void)allowed;
#endif
  hipLaunchKernelGGL(dynamic_lds, dim3(1), dim3(1), bytes, stream, bytes);
  return hipGetLastError();
}

static __global__ void barriers(int rounds) {
  for (int i = 0; i < rounds; i++)
    __syncthreads();
}

hipError_t launch_barriers(int rounds, hipStream_t stream) {
  hipLaunchKernelGGL(barriers, dim3(1), dim3(BLOCK), 0, stream, rounds);
  return hipGetLastError();
}
