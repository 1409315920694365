// Matrix instructions against sums in double, and instructions on bits.

#include "cases.h"

#include <cfloat>
#include <cmath>
#include <random>
#if SIMT_WAVE == 32
#include <hip/hip_matrix.h>
#endif

namespace {

enum { N = SIMT_WAVE == 64 ? 16 : 8, INFINITE = 0x7c00, NOT_A_NUMBER = 0x7e00 };

// A product of tiles, d (16, N) = a (16, 16) b (16, N) + c.
struct tiles {
  std::vector<unsigned short> a, b; // halves
  std::vector<float> c, d;
};

double from_half(unsigned short half) {
  int exponent = half >> 10 & 31, fraction = half & 1023;
  double value = exponent ? std::ldexp(fraction + 1024, exponent - 25) : std::ldexp(fraction, -24);
  if (exponent == 31) {
    value = fraction ? NAN : INFINITY;
  }
  return half & 0x8000 ? -value : value;
}

// The value of a half as an operand: the MI200 reads subnormal halves as zeros.
double operand(unsigned short half) {
  return SIMT_WAVE == 64 && (half & INFINITE) == 0 ? 0 : from_half(half);
}

// Compares the result of the matrix instruction with the product in double.
void check_product(const tiles &t) {
  for (size_t at = 0; at < t.d.size(); at++) {
    double sum = t.c[at], size = std::fabs(sum);
    for (size_t k = 0; k < 16; k++) {
      double product = operand(t.a[at / N * 16 + k]) * operand(t.b[k * N + at % N]);
      sum += product;
      size += std::fabs(product);
    }
    bool same = t.d[at] == sum || (std::isnan(t.d[at]) && std::isnan(sum));
    CHECK(same || std::fabs(t.d[at] - sum) <= 17 * FLT_EPSILON * size);
  }
}

// Computes d by the kernel.
void multiply(mutant which, tiles &t) {
  unsigned short *a = device(t.a), *b = device(t.b);
  float *c = device(t.c), *d = device<float>(t.c.size());
  OK(launch_tile_product(which, d, a, b, c, nullptr));
  t.d = host(d, t.c.size());
  for (void *each : {static_cast<void *>(a), static_cast<void *>(b), static_cast<void *>(c),
                     static_cast<void *>(d)}) {
    OK(hipFree(each));
  }
}

// A random half that is finite; subnormal or zero if asked.
unsigned short random_half(std::mt19937 &random, bool subnormal) {
  unsigned half = random() & 0xffff;
  unsigned exponent = subnormal ? 0 : 1 + half / 1024 % 30;
  return static_cast<unsigned short>((half & 0x83ff) | exponent << 10);
}

// Numbers of every fourth line of a, of every fifth column of b, and some others are subnormal.
tiles random_tiles(unsigned seed) {
  std::mt19937 random(seed);
  tiles made;
  for (int i = 0; i < 256; i++) {
    made.a.push_back(random_half(random, i / 16 % 4 == 1 || random() % 16 == 0));
  }
  for (int i = 0; i < 16 * N; i++) {
    made.b.push_back(random_half(random, i % N % 5 == 2 || random() % 16 == 0));
    made.c.push_back(i % 3 ? std::ldexp(static_cast<float>(random() % 2048) - 1024, -20) : 0);
  }
  return made;
}

void tile_product(mutant which) {
  for (unsigned seed = 1; seed <= 20; seed++) {
    tiles random = random_tiles(seed);
    multiply(which, random);
    check_product(random);
  }
}

void infinite_tiles() {
  tiles t = random_tiles(1);
  t.a[3 * 16 + 7] = INFINITE;
  t.a[5 * 16 + 15] = NOT_A_NUMBER;
  t.b[2 * N + 6] = INFINITE | 0x8000;
  t.c[9 * N + 1] = INFINITY;
  multiply(SOUND, t);
  check_product(t);
  CHECK(std::isinf(t.d[3 * N]) && std::isnan(t.d[5 * N]));
}

// Sums go in the order of k: what is lost when 1 is added to 2^24 stays lost.
void order_of_sums() {
  tiles t = {std::vector<unsigned short>(256),
             std::vector<unsigned short>(16 * N),
             std::vector<float>(16 * N),
             {}};
  for (size_t k = 0; k < 16; k++) {
    t.a[k] = 0x3c00;                                          // 1
    t.b[k * N] = k == 8 ? 0x7800 : k == 12 ? 0xf800 : 0x3c00; // 2^15 and -2^15, else 1
  }
  t.a[8] = t.a[12] = 0x6000; // 2^9
  multiply(SOUND, t);
  CHECK(t.d[0] == 8 + 0 + 3);
}

#if SIMT_WAVE == 64
void bits() {
  CHECK(__builtin_amdgcn_perm(0x89abcdef, 0x01234567, 0x00070304) == 0x6789'01ef);
  CHECK(__builtin_amdgcn_perm(0x80000000, 0x00008000, 0x0c0d0b08) == 0x00ffffff);
  CHECK(__builtin_amdgcn_perm(0x00800080, 0x7fff7fff, 0x080a0b09) == 0);
  CHECK(__builtin_bitreverse32(0x80000006) == 0x60000001);
  CHECK(__builtin_amdgcn_rcpf(4) == 0.25f && __builtin_amdgcn_rcpf(0x1p127f) == 0);
  float value = 3;
  __builtin_nontemporal_store(4, &value);
  CHECK(__builtin_nontemporal_load(&value) == 4);
}
#else
void bits() {
  CHECK(__byte_perm(0x01234567, 0x89abcdef, 0x7041) == 0x8967'ef45);
  CHECK(__brev(0x80000006) == 0x60000001);
  CHECK(pack_half2(1, -2) == 0xc0003c00 && pack_half2(2049, 2051) == 0x68026800);
  CHECK(multiply_half2(0x3c010001, 0x3c014000) == 0x3c020002);
  CHECK(exp2_approximate(-3) == 0.125f && exp2_approximate(-127) == 0);
  CHECK(reciprocal_approximate(4) == 0.25f && reciprocal_approximate(0x1p127f) == 0);
}
#endif

} // namespace

void test_matrices() {
  kernel_case("tile product", tile_product, SOUND, 0, "");
  kernel_case("tile product, wrong index", tile_product, WRONG_INDEX, WRONG, "not true");
  kernel_case("tile product, early return", tile_product, EARLY_RETURN, ABORTED,
              "want every lane of a wave, lane 5 is not active");
  kernel_case("tile product, barrier in a branch", tile_product, BARRIER_IN_BRANCH, ABORTED,
              "not all threads reach one barrier");
  expect("tile product, infinities and NaN", 0, "", infinite_tiles);
  expect("tile product, order of the sums", 0, "", order_of_sums);
  expect("bits", 0, "", bits);
}
