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
  int row = (int)blockIdx.y * TILE + y, column = (int)blockIdx.x * TILE + x;

  for (int k = 0; k < n; k += TILE) {
    tile_a[y * TILE + x] = a[row * n + k + x];
    tile_b[y * TILE + x] = b[(k + y) * n + column];
    if (mutant != NO_BARRIER)
      __syncthreads();
#pragma unroll
    for (int i = 0; i < TILE; i++)
      sum += tile_a[y * TILE + i] * tile_b[mutant == WRONG_INDEX ? x * TILE + i : i * TILE + x];
    if (mutant != NO_SECOND_BARRIER)
      __syncthreads();
  }
  c[row * n + column] = sum;
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
  __shared__ __align__(16) float part[BLOCK];
  int t = (int)threadIdx.x;

  part[t] = x[(int)blockIdx.x * BLOCK + t];
  for (int half = BLOCK / 2; half > 0; half /= 2) {
    if (mutant != NO_BARRIER)
      __syncthreads();
    if (mutant == EARLY_RETURN && t >= half)
      return;
    if (t < half)
      part[t] += part[t + half];
  }
  if (t == 0)
    y[blockIdx.x] = part[0];
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

// ---- without mistakes ----

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

static __global__ void read_lds(unsigned *seen) {
  HIP_DYNAMIC_SHARED(unsigned, dynamic)
  __shared__ unsigned fixed[4];
  unsigned t = threadIdx.x, *mine = seen + 2 * (blockIdx.x * blockDim.x + t);

  mine[0] = fixed[t];
  mine[1] = dynamic[t];
  fixed[t] = dynamic[t] = 0;
}

hipError_t launch_read_lds(unsigned *seen, hipStream_t stream) {
  hipLaunchKernelGGL(read_lds, dim3(2), dim3(4), 4 * sizeof *seen, stream, seen);
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
