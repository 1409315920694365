// Matrix instructions: D = A B + C for one or several blocks of M x M, by the layouts that AMD's
// matrix instruction calculator prints. They ignore which lanes are active.
#include "lanes.h"

namespace {

typedef u32 Register[64];

const Register *registers(Wave &wave, const Operand &operand) {
  return operand.kind == OPERAND_AGPR ? &wave.agpr[operand.reg] : &wave.vgpr[operand.reg];
}

Register *result_registers(Wave &wave, const Instruction &inst) {
  const Operand &operand = inst.operand[0];
  return operand.kind == OPERAND_AGPR ? &wave.agpr[operand.reg] : &wave.vgpr[operand.reg];
}

bool is_register(const Operand &operand) {
  return operand.kind == OPERAND_VGPR || operand.kind == OPERAND_AGPR;
}

// ---- which lanes ----

// A group of lanes can read the A of another: cbsz and abid.
int group_of_a(const Instruction &inst, int group) {
  const int groups = 1 << inst.cbsz;
  return inst.cbsz ? group / groups * groups + inst.abid % groups : group;
}

// A lane can read the B of another: blgp.
int lane_of_b(const Instruction &inst, int lane) {
  switch (inst.blgp) {
  case 0:
    return lane;
  case 1:
  case 2: // the first or the second half
    return (lane & 31) + 32 * (inst.blgp - 1);
  case 3: // rotated
    return (lane + 16) & 63;
  default: // one quarter
    return (lane & 15) + 16 * (inst.blgp - 4);
  }
}

// Where row i of a block is: in this register, from this lane on.
struct RowAt {
  int reg, lane;
};

template <int M> RowAt row_at(int block, int i) {
  if (M == 32)
    return {block * 16 + 4 * (i / 8) + i % 4, 32 * ((i / 4) & 1)};
  if (M == 16)
    return {block * 4 + i % 4, 16 * (i / 4)};
  return {i, 4 * block};
}

// ---- types of A and B ----

float bf16(u32 half) {
  return bits_as<float>(half << 16);
}

float flush(float x) {
  return bits_as<float>(flush_f32(bits_as<u32>(x)));
}

u32 half_of(const Register *from, int lane, int element) {
  return (from[element / 2][lane] >> (16 * (element & 1))) & 0xffff;
}

// FLUSHES: an MI200 reads and writes subnormal numbers as zeros.
struct F32 {
  enum { FLUSHES = 0 };
  static float read(const Register *from, int lane, int) {
    return bits_as<float>(from[0][lane]);
  }
};
struct BF16 {
  enum { FLUSHES = 1 };
  static float read(const Register *from, int lane, int element) {
    return flush(bf16(half_of(from, lane, element)));
  }
};
struct F16 {
  enum { FLUSHES = 1 };
  static float read(const Register *from, int lane, int element) {
    return half_to_float(flush_f16((u16)half_of(from, lane, element)));
  }
};
struct I8 {
  static float read(const Register *from, int lane, int element) {
    return (float)(s8)(from[0][lane] >> (8 * element));
  }
};

// The blocks of A and B; A is (M, K), B is (K, M). A lane has E numbers of a row of A.
template <int M, int BLOCKS, int K> struct Blocks {
  alignas(64) float a[BLOCKS][M][K], b[BLOCKS][K][M];
};

template <class TYPE, int M, int BLOCKS, int K, int E>
void read_blocks(Wave &wave, const Instruction &inst, Blocks<M, BLOCKS, K> &blocks) {
  constexpr int GROUPS_OF_K = K / E;
  static_assert(BLOCKS * GROUPS_OF_K == 64 / M, "all lanes have something");
  const Register *a = registers(wave, inst.operand[1]), *b = registers(wave, inst.operand[2]);
  EACH_LANE {
    const int i = lane % M, group = lane / M, block = group / GROUPS_OF_K;
    const int first = group % GROUPS_OF_K * E;
    const int from_a = i + M * (GROUPS_OF_K == 1 ? group_of_a(inst, group) : group);
    const int from_b = lane_of_b(inst, lane);
    for (int e = 0; e < E; ++e) {
      blocks.a[block][i][first + e] = TYPE::read(a, from_a, e);
      blocks.b[block][first + e][i] = TYPE::read(b, from_b, e);
    }
  }
}

// ---- products ----

template <bool FLUSHES, int M, int K>
void multiply_row(const float (&a)[K], const float (&b)[K][M], u32 *c) {
  alignas(64) float sum[M];
  for (int j = 0; j < M; ++j)
    sum[j] = FLUSHES ? flush(bits_as<float>(c[j])) : bits_as<float>(c[j]);
  for (int k = 0; k < K; ++k)
    for (int j = 0; j < M; ++j)
      sum[j] = __builtin_fmaf(a[k], b[k][j], sum[j]);
  for (int j = 0; j < M; ++j) {
    const u32 bits = bits_as<u32>(FLUSHES ? flush(sum[j]) : sum[j]);
    c[j] = bits == 0xffc00000 ? 0x7fc00000 : bits; // the NaN of the device
  }
}

template <int M, int K> void multiply_row(const float (&a)[K], const float (&b)[K][M], u32 *c, I8) {
  for (int j = 0; j < M; ++j)
    for (int k = 0; k < K; ++k)
      c[j] += (u32)((s32)a[k] * (s32)b[k][j]);
}

template <class TYPE, int M, int K>
void multiply_row(const float (&a)[K], const float (&b)[K][M], u32 *c, TYPE) {
  multiply_row<TYPE::FLUSHES, M, K>(a, b, c);
}

template <class TYPE, int M, int BLOCKS, int K, int E>
void multiply(Wave &wave, const Instruction &inst) {
  constexpr int REGISTERS = M == 4 ? 4 : M * M * BLOCKS / 64;
  Blocks<M, BLOCKS, K> blocks;
  read_blocks<TYPE, M, BLOCKS, K, E>(wave, inst, blocks);
  Register result[REGISTERS];
  const Operand &c = inst.operand[3];
  if (is_register(c))
    memcpy(result, registers(wave, c), sizeof result);
  else
    std::fill_n(&result[0][0], REGISTERS * 64, scalar32(wave, c));
  for (int block = 0; block < BLOCKS; ++block)
    for (int i = 0; i < M; ++i) {
      const RowAt at = row_at<M>(block, i);
      multiply_row(blocks.a[block][i], blocks.b[block], &result[at.reg][at.lane], TYPE());
    }
  memcpy(result_registers(wave, inst), result, sizeof result);
}

// ---- double precision ----

double read_double(const Register *from, int lane) {
  return bits_as<double>((u64)from[0][lane] | ((u64)from[1][lane] << 32));
}

// M x M x 4: register pair r of lane l has row and column (row(r, l), l % M) of block block(l). The
// bits of blgp negate A, B and C.
template <int PAIRS, class ROW, class BLOCK>
void multiply_doubles(Wave &wave, const Instruction &inst, int m, ROW row, BLOCK block) {
  const Register *a = registers(wave, inst.operand[1]), *b = registers(wave, inst.operand[2]);
  const Operand &c = inst.operand[3];
  const double constant = is_register(c) ? 0 : bits_as<double>(scalar64(wave, c, true));
  const double sign = (inst.blgp & 1 ? -1 : 1) * (inst.blgp & 2 ? -1 : 1);
  u64 result[PAIRS][64];
  for (int pair = 0; pair < PAIRS; ++pair)
    EACH_LANE {
      const int first_a = row(pair, lane) + m * block(lane), first_b = lane % m + m * block(lane);
      const double old =
          is_register(c) ? read_double(registers(wave, c) + 2 * pair, lane) : constant;
      double sum = inst.blgp & 4 ? -old : old;
      for (int k = 0; k < 4; ++k)
        sum = fma(sign * read_double(a, first_a + 16 * k), read_double(b, first_b + 16 * k), sum);
      result[pair][lane] = bits_as<u64>(sum);
    }
  Register *to = result_registers(wave, inst);
  for (int pair = 0; pair < PAIRS; ++pair)
    EACH_LANE {
      to[2 * pair][lane] = (u32)result[pair][lane];
      to[2 * pair + 1][lane] = (u32)(result[pair][lane] >> 32);
    }
}

void multiply_doubles_16(Wave &wave, const Instruction &inst) {
  multiply_doubles<4>(
      wave, inst, 16, [](int pair, int lane) { return 4 * pair + lane / 16; },
      [](int) { return 0; });
}

void multiply_doubles_4(Wave &wave, const Instruction &inst) {
  multiply_doubles<1>(
      wave, inst, 4, [](int, int lane) { return lane / 16; },
      [](int lane) { return lane / 4 % 4; });
}

} // namespace

INSTRUCTION("v_mfma_f32_32x32x1f32", multiply<F32, 32, 2, 1, 1>);
INSTRUCTION("v_mfma_f32_16x16x1f32", multiply<F32, 16, 4, 1, 1>);
INSTRUCTION("v_mfma_f32_4x4x1f32", multiply<F32, 4, 16, 1, 1>);
INSTRUCTION("v_mfma_f32_32x32x2f32", multiply<F32, 32, 1, 2, 1>);
INSTRUCTION("v_mfma_f32_16x16x4f32", multiply<F32, 16, 1, 4, 1>);
INSTRUCTION("v_mfma_f32_32x32x4f16", multiply<F16, 32, 2, 4, 4>);
INSTRUCTION("v_mfma_f32_16x16x4f16", multiply<F16, 16, 4, 4, 4>);
INSTRUCTION("v_mfma_f32_4x4x4f16", multiply<F16, 4, 16, 4, 4>);
INSTRUCTION("v_mfma_f32_32x32x8f16", multiply<F16, 32, 1, 8, 4>);
INSTRUCTION("v_mfma_f32_16x16x16f16", multiply<F16, 16, 1, 16, 4>);
INSTRUCTION("v_mfma_f32_32x32x2bf16", multiply<BF16, 32, 2, 2, 2>);
INSTRUCTION("v_mfma_f32_16x16x2bf16", multiply<BF16, 16, 4, 2, 2>);
INSTRUCTION("v_mfma_f32_4x4x2bf16", multiply<BF16, 4, 16, 2, 2>);
INSTRUCTION("v_mfma_f32_32x32x4bf16", multiply<BF16, 32, 1, 4, 2>);
INSTRUCTION("v_mfma_f32_16x16x8bf16", multiply<BF16, 16, 1, 8, 2>);
INSTRUCTION("v_mfma_f32_32x32x4bf16_1k", multiply<BF16, 32, 2, 4, 4>);
INSTRUCTION("v_mfma_f32_16x16x4bf16_1k", multiply<BF16, 16, 4, 4, 4>);
INSTRUCTION("v_mfma_f32_4x4x4bf16_1k", multiply<BF16, 4, 16, 4, 4>);
INSTRUCTION("v_mfma_f32_32x32x8bf16_1k", multiply<BF16, 32, 1, 8, 4>);
INSTRUCTION("v_mfma_f32_16x16x16bf16_1k", multiply<BF16, 16, 1, 16, 4>);
INSTRUCTION("v_mfma_i32_32x32x4i8", multiply<I8, 32, 2, 4, 4>);
INSTRUCTION("v_mfma_i32_16x16x4i8", multiply<I8, 16, 4, 4, 4>);
INSTRUCTION("v_mfma_i32_4x4x4i8", multiply<I8, 4, 16, 4, 4>);
INSTRUCTION("v_mfma_i32_32x32x8i8", multiply<I8, 32, 1, 8, 4>);
INSTRUCTION("v_mfma_i32_16x16x16i8", multiply<I8, 16, 1, 16, 4>);
INSTRUCTION("v_mfma_f64_16x16x4f64", multiply_doubles_16);
INSTRUCTION("v_mfma_f64_4x4x4f64", multiply_doubles_4);
