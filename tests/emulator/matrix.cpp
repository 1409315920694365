// Matrix instructions.
#include "lanes.h"

// Matrix ops. One matrix block: D[i][j] = C[i][j] + sum_k A[i][k] * B[k][j].
// A element (i,k) of block b: lane = i + M*(k/E + b*KG) style grouping; see mapping notes in
// README.
static inline float bf(u16 h) {
  return bits_as<float>((u32)h << 16);
}

static inline float flush(float x) {
  return bits_as<float>(flush_f32(bits_as<u32>(x)));
}

static inline const u32 (*regs(Wave &wave, const Operand &o))[64] {
  return o.kind == OPERAND_AGPR ? &wave.agpr[o.reg] : &wave.vgpr[o.reg];
}

enum { TF32, TBF, TF16, TI8 };
// M: tile (32,16,4); NB: blocks; K: total k; E: elements per lane along k; TY: type.  Lanes: G =
// 64/M groups = NB * (K/E)
static inline int src_group(const Instruction &inst, int g) { // A broadcast: cbsz/abid
  if (!inst.cbsz)
    return g;
  int n = 1 << inst.cbsz;
  return (g / n) * n + (inst.abid % n);
}

static inline int blgp_lane(const Instruction &inst, int lane) { // B lane-group pattern
  switch (inst.blgp) {
  case 1:
    return lane & 31; // lanes 0-31 broadcast
  case 2:
    return (lane & 31) + 32; // lanes 32-63 broadcast
  case 3:
    return (lane & ~15) == 48 ? lane - 48 : lane + 16; // rotate by 16
  case 4:
    return lane & 15;
  case 5:
    return (lane & 15) + 16;
  case 6:
    return (lane & 15) + 32;
  case 7:
    return (lane & 15) + 48;
  default:
    return lane;
  }
}

template <int M, int NB, int K, int E, int TY>
static void mfma(Wave &wave, const Instruction &inst) {
  constexpr int G = 64 / M, KG = K / E;
  static_assert(NB * KG == G, "mfma shape");
  constexpr int NR = M == 4 ? 4 : M * M * NB / 64; // result registers per lane
  constexpr bool fl = TY == TBF || TY == TF16;     // as an MI200 does
  const u32(*ra)[64] = regs(wave, inst.operand[1]);
  const u32(*rb)[64] = regs(wave, inst.operand[2]);
  alignas(64) float A[NB][M][K], B[NB][K][M];
  auto ext = [&](const u32(*r)[64], int lane, int e) -> float {
    float x;
    if (TY == TF32)
      x = bits_as<float>(r[0][lane]);
    else if (TY == TBF)
      x = bf((u16)(r[e / 2][lane] >> (16 * (e & 1))));
    else if (TY == TF16) {
      u16 h = (u16)(r[e / 2][lane] >> (16 * (e & 1)));
      if (fl)
        h = flush_f16(h);
      x = half_to_float(h);
    } else
      x = (float)(s8)(r[0][lane] >> (8 * e));
    return (fl && TY == TBF) ? flush(x) : x;
  };
  for (int lane = 0; lane < 64; ++lane) {
    int i = lane % M, g = lane / M, b = g / KG, kg = g % KG;
    int la = i + M * (KG == 1 ? src_group(inst, g) : g), lb = blgp_lane(inst, lane);
    for (int e = 0; e < E; ++e) {
      A[b][i][kg * E + e] = ext(ra, la, e);
      B[b][kg * E + e][i] = ext(rb, lb, e);
    }
  }
  const Operand &oc = inst.operand[3];
  bool cr = oc.kind == OPERAND_VGPR || oc.kind == OPERAND_AGPR;
  const u32(*rc)[64] = cr ? regs(wave, oc) : nullptr;
  u32 cc = cr ? 0 : scalar32(wave, oc);
  u32 D[NR][64];
  for (int b = 0; b < NB; ++b)
    for (int i = 0; i < M; ++i) {
      int r, l0;
      if (M == 32) {
        r = b * 16 + 4 * (i / 8) + i % 4;
        l0 = 32 * ((i / 4) & 1);
      } else if (M == 16) {
        r = b * 4 + i % 4;
        l0 = 16 * (i / 4);
      } else {
        r = i;
        l0 = 4 * b;
      }
      if constexpr (TY == TI8) {
        for (int j = 0; j < M; ++j) {
          u32 s = cr ? rc[r][l0 + j] : cc;
          s64 w = 0;
          for (int k = 0; k < K; ++k)
            w += (s64)((s32)A[b][i][k] * (s32)B[b][k][j]);
          D[r][l0 + j] = (u32)(s + (u32)w);
        }
      } else {
        alignas(64) float acc[M];
        for (int j = 0; j < M; ++j) {
          acc[j] = bits_as<float>(cr ? rc[r][l0 + j] : cc);
          if (fl)
            acc[j] = flush(acc[j]);
        }
        for (int k = 0; k < K; ++k) {
          float a = A[b][i][k];
          for (int j = 0; j < M; ++j)
            acc[j] = __builtin_fmaf(a, B[b][k][j], acc[j]);
        }
        for (int j = 0; j < M; ++j) {
          float x = acc[j];
          if (fl)
            x = flush(x);
          u32 u = bits_as<u32>(x);
          if ((u & 0x7fffffff) > 0x7f800000 && u == 0xffc00000)
            u = 0x7fc00000;
          D[r][l0 + j] = u;
        }
      }
    }
  u32 *d = inst.operand[0].kind == OPERAND_AGPR ? wave.agpr[inst.operand[0].reg]
                                                : wave.vgpr[inst.operand[0].reg];
  memcpy(d, D, sizeof D); // EXEC is ignored by matrix ops
}

static inline double dget(const u32 (*r)[64], int lane) {
  return bits_as<double>((u64)r[0][lane] | ((u64)r[1][lane] << 32));
}

static void mfma_f64_16(Wave &wave,
                        const Instruction &inst) { // 16x16x4, one block; blgp bits negate A, B, C
  const u32(*ra)[64] = regs(wave, inst.operand[1]);
  const u32(*rb)[64] = regs(wave, inst.operand[2]);
  const Operand &oc = inst.operand[3];
  bool cr = oc.kind == OPERAND_VGPR || oc.kind == OPERAND_AGPR;
  const u32(*rc)[64] = cr ? regs(wave, oc) : nullptr;
  double cc = cr ? 0 : bits_as<double>(scalar64(wave, oc, true));
  u64 D[4][64];
  double sa = inst.blgp & 1 ? -1 : 1, sb = inst.blgp & 2 ? -1 : 1, sc = inst.blgp & 4 ? -1 : 1;
  for (int r = 0; r < 4; ++r)
    EACH_LANE {
      int j = lane % 16, i = 4 * r + lane / 16;
      double s = sc * (cr ? dget(rc + 2 * r, lane) : cc);
      for (int k = 0; k < 4; ++k)
        s = fma(sa * dget(ra, i + 16 * k), sb * dget(rb, j + 16 * k), s);
      D[r][lane] = bits_as<u64>(s);
    }
  u32(*d)[64] = inst.operand[0].kind == OPERAND_AGPR ? &wave.agpr[inst.operand[0].reg]
                                                     : &wave.vgpr[inst.operand[0].reg];
  for (int r = 0; r < 4; ++r)
    EACH_LANE {
      d[2 * r][lane] = (u32)D[r][lane];
      d[2 * r + 1][lane] = (u32)(D[r][lane] >> 32);
    }
}

static void mfma_f64_4(Wave &wave, const Instruction &inst) { // 4x4x4, four blocks
  const u32(*ra)[64] = regs(wave, inst.operand[1]);
  const u32(*rb)[64] = regs(wave, inst.operand[2]);
  const Operand &oc = inst.operand[3];
  bool cr = oc.kind == OPERAND_VGPR || oc.kind == OPERAND_AGPR;
  const u32(*rc)[64] = cr ? regs(wave, oc) : nullptr;
  double cc = cr ? 0 : bits_as<double>(scalar64(wave, oc, true));
  u64 D[64];
  double sa = inst.blgp & 1 ? -1 : 1, sb = inst.blgp & 2 ? -1 : 1, sc = inst.blgp & 4 ? -1 : 1;
  EACH_LANE {
    int j = lane % 4, b = (lane / 4) % 4, i = lane / 16;
    double s = sc * (cr ? dget(rc, lane) : cc);
    for (int k = 0; k < 4; ++k)
      s = fma(sa * dget(ra, i + 4 * b + 16 * k), sb * dget(rb, j + 4 * b + 16 * k), s);
    D[lane] = bits_as<u64>(s);
  }
  u32(*d)[64] = inst.operand[0].kind == OPERAND_AGPR ? &wave.agpr[inst.operand[0].reg]
                                                     : &wave.vgpr[inst.operand[0].reg];
  EACH_LANE {
    d[0][lane] = (u32)D[lane];
    d[1][lane] = (u32)(D[lane] >> 32);
  }
}

INSTRUCTION("v_mfma_f32_32x32x1f32", mfma<32, 2, 1, 1, TF32>);
INSTRUCTION("v_mfma_f32_16x16x1f32", mfma<16, 4, 1, 1, TF32>);
INSTRUCTION("v_mfma_f32_4x4x1f32", mfma<4, 16, 1, 1, TF32>);
INSTRUCTION("v_mfma_f32_32x32x2f32", mfma<32, 1, 2, 1, TF32>);
INSTRUCTION("v_mfma_f32_16x16x4f32", mfma<16, 1, 4, 1, TF32>);
INSTRUCTION("v_mfma_f32_32x32x4f16", mfma<32, 2, 4, 4, TF16>);
INSTRUCTION("v_mfma_f32_16x16x4f16", mfma<16, 4, 4, 4, TF16>);
INSTRUCTION("v_mfma_f32_4x4x4f16", mfma<4, 16, 4, 4, TF16>);
INSTRUCTION("v_mfma_f32_32x32x8f16", mfma<32, 1, 8, 4, TF16>);
INSTRUCTION("v_mfma_f32_16x16x16f16", mfma<16, 1, 16, 4, TF16>);
INSTRUCTION("v_mfma_f32_32x32x2bf16", mfma<32, 2, 2, 2, TBF>);
INSTRUCTION("v_mfma_f32_16x16x2bf16", mfma<16, 4, 2, 2, TBF>);
INSTRUCTION("v_mfma_f32_4x4x2bf16", mfma<4, 16, 2, 2, TBF>);
INSTRUCTION("v_mfma_f32_32x32x4bf16", mfma<32, 1, 4, 2, TBF>);
INSTRUCTION("v_mfma_f32_16x16x8bf16", mfma<16, 1, 8, 2, TBF>);
INSTRUCTION("v_mfma_f32_32x32x4bf16_1k", mfma<32, 2, 4, 4, TBF>);
INSTRUCTION("v_mfma_f32_16x16x4bf16_1k", mfma<16, 4, 4, 4, TBF>);
INSTRUCTION("v_mfma_f32_4x4x4bf16_1k", mfma<4, 16, 4, 4, TBF>);
INSTRUCTION("v_mfma_f32_32x32x8bf16_1k", mfma<32, 1, 8, 4, TBF>);
INSTRUCTION("v_mfma_f32_16x16x16bf16_1k", mfma<16, 1, 16, 4, TBF>);
INSTRUCTION("v_mfma_i32_32x32x4i8", mfma<32, 2, 4, 4, TI8>);
INSTRUCTION("v_mfma_i32_16x16x4i8", mfma<16, 4, 4, 4, TI8>);
INSTRUCTION("v_mfma_i32_4x4x4i8", mfma<4, 16, 4, 4, TI8>);
INSTRUCTION("v_mfma_i32_32x32x8i8", mfma<32, 1, 8, 4, TI8>);
INSTRUCTION("v_mfma_i32_16x16x16i8", mfma<16, 1, 16, 4, TI8>);
INSTRUCTION("v_mfma_f64_16x16x4f64", mfma_f64_16);
INSTRUCTION("v_mfma_f64_4x4x4f64", mfma_f64_4);
