// The primitives of AMD MI200: waves of 64 lanes, matrix instructions of CDNA2.
#ifndef GETP_TARGET_GFX90A_MACHINE_H
#define GETP_TARGET_GFX90A_MACHINE_H

// The header with product_staged, for target/mixed/tiling.h.
#define TARGET_STAGED "target/gfx90a/staged.h"

#include "target/hip.h"

constexpr int WAVE = 64;
constexpr int HELD = 1;         // features or tokens of a fragment that a lane holds columns of
constexpr int COLUMN_STEP = 16; // from a lane to the next one with columns of the same token
// The second argument of __launch_bounds__: waves per SIMD. Two leave each lane 256 registers.
constexpr int residents(int, int) {
  return 2;
}

// The second argument of __launch_bounds__ for blocks of `threads` threads, of which a compute unit
// runs at least so many at a time: waves per SIMD, of which it has four.
constexpr int resident_blocks(int blocks, int threads) {
  return (blocks * threads / WAVE + 3) / 4;
}

// The L2 cache of 8 MiB holds the tokens of a few work items, not of all; see item_order.
constexpr bool ITEMS_FIRST = false;

// Whether the use of sums is a loop over tokens. The instruction cache has 32 KiB for two compute
// units, and what a block runs once costs as much to fetch as to run.
constexpr bool ROLLED_USE = true;

typedef _Float16 half2v __attribute__((vector_size(4)));
typedef _Float16 half4v __attribute__((vector_size(8)));
typedef float float4v __attribute__((vector_size(16)));

// A value that is the same in all lanes of a wave; it goes to a scalar register.
DEVICE int uniform(int value) {
  return __builtin_amdgcn_readfirstlane(value);
}

// A lane's 32-bit offset from an address that is the same for the whole wave. A load instruction
// can add the two; this keeps the compiler from adding them before a loop, in 64 bits.
DEVICE uint32_t offset_of_lane(uint32_t offset) {
#ifdef __AMDGCN__
  asm volatile("" : "+v"(offset));
#endif
  return offset;
}

// Launches a kernel on the stream of the pass, on a grid of blocks of `threads` threads.
#define LAUNCH_STEP(pass, kernel, grid, threads, ...)                                              \
  hipLaunchKernelGGL(kernel, grid, dim3((unsigned)(threads)), 0, (hipStream_t)(pass)->stream,      \
                     __VA_ARGS__)

// Waits until the previous step has ended and its results can be read. Every thread of a launched
// kernel calls this before it reads what an earlier step wrote, and before it writes. On gfx90a a
// step begins only when the previous one has ended: there is nothing to wait for.
DEVICE void await_inputs() {}

// Lets the next step's blocks start prefetching weights once every block of this step has called
// it. On gfx90a the next step begins when this one has ended.
DEVICE void let_next_begin() {}

// A barrier of the block, after which it can read what its threads stored to LDS before. Unlike
// __syncthreads, it does not wait for loads from global memory that are on their way to registers.
DEVICE void lds_barrier() {
#ifdef __AMDGCN__
  asm volatile("s_waitcnt lgkmcnt(0)\n\ts_barrier" ::: "memory");
#else
  __syncthreads();
#endif
}

// Keeps the compiler from moving instructions across this point. It would delay loads to save
// registers, and so expose the latency of memory.
DEVICE void keep_order() {
  __builtin_amdgcn_sched_barrier(0);
}

// Four consecutive halves.
struct half4 {
  half4v value;
};

// Four sums, which a matrix instruction can accumulate.
struct quad {
  float4v value;
  __device__ float &operator[](int i) {
    return reinterpret_cast<float *>(&value)[i];
  }
};

DEVICE int lane_of_wave() {
  return (int)threadIdx.x % WAVE;
}

// What a lane holds of a fragment: 4 columns from first_column on, of the feature or token that is
// the h-th of its HELD.
DEVICE int feature_of_lane(int lane, int) {
  return lane % 16;
}
DEVICE int token_of_lane(int lane, int) {
  return lane % 16;
}
DEVICE int first_column(int lane) {
  return lane / 16 * 4;
}

// The two fragments of a span (32 columns) of weights or tokens. A lane holds one octet of a
// feature or token: its first 4 columns are the lane's columns in fragment 0, the others in
// fragment 1. Since weights and tokens agree on this, the sums are right.
struct fragments {
  half4 fragment[2][HELD];
  DEVICE_MEMBER void set(int, uint4 octet) {
    fragment[0][0] = bits_as<half4>(make_uint2(octet.x, octet.y));
    fragment[1][0] = bits_as<half4>(make_uint2(octet.z, octet.w));
  }
  // Octet o of the lane's h-th feature or token is at from + o * stride + offset(h).
  template <class Offset>
  DEVICE_MEMBER void load(const char *from, uint32_t stride, Offset offset) {
    set(0,
        *(const uint4 *)(from + offset_of_lane((uint32_t)first_column(lane_of_wave()) / 4 * stride +
                                               offset(0))));
  }
};

// sum[token][feature] += weights[feature][k] tokens[token][k], over 16 columns k.
DEVICE void multiply(quad (&sum)[HELD], const half4 (&weights)[HELD], const half4 (&tokens)[HELD]) {
  sum[0].value = __builtin_amdgcn_mfma_f32_16x16x16f16(weights[0].value, tokens[0].value,
                                                       sum[0].value, 0, 0, 0);
}

// a and b rounded to the nearest halves, a in the low bits.
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

// Byte I of `bytes` as the upper byte of both halves of the result; the lower bytes are 0.
template <int I> DEVICE uint32_t upper_bytes(uint32_t bytes) {
  return __builtin_amdgcn_perm(0, bytes, 0x000c000cu | I << 8 | I << 24);
}

// 2^x by one instruction; 0 where 2^x is subnormal.
DEVICE float power_of_two(float x) {
#if __has_builtin(__builtin_amdgcn_exp2f)
  return __builtin_amdgcn_exp2f(x);
#else
  return __builtin_exp2f(x);
#endif
}

// 1 / x by one instruction, within 2 units in the last place.
DEVICE float reciprocal(float x) {
  return __builtin_amdgcn_rcpf(x);
}

// 1 / sqrt(x) by one instruction, within 1 unit in the last place.
DEVICE float reciprocal_root(float x) {
  return __builtin_amdgcn_rsqf(x);
}

// The value of lane `lane ^ MASK`, for masks that the instructions of DPP have: they read another
// lane of the same row of 16 without a detour through LDS.
template <int MASK> DEVICE float of_lane_xor(float value) {
  static_assert(MASK == 15 || MASK == 7 || MASK == 3 || MASK == 1, "a pattern within a row");
#ifdef __AMDGCN__
  constexpr int ROW_MIRROR = 0x140, HALF_MIRROR = 0x141, QUAD_3210 = 0x1b, QUAD_1032 = 0xb1;
  constexpr int PATTERN = MASK == 15  ? ROW_MIRROR
                          : MASK == 7 ? HALF_MIRROR
                          : MASK == 3 ? QUAD_3210
                                      : QUAD_1032;
  return bits_as<float>(
      __builtin_amdgcn_update_dpp(0, bits_as<int>(value), PATTERN, 0xf, 0xf, false));
#else
  return __shfl_xor(value, MASK);
#endif
}

// The value of a lane, the same in all of them.
DEVICE float of_lane(float value, int lane) {
#ifdef __AMDGCN__
  return bits_as<float>(__builtin_amdgcn_readlane(bits_as<int>(value), lane));
#else
  return __shfl(value, lane);
#endif
}

// The sum over all lanes, returned to each.
DEVICE float wave_sum(float value) {
  value += of_lane_xor<15>(value);
  value += of_lane_xor<7>(value);
  value += of_lane_xor<3>(value);
  value += of_lane_xor<1>(value);
  const auto row = [&](int r) { return of_lane(value, r * 16); };
  return (row(0) + row(1)) + (row(2) + row(3));
}

#endif
