// AMD MI200: HIP itself, waves of 64, matrix instructions of the CDNA2 instruction set.
#ifndef GETP_TARGET_GFX90A_MACHINE_H
#define GETP_TARGET_GFX90A_MACHINE_H

// What target/mixed/tiling.h multiplies with.
#define TARGET_STAGED "target/gfx90a/staged.h"

// What target/mixed/tiling.h multiplies with.
#define TARGET_STAGED "target/gfx90a/staged.h"

#include "target/hip.h"

constexpr int WAVE = 64;
constexpr int HELD = 1;         // rows of 16 of which a lane holds a part; see matrix.h
constexpr int COLUMN_STEP = 16; // between lanes that hold parts of one token
// The second argument of __launch_bounds__ for a kernel with 256 registers a lane: waves of a SIMD.
constexpr int residents(int, int) {
  return 2;
}

constexpr bool ITEMS_FIRST =
    false; // an L2 cache of 8 MiB holds the tokens of a few items, not of all

typedef _Float16 half2v __attribute__((vector_size(4)));
typedef _Float16 half4v __attribute__((vector_size(8)));
typedef float float4v __attribute__((vector_size(16)));

// A number that is the same in all lanes of a wave, kept once for all of them.
DEVICE int uniform(int value) {
  return __builtin_amdgcn_readfirstlane(value);
}

// A lane's 32-bit offset from an address that a wave has in common. A load takes both as they are,
// unless the compiler widens the offset ahead of a loop: that it must not.
DEVICE uint32_t offset_of_lane(uint32_t offset) {
#ifdef __AMDGCN__
  asm volatile("" : "+v"(offset));
#endif
  return offset;
}

// Starts a kernel of a step on a grid of blocks of so many threads, in the order of the pass.
#define LAUNCH_STEP(pass, kernel, grid, threads, ...)                                              \
  hipLaunchKernelGGL(kernel, grid, dim3((unsigned)(threads)), 0, (hipStream_t)(pass)->stream,      \
                     __VA_ARGS__)

// All threads of such a kernel come here before they read what an earlier step wrote, or write.
DEVICE void await_inputs() {}

// Once all blocks of a step have come here those of the next may begin: here when they have ended.
DEVICE void let_next_begin() {}

// What is written before this is issued before what is written after it: the compiler would rather
// save registers than hide the latency of memory.
DEVICE void keep_order() {
  __builtin_amdgcn_sched_barrier(0);
}

// Four consecutive halves.
struct half4 {
  half4v value;
};

// Four floats that a matrix instruction may have as its accumulators.
struct quad {
  float4v value;
  __device__ float &operator[](int i) {
    return reinterpret_cast<float *>(&value)[i];
  }
};

DEVICE int lane_of_wave() {
  return (int)threadIdx.x % WAVE;
}

// Which of the 16 rows of a weight fragment, or of the 16 tokens of a token fragment, part `h` of
// this lane belongs to, and the first of its 4 columns.
DEVICE int feature_of_lane(int lane, int) {
  return lane % 16;
}
DEVICE int token_of_lane(int lane, int) {
  return lane % 16;
}
DEVICE int first_column(int lane) {
  return lane / 16 * 4;
}

// Two fragments of one operand that lie side by side, 32 columns in four octets of 16 bytes: a lane
// has one octet of a row, and of each fragment the half of it.
struct fragments {
  half4 part[2][HELD];
  DEVICE_MEMBER void set(int, uint4 octet) {
    part[0][0] = bits_as<half4>(make_uint2(octet.x, octet.y));
    part[1][0] = bits_as<half4>(make_uint2(octet.z, octet.w));
  }
  // octet o of line r is at from + o * stride + offset(h), h being the held line of r.
  template <class Offset>
  DEVICE_MEMBER void load(const char *from, uint32_t stride, Offset offset) {
    set(0,
        *(const uint4 *)(from + offset_of_lane((uint32_t)first_column(lane_of_wave()) / 4 * stride +
                                               offset(0))));
  }
};

// sum[token][feature] += weights[feature][k] tokens[token][k] over 16 k.
DEVICE void multiply(quad (&sum)[HELD], const half4 (&weights)[HELD], const half4 (&tokens)[HELD]) {
  sum[0].value = __builtin_amdgcn_mfma_f32_16x16x16f16(weights[0].value, tokens[0].value,
                                                       sum[0].value, 0, 0, 0);
}

// The two halves nearest to a and b, a in the low bits.
DEVICE uint32_t to_halves(float a, float b) {
  const half2v both = {static_cast<_Float16>(a), static_cast<_Float16>(b)};
  return bits_as<uint32_t>(both);
}

DEVICE uint32_t multiply_halves(uint32_t a, uint32_t b) {
  return bits_as<uint32_t>(bits_as<half2v>(a) * bits_as<half2v>(b));
}

DEVICE uint32_t reverse_bits(uint32_t value) {
  return __builtin_bitreverse32(value);
}

// Byte i of `bytes` as the upper byte of both halves of the result.
template <int I> DEVICE uint32_t upper_bytes(uint32_t bytes) {
  return __builtin_amdgcn_perm(0, bytes, 0x000c000cu | I << 8 | I << 24);
}

// 2^x, 0 where that is subnormal: one instruction.
DEVICE float power_of_two(float x) {
#if __has_builtin(__builtin_amdgcn_exp2f)
  return __builtin_amdgcn_exp2f(x);
#else
  return __builtin_exp2f(x);
#endif
}

// 1 / x to the last place or two: one instruction.
DEVICE float reciprocal(float x) {
  return __builtin_amdgcn_rcpf(x);
}

#endif
