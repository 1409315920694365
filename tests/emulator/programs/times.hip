// Kernels whose time the data sheet of an MI250 bounds: one for the memory, one for the matrix
// pipes.
#include "check.h"

typedef float F4 __attribute__((ext_vector_type(4)));
typedef short S4 __attribute__((ext_vector_type(4)));

enum { NUMBERS = 4 << 20, BLOCKS = 208, SUMS = 8, TURNS = 100 };

__global__ void triad(float *a, const float *b, const float *c) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  a[i] = b[i] + 2 * c[i];
}

__global__ void products(float *out) {
  const S4 one = {0x3f80, 0x3f80, 0x3f80, 0x3f80}; // as BF16
  F4 sum[SUMS] = {};
  for (int turn = 0; turn < TURNS; turn++)
#pragma unroll
    for (int k = 0; k < SUMS; k++)
      sum[k] = __builtin_amdgcn_mfma_f32_16x16x16bf16_1k(one, one, sum[k], 0, 0, 0);
  float all = 0;
  for (int k = 0; k < SUMS; k++)
    all += sum[k][0];
  out[blockIdx.x * blockDim.x + threadIdx.x] = all;
}

// 8 lanes that write 16 bytes each at this stride to LDS.
template <int STRIDE> __global__ void write_lds(float *out) {
  __shared__ F4 part[1024];
  for (int turn = 0; turn < 16; turn++)
    part[(threadIdx.x * STRIDE + turn) % 1024] = F4{1, 2, 3, 4};
  __syncthreads();
  out[threadIdx.x] = part[threadIdx.x][1];
}

int main() {
  Array<float> a(NUMBERS), b(NUMBERS), c(NUMBERS), sums(BLOCKS * 256);
  for (int i = 0; i < NUMBERS; i++) {
    b[i] = (float)(i % 7);
    c[i] = (float)(i % 5);
  }
  b.send();
  c.send();
  triad<<<NUMBERS / 1024, 1024>>>(a.device, b.device, c.device);
  a.fetch();
  compare("triad", a, 0, NUMBERS, 0, [&](size_t i) { return b[i] + 2 * c[i]; });
  products<<<BLOCKS, 256>>>(sums.device);
  sums.fetch();
  compare("products", sums, 0, BLOCKS * 256, 0, [](size_t) { return (float)(SUMS * TURNS * 16); });
  write_lds<1><<<1, 64>>>(sums.device);
  write_lds<128><<<1, 64>>>(sums.device);
  MUST(hipDeviceSynchronize());
  return failures != 0;
}
