// The primitives of NVIDIA Hopper, through sm_90/hip, which maps HIP onto CUDA: warps of 32 lanes,
// the tensor-core instruction m16n8k16, asynchronous copies to shared memory.
#ifndef GETP_TARGET_SM_90_MACHINE_H
#define GETP_TARGET_SM_90_MACHINE_H

// The header with product_staged, for target/mixed/tiling.h.
#define TARGET_STAGED "target/sm_90/staged.h"

#include "target/hip.h"

#include <hip/hip_matrix.h>

constexpr int WAVE = 32;
constexpr int HELD = 2;        // features or tokens of a fragment that a lane holds columns of
constexpr int COLUMN_STEP = 1; // from a lane to the next one with columns of the same token
// The second argument of __launch_bounds__: blocks of `warps` warps that a multiprocessor runs at a
// time. `tiles` counts the tiles of sums and operands in registers: up to 12 fit the 128 registers
// that a lane has when 16 warps run; more need the 255 that 8 warps leave.
constexpr int residents(int warps, int tiles) {
  return (tiles <= 12 ? 16 : 8) / warps;
}

// The second argument of __launch_bounds__ for blocks of which a multiprocessor runs at least so
// many at a time.
constexpr int resident_blocks(int blocks, int) {
  return blocks;
}

// Whether the use of sums is a loop over tokens: here unrolled code is faster.
constexpr bool ROLLED_USE = false;

// A value that is the same in all lanes of a warp.
DEVICE int uniform(int value) {
  return value;
}

// A lane's 32-bit offset from an address that is the same for the whole warp.
DEVICE uint32_t offset_of_lane(uint32_t offset) {
  return offset;
}

// Launches a kernel on the stream of the pass, on a grid of blocks of `threads` threads. Its blocks
// may begin before the previous step has ended; see let_next_begin.
#define LAUNCH_STEP(pass, kernel, grid, threads, ...)                                              \
  LAUNCH_EARLY(kernel, MOST_SHARED, grid, dim3((unsigned)(threads)), 0,                            \
               (hipStream_t)(pass)->stream, __VA_ARGS__)

// Waits until the previous step has ended and its results can be read. Every thread of a launched
// kernel calls this before it reads what an earlier step wrote, and before it writes. What a kernel
// does before the call, mainly loading its first weights, overlaps with the previous step.
DEVICE void await_inputs() {
  await_kernels_before();
}

// Lets the next step's blocks start prefetching weights once every block of this step has called
// it. A kernel may call it before await_inputs only if the next step reads nothing but weights
// before its own await_inputs.
DEVICE void let_next_begin() {
  let_next_kernel_begin();
}

// Keeps the compiler from moving instructions across this point. nvcc needs no help.
DEVICE void keep_order() {}

// The L2 cache holds the tokens of all work items, and many blocks that read the same line of it
// would wait for each other; see item_order.
constexpr bool ITEMS_FIRST = true;

// Four consecutive halves.
struct half4 {
  uint2 value;
};

// Four sums.
struct quad {
  float value[4];
  DEVICE_MEMBER float &operator[](int i) {
    return value[i];
  }
};

DEVICE int lane_of_wave() {
  return (int)threadIdx.x % WAVE;
}

// What a lane holds of a fragment: columns of the feature or token that is the h-th of its HELD.
// The features of a fragment are ordered so that the sums of a lane for one token are 4 consecutive
// features from first_column on.
DEVICE int feature_of_lane(int lane, int h) {
  return lane / 8 * 4 + h * 2 + lane / 4 % 2;
}
DEVICE int token_of_lane(int lane, int h) {
  return lane / 4 + h * 8;
}
DEVICE int first_column(int lane) {
  return lane % 4 * 4;
}

// The two fragments of a span (32 columns, four octets) of weights or tokens. A lane has two
// columns of each octet; octets 0 and 1 are in fragment 0.
struct fragments {
  half4 fragment[2][HELD];
  DEVICE_MEMBER void set(int h, uint4 pairs) {
    fragment[0][h] = bits_as<half4>(make_uint2(pairs.x, pairs.y));
    fragment[1][h] = bits_as<half4>(make_uint2(pairs.z, pairs.w));
  }
  // Octet o of the lane's h-th feature or token is at from + o * stride + offset(h).
  template <class Offset>
  DEVICE_MEMBER void load(const char *from, uint32_t stride, Offset offset) {
    for (int h = 0; h < HELD; h++) {
      const char *at = from + offset(h) + first_column(lane_of_wave());
      set(h,
          make_uint4(*(const uint32_t *)at, *(const uint32_t *)(at + stride),
                     *(const uint32_t *)(at + 2 * stride), *(const uint32_t *)(at + 3 * stride)));
    }
  }
};

// sum[token][feature] += weights[feature][k] tokens[token][k], over 16 columns k.
DEVICE void multiply(quad (&sum)[HELD], const half4 (&weights)[HELD], const half4 (&tokens)[HELD]) {
  for (int h = 0; h < HELD; h++)
    mma_m16n8k16(sum[0][2 * h], sum[0][2 * h + 1], sum[1][2 * h], sum[1][2 * h + 1],
                 tokens[0].value.x, tokens[1].value.x, tokens[0].value.y, tokens[1].value.y,
                 weights[h].value.x, weights[h].value.y);
}

// sum[feature] += weights[feature][k] token[k] for one token, over 16 columns k in the same order.
// The operands are exchanged, so that one instruction computes all 16 features. quad_of_token turns
// what a lane holds of them into a quad.
DEVICE void multiply_token(float (&sum)[4], const half4 (&weights)[HELD], uint2 token) {
  mma_m16n8k16(sum[0], sum[1], sum[2], sum[3], weights[0].value.x, weights[1].value.x,
               weights[0].value.y, weights[1].value.y, token.x, token.y);
}
DEVICE quad quad_of_token(const float (&sum)[4]) {
  // Lane 4 i holds features feature_of_lane(4 i, 0) and feature_of_lane(4 i, 1).
  const int from = lane_of_wave() % 4 * 8;
  return {{__shfl(sum[0], from), __shfl(sum[0], from + 4), __shfl(sum[2], from),
           __shfl(sum[2], from + 4)}};
}

// a and b rounded to the nearest halves, a in the low bits.
DEVICE uint32_t to_halves(float a, float b) {
  return pack_half2(a, b);
}

DEVICE uint32_t multiply_halves(uint32_t a, uint32_t b) {
  return multiply_half2(a, b);
}

DEVICE uint32_t reverse_bits(uint32_t value) {
  return __brev(value);
}

// Byte I of `bytes` as the upper byte of both halves of the result; the lower bytes are 0.
template <int I> DEVICE uint32_t upper_bytes(uint32_t bytes) {
  return __byte_perm(bytes, 0, 0x0404 | I << 4 | I << 12);
}

// 2^x by one instruction; 0 where 2^x is subnormal.
DEVICE float power_of_two(float x) {
  return exp2_approximate(x);
}

// 1 / x by one instruction, within 2 units in the last place.
DEVICE float reciprocal(float x) {
  return reciprocal_approximate(x);
}

// 1 / sqrt(x), within 2 units in the last place.
DEVICE float reciprocal_root(float x) {
  return rsqrtf(x);
}

// The sum over all lanes, returned to each.
DEVICE float wave_sum(float value) {
#pragma unroll
  for (int step = WAVE / 2; step > 0; step /= 2)
    value += __shfl_xor(value, step);
  return value;
}

#endif
