// Matrix instructions: each lane puts its numbers where AMD's matrix instruction calculator says
// that they belong, and the product is compared with sums in double.
#include "check.h"

typedef float F4 __attribute__((ext_vector_type(4)));
typedef float F16 __attribute__((ext_vector_type(16)));
typedef double D4 __attribute__((ext_vector_type(4)));
typedef int I4 __attribute__((ext_vector_type(4)));
typedef short S2 __attribute__((ext_vector_type(2)));
typedef short S4 __attribute__((ext_vector_type(4)));
typedef _Float16 H4 __attribute__((ext_vector_type(4)));

// A is (M, K) and B is (K, M), both in order of k; C is (M, M).
template <int M, int K> struct Shape {
  enum { ROWS = M, COLUMNS = K };
};

// The element of a lane: A[lane % M][lane / M * E + e], and the same of B.
template <int M, int K, class T> __device__ T element(const float *from, int e, int per_lane) {
  const int lane = threadIdx.x;
  return (T)from[(lane % M) * K + lane / M * per_lane + e];
}

__device__ short bf16(float x) {
  return (short)(__builtin_bit_cast(unsigned, x) >> 16);
}

// Row and column of register `r` of a lane.
__device__ int row_16(int r) {
  return 4 * (threadIdx.x / 16) + r;
}
__device__ int row_32(int r) {
  return 8 * (r / 4) + 4 * (threadIdx.x / 32) + r % 4;
}

struct F16_16x16x16 : Shape<16, 16> {
  static __device__ void run(const float *a, const float *b, float *c) {
    H4 x, y;
    for (int e = 0; e < 4; e++) {
      x[e] = element<16, 16, _Float16>(a, e, 4);
      y[e] = element<16, 16, _Float16>(b, e, 4);
    }
    const F4 sum = __builtin_amdgcn_mfma_f32_16x16x16f16(x, y, F4{1, 1, 1, 1}, 0, 0, 0);
    for (int r = 0; r < 4; r++)
      c[row_16(r) * 16 + threadIdx.x % 16] = sum[r];
  }
};

struct BF16_16x16x16 : Shape<16, 16> {
  static __device__ void run(const float *a, const float *b, float *c) {
    S4 x, y;
    for (int e = 0; e < 4; e++) {
      x[e] = bf16(element<16, 16, float>(a, e, 4));
      y[e] = bf16(element<16, 16, float>(b, e, 4));
    }
    const F4 sum = __builtin_amdgcn_mfma_f32_16x16x16bf16_1k(x, y, F4{1, 1, 1, 1}, 0, 0, 0);
    for (int r = 0; r < 4; r++)
      c[row_16(r) * 16 + threadIdx.x % 16] = sum[r];
  }
};

struct BF16_32x32x8 : Shape<32, 8> {
  static __device__ void run(const float *a, const float *b, float *c) {
    S4 x, y;
    F16 sum;
    for (int r = 0; r < 16; r++)
      sum[r] = 1;
    for (int e = 0; e < 4; e++) {
      x[e] = bf16(element<32, 8, float>(a, e, 4));
      y[e] = bf16(element<32, 8, float>(b, e, 4));
    }
    sum = __builtin_amdgcn_mfma_f32_32x32x8bf16_1k(x, y, sum, 0, 0, 0);
    for (int r = 0; r < 16; r++)
      c[row_32(r) * 32 + threadIdx.x % 32] = sum[r];
  }
};

struct BF16_16x16x8 : Shape<16, 8> {
  static __device__ void run(const float *a, const float *b, float *c) {
    S2 x, y;
    for (int e = 0; e < 2; e++) {
      x[e] = bf16(element<16, 8, float>(a, e, 2));
      y[e] = bf16(element<16, 8, float>(b, e, 2));
    }
    const F4 sum = __builtin_amdgcn_mfma_f32_16x16x8bf16(x, y, F4{1, 1, 1, 1}, 0, 0, 0);
    for (int r = 0; r < 4; r++)
      c[row_16(r) * 16 + threadIdx.x % 16] = sum[r];
  }
};

struct F32_16x16x4 : Shape<16, 4> {
  static __device__ void run(const float *a, const float *b, float *c) {
    const F4 sum = __builtin_amdgcn_mfma_f32_16x16x4f32(
        element<16, 4, float>(a, 0, 1), element<16, 4, float>(b, 0, 1), F4{1, 1, 1, 1}, 0, 0, 0);
    for (int r = 0; r < 4; r++)
      c[row_16(r) * 16 + threadIdx.x % 16] = sum[r];
  }
};

struct F32_32x32x2 : Shape<32, 2> {
  static __device__ void run(const float *a, const float *b, float *c) {
    F16 sum;
    for (int r = 0; r < 16; r++)
      sum[r] = 1;
    sum = __builtin_amdgcn_mfma_f32_32x32x2f32(element<32, 2, float>(a, 0, 1),
                                               element<32, 2, float>(b, 0, 1), sum, 0, 0, 0);
    for (int r = 0; r < 16; r++)
      c[row_32(r) * 32 + threadIdx.x % 32] = sum[r];
  }
};

struct I8_16x16x16 : Shape<16, 16> {
  static __device__ int packed(const float *from) {
    unsigned bytes = 0;
    for (int e = 0; e < 4; e++)
      bytes |= ((unsigned)element<16, 16, int>(from, e, 4) & 255) << (8 * e);
    return (int)bytes;
  }
  static __device__ void run(const float *a, const float *b, float *c) {
    const I4 sum =
        __builtin_amdgcn_mfma_i32_16x16x16i8(packed(a), packed(b), I4{1, 1, 1, 1}, 0, 0, 0);
    for (int r = 0; r < 4; r++)
      c[row_16(r) * 16 + threadIdx.x % 16] = (float)sum[r];
  }
};

struct F64_16x16x4 : Shape<16, 4> {
  static __device__ void run(const float *a, const float *b, float *c) {
    const D4 sum = __builtin_amdgcn_mfma_f64_16x16x4f64(
        element<16, 4, double>(a, 0, 1), element<16, 4, double>(b, 0, 1), D4{1, 1, 1, 1}, 0, 0, 0);
    for (int r = 0; r < 4; r++)
      c[(4 * r + threadIdx.x / 16) * 16 + threadIdx.x % 16] = (float)sum[r];
  }
};

template <class PRODUCT> __global__ void multiply(const float *a, const float *b, float *c) {
  PRODUCT::run(a, b, c);
}

// The numbers are small integers, which every type has exactly.
template <class PRODUCT> static void check(const char *name) {
  enum { M = PRODUCT::ROWS, K = PRODUCT::COLUMNS };
  Array<float> a(M * K), b(M * K), c(M * M);
  for (int i = 0; i < M * K; i++) {
    a[i] = (float)((int)(random_bits() % 33) - 16);
    b[i] = (float)((int)(random_bits() % 33) - 16);
  }
  a.send();
  b.send();
  multiply<PRODUCT><<<1, 64>>>(a.device, b.device, c.device);
  c.fetch();
  compare(name, c, 0, M * M, 0, [&](size_t at) {
    double sum = 1;
    for (int k = 0; k < K; k++)
      sum += (double)a[at / M * K + k] * b[at % M * K + k];
    return (float)sum;
  });
}

// An MI200 reads subnormal F16 as zeros.
__global__ void multiply_subnormal(float *c) {
  const _Float16 small = (_Float16)3e-6f, large = (_Float16)1024.f;
  const F4 sum = __builtin_amdgcn_mfma_f32_16x16x16f16(
      H4{small, small, small, small}, H4{large, large, large, large}, F4{2, 2, 2, 2}, 0, 0, 0);
  for (int r = 0; r < 4; r++)
    c[r * 64 + threadIdx.x] = sum[r];
}

int main() {
  check<F16_16x16x16>("f16 16x16x16");
  check<BF16_16x16x16>("bf16 16x16x16");
  check<BF16_32x32x8>("bf16 32x32x8");
  check<BF16_16x16x8>("bf16 16x16x8");
  check<F32_16x16x4>("f32 16x16x4");
  check<F32_32x32x2>("f32 32x32x2");
  check<I8_16x16x16>("i8 16x16x16");
  check<F64_16x16x4>("f64 16x16x4");
  Array<float> c(256);
  multiply_subnormal<<<1, 64>>>(c.device);
  c.fetch();
  compare("subnormal f16", c, 0, 256, 0, [](size_t) { return 2.f; });
  return failures != 0;
}
