// NVIDIA Hopper through sm_90/hip, which maps HIP onto CUDA: warps of 32, the tensor-core
// instruction m16n8k16, asynchronous copies to shared memory.
#ifndef GETP_TARGET_SM_90_MACHINE_H
#define GETP_TARGET_SM_90_MACHINE_H

// What target/mixed/tiling.h multiplies with.
#define TARGET_STAGED "target/sm_90/staged.h"

// What target/mixed/tiling.h multiplies with.
#define TARGET_STAGED "target/sm_90/staged.h"

#include "target/hip.h"

#include <hip/hip_matrix.h>

constexpr int WAVE = 32;
constexpr int HELD = 2;        // rows of 16 of which a lane holds a part; see matrix.h
constexpr int COLUMN_STEP = 1; // between lanes that hold parts of one token
// The second argument of __launch_bounds__: blocks of so many warps that a multiprocessor keeps at
// a time. The tiles of sums, and two of weights for each row of them, fit a lane's 128 registers if
// they are few, else 255.
constexpr int residents(int warps, int tiles) {
  return (tiles <= 12 ? 16 : 8) / warps;
}

// A number that is the same in all lanes of a warp.
DEVICE int uniform(int value) {
  return value;
}

// A lane's 32-bit offset from an address that a warp has in common.
DEVICE uint32_t offset_of_lane(uint32_t offset) {
  return offset;
}

// Starts a kernel of a step on a grid of blocks of so many threads, in the order of the pass; its
// blocks may begin while those of the step before end.
#define LAUNCH_STEP(pass, kernel, grid, threads, ...)                                              \
  LAUNCH_EARLY(kernel, MOST_SHARED, grid, dim3((unsigned)(threads)), 0,                            \
               (hipStream_t)(pass)->stream, __VA_ARGS__)

// All threads of such a kernel come here before they read what an earlier step wrote, or write.
// What comes before it, the first weights most of all, costs no time of its own.
DEVICE void await_inputs() {
  await_kernels_before();
}

// Once all blocks of a step have come here those of the next may begin: to bring weights most of
// all. Before the step itself has its inputs only if the next reads nothing else before it has its
// own.
DEVICE void let_next_begin() {
  let_next_kernel_begin();
}

// What is written before this is issued before what is written after it: here the compiler does so
// anyway.
DEVICE void keep_order() {}

// Its L2 cache holds all tokens; many blocks that read one line of it at a time would wait for each
// other.
constexpr bool ITEMS_FIRST = true;

// Four consecutive halves.
struct half4 {
  uint2 value;
};

struct quad {
  float value[4];
  DEVICE_MEMBER float &operator[](int i) {
    return value[i];
  }
};

DEVICE int lane_of_wave() {
  return (int)threadIdx.x % WAVE;
}

// Which of the 16 rows of a weight fragment, or of the 16 tokens of a token fragment, part `h` of
// this lane belongs to, and the first of its 4 columns where it has four: of sums, whose rows of
// weights are those that one lane then holds side by side, and of products of sums.
DEVICE int feature_of_lane(int lane, int h) {
  return lane / 8 * 4 + h * 2 + lane / 4 % 2;
}
DEVICE int token_of_lane(int lane, int h) {
  return lane / 4 + h * 8;
}
DEVICE int first_column(int lane) {
  return lane % 4 * 4;
}

// Two fragments of one operand that lie side by side, 32 columns in four octets of 16 bytes: a lane
// has a pair of columns of each octet, octets 0 and 1 in the first fragment.
struct fragments {
  half4 part[2][HELD];
  DEVICE_MEMBER void set(int h, uint4 pairs) {
    part[0][h] = bits_as<half4>(make_uint2(pairs.x, pairs.y));
    part[1][h] = bits_as<half4>(make_uint2(pairs.z, pairs.w));
  }
  // octet o of line r is at from + o * stride + offset(h), h being the held line of r.
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

// sum[token][feature] += weights[feature][k] tokens[token][k] over 16 k.
DEVICE void multiply(quad (&sum)[HELD], const half4 (&weights)[HELD], const half4 (&tokens)[HELD]) {
  for (int h = 0; h < HELD; h++)
    mma_m16n8k16(sum[0][2 * h], sum[0][2 * h + 1], sum[1][2 * h], sum[1][2 * h + 1],
                 tokens[0].value.x, tokens[1].value.x, tokens[0].value.y, tokens[1].value.y,
                 weights[h].value.x, weights[h].value.y);
}

// sum[row] += weights[feature][k] token[k] over 16 k for one token, in the same order: the operands
// change places, so that one instruction has all 16 rows. What a lane holds of them becomes a quad
// with quad_of_token.
DEVICE void multiply_token(float (&sum)[4], const half4 (&weights)[HELD], uint2 token) {
  mma_m16n8k16(sum[0], sum[1], sum[2], sum[3], weights[0].value.x, weights[1].value.x,
               weights[0].value.y, weights[1].value.y, token.x, token.y);
}
DEVICE quad quad_of_token(const float (&sum)[4]) {
  const int from =
      lane_of_wave() % 4 * 8; // lanes 4 i hold rows feature_of_lane(4 i, 0) and (4 i, 1)
  return {{__shfl(sum[0], from), __shfl(sum[0], from + 4), __shfl(sum[2], from),
           __shfl(sum[2], from + 4)}};
}

// The two halves nearest to a and b, a in the low bits.
DEVICE uint32_t to_halves(float a, float b) {
  return pack_half2(a, b);
}

DEVICE uint32_t multiply_halves(uint32_t a, uint32_t b) {
  return multiply_half2(a, b);
}

DEVICE uint32_t reverse_bits(uint32_t value) {
  return __brev(value);
}

// Byte I of `bytes` as the upper byte of both halves of the result.
template <int I> DEVICE uint32_t upper_bytes(uint32_t bytes) {
  return __byte_perm(bytes, 0, 0x0404 | I << 4 | I << 12);
}

// 2^x, 0 where that is subnormal: one instruction.
DEVICE float power_of_two(float x) {
  return exp2_approximate(x);
}

// 1 / x to the last place or two: one instruction.
DEVICE float reciprocal(float x) {
  return reciprocal_approximate(x);
}

#endif
