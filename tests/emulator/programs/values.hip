// Instructions on values: each expression is compiled for gfx90a and for the host, and both must
// agree. Integers and single operations on floats have the same bits; functions of AMD's device
// library are within a few units.
#include "check.h"

#include <hip/hip_fp16.h>

#define BOTH __host__ __device__ static inline
enum { COUNT = 1024 };

// An expression of two values, and what it may differ by: bound 0 requires the same bits.
#define EXPRESSION(type, name, expression)                                                         \
  struct name {                                                                                    \
    BOTH type of(type a, type b) {                                                                 \
      return (type)(expression);                                                                   \
    }                                                                                              \
  };

template <class E, class T> __global__ void apply(const T *a, const T *b, T *out) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  out[i] = E::of(a[i], b[i]);
}

template <class E, class T>
static void check(const char *name, Array<T> &a, Array<T> &b, double bound) {
  Array<T> out(COUNT);
  apply<E, T><<<COUNT / 256, 256>>>(a.device, b.device, out.device);
  out.fetch();
  compare(name, out, 0, COUNT, bound, [&](size_t i) { return E::of(a[i], b[i]); });
}

typedef int32_t I;
typedef uint32_t U;
typedef int64_t L;
typedef uint64_t UL;

EXPRESSION(I, add, (U)a + (U)b)
EXPRESSION(I, multiply, (U)a *(U)b)
EXPRESSION(I, divide, b == 0 || b == -1 ? 7 : a / b)
EXPRESSION(I, remainder_of, b == 0 || b == -1 ? 7 : a % b)
EXPRESSION(I, shift, (a << (b & 31)) ^ (a >> (b & 31)) ^ (I)((U)a >> (b & 31)))
EXPRESSION(I, high_product, (I)(((L)a * b) >> 32))
EXPRESSION(I, bits,
           __builtin_popcount((U)a) + 100 * (a ? __builtin_clz((U)a) : 32) +
               (b ? __builtin_ctz((U)b) : 9))
EXPRESSION(I, least_and_most, (a < b ? a : b) ^ ((U)a > (U)b ? a : b))
EXPRESSION(I, small_types,
           (int8_t)a *(int8_t)b + (int16_t)a * (uint16_t)b + ((uint8_t)a >> (b & 7)))
EXPRESSION(I, fields, ((U)a >> 5 & 0x7f) + ((I)((U)a << 7) >> 20) + (I)((U)a << 13 | (U)a >> 19))
EXPRESSION(L, long_multiply, (UL)a *(UL)b)
EXPRESSION(L, long_divide, b == 0 || b == -1 ? 7 : a / b)
EXPRESSION(L, long_unsigned, (UL)a / ((UL)b | 1) + (UL)a % ((UL)b | 1))
EXPRESSION(L, long_shift, (L)((UL)a << (b & 63)) ^ (a >> (b & 63)) ^ (L)((UL)a >> (b & 63)))
EXPRESSION(L, long_sums, (L)((UL)a + (UL)b) ^ (L)((UL)a - (UL)b))
EXPRESSION(float, float_divide, a / b)
EXPRESSION(float, float_fma, __builtin_fmaf(a, b, a))
EXPRESSION(float, float_rounding, floorf(a) + ceilf(b) * 3 + truncf(a) * 5 + rintf(b) * 7)
EXPRESSION(float, float_extremes, fminf(a, b) + 3 * fmaxf(a, b) + copysignf(a, b))
EXPRESSION(float, float_to_integers,
           (float)(int)a + (float)(unsigned)fabsf(b) + (float)(L)(a * 1e6f))
EXPRESSION(float, float_root, sqrtf(fabsf(a)))
EXPRESSION(float, float_exp, expf(a * 0.1f))
EXPRESSION(float, float_log, logf(fabsf(a) + 1e-3f))
EXPRESSION(float, float_sin, sinf(a))
EXPRESSION(float, float_large_cos, cosf(a * 1e6f))
EXPRESSION(float, float_power, powf(fabsf(a) + 1e-3f, b * 0.1f))
EXPRESSION(float, float_tanh, tanhf(a))
EXPRESSION(float, float_half, (float)(_Float16)a + (float)(_Float16)(b * 1e-6f))
EXPRESSION(double, double_divide, a / b)
EXPRESSION(double, double_fma, __builtin_fma(a, b, a))
EXPRESSION(double, double_root, sqrt(fabs(a)))
EXPRESSION(double, double_exp, exp(a * 0.1))
EXPRESSION(double, double_sin, sin(a * 1e8))
EXPRESSION(double, double_rounding,
           floor(a) + rint(b) * 3 + (double)(float)a + (double)(L)(b * 1e6))

#define CHECK(type, name, a, b, bound) check<name, type>(#name, a, b, bound)

static void check_integers() {
  Array<I> a(COUNT), b(COUNT);
  const I edges[] = {0, 1, -1, INT32_MAX, INT32_MIN, 0x8000, 255, -256};
  for (int i = 0; i < COUNT; i++) {
    a[i] = i < 64 ? edges[i / 8] : (I)random_bits();
    b[i] = i < 64 ? edges[i % 8] : (I)(random_bits() >> (random_bits() & 31));
  }
  a.send();
  b.send();
  CHECK(I, add, a, b, 0);
  CHECK(I, multiply, a, b, 0);
  CHECK(I, divide, a, b, 0);
  CHECK(I, remainder_of, a, b, 0);
  CHECK(I, shift, a, b, 0);
  CHECK(I, high_product, a, b, 0);
  CHECK(I, bits, a, b, 0);
  CHECK(I, least_and_most, a, b, 0);
  CHECK(I, small_types, a, b, 0);
  CHECK(I, fields, a, b, 0);
}

static void check_long_integers() {
  Array<L> a(COUNT), b(COUNT);
  for (int i = 0; i < COUNT; i++) {
    a[i] = (L)random_bits();
    b[i] = (L)(random_bits() >> (random_bits() & 63));
  }
  a.send();
  b.send();
  CHECK(L, long_multiply, a, b, 0);
  CHECK(L, long_divide, a, b, 0);
  CHECK(L, long_unsigned, a, b, 0);
  CHECK(L, long_shift, a, b, 0);
  CHECK(L, long_sums, a, b, 0);
}

static void check_floats() {
  Array<float> a(COUNT), b(COUNT);
  for (int i = 0; i < COUNT; i++) {
    a[i] = (float)random_number(100);
    b[i] = (float)random_number(i % 2 ? 100 : 1);
  }
  a.send();
  b.send();
  CHECK(float, float_divide, a, b, 0);
  CHECK(float, float_fma, a, b, 0);
  CHECK(float, float_rounding, a, b, 0);
  CHECK(float, float_extremes, a, b, 0);
  CHECK(float, float_to_integers, a, b, 0);
  CHECK(float, float_root, a, b, 0);
  CHECK(float, float_exp, a, b, 1e-6);
  CHECK(float, float_log, a, b, 1e-6);
  CHECK(float, float_sin, a, b, 1e-6);
  CHECK(float, float_large_cos, a, b, 1e-6);
  CHECK(float, float_power, a, b, 1e-6);
  CHECK(float, float_tanh, a, b, 1e-6);
  CHECK(float, float_half, a, b, 0);
}

static void check_doubles() {
  Array<double> a(COUNT), b(COUNT);
  for (int i = 0; i < COUNT; i++) {
    a[i] = random_number(100);
    b[i] = random_number(100);
  }
  a.send();
  b.send();
  CHECK(double, double_divide, a, b, 0);
  CHECK(double, double_fma, a, b, 0);
  CHECK(double, double_root, a, b, 0);
  CHECK(double, double_exp, a, b, 1e-14);
  CHECK(double, double_sin, a, b, 1e-14);
  CHECK(double, double_rounding, a, b, 0);
}

int main() {
  check_integers();
  check_long_integers();
  check_floats();
  check_doubles();
  return failures != 0;
}
