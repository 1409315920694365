// How instructions read their operands and write their results, for all 64 lanes.
#ifndef EMULATOR_LANES_H
#define EMULATOR_LANES_H

#include "wave.h"

#include <cmath>
#include <immintrin.h>

#define EACH_LANE for (int lane = 0; lane < 64; ++lane)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)
#define LIKELY(x) __builtin_expect(!!(x), 1)

static const u32 LITERAL_F32[9] = {0x3f000000, 0xbf000000, 0x3f800000, 0xbf800000, 0x40000000,
                                   0xc0000000, 0x40800000, 0xc0800000, 0x3e22f983};
static const u16 LITERAL_F16[9] = {0x3800, 0xb800, 0x3c00, 0xbc00, 0x4000,
                                   0xc000, 0x4400, 0xc400, 0x3118};
static const u64 LITERAL_F64[9] = {0x3fe0000000000000, 0xbfe0000000000000, 0x3ff0000000000000,
                                   0xbff0000000000000, 0x4000000000000000, 0xc000000000000000,
                                   0x4010000000000000, 0xc010000000000000, 0x3fc45f306dc9c882};

static inline u32 reverse_bits(u32 x) {
  u32 reversed = 0;
  for (int i = 0; i < 32; ++i)
    reversed |= ((x >> i) & 1) << (31 - i);
  return reversed;
}

static inline u64 reverse_bits(u64 x) {
  return (u64)reverse_bits((u32)x) << 32 | reverse_bits((u32)(x >> 32));
}

template <class T, class S> static inline T bits_as(S s) {
  static_assert(sizeof(T) == sizeof(S), "");
  T t;
  memcpy(&t, &s, sizeof t);
  return t;
}

static inline float half_to_float(u16 h) {
  return (float)bits_as<_Float16>(h);
}

// A signalling NaN stays one.
static inline float half_to_float_exactly(u16 h) {
  if ((h & 0x7fff) > 0x7c00)
    return bits_as<float>(((u32)(h & 0x8000) << 16) | 0x7f800000u | ((u32)(h & 0x3ff) << 13));
  return (float)bits_as<_Float16>(h);
}

static inline u16 float_to_half(float f) {
  return bits_as<u16>((_Float16)f);
}

// Rounds once. A float that is rounded to odd, not to even, makes the second rounding harmless.
static inline u16 double_to_half(double d) {
  const float f = (float)d;
  u32 bits = bits_as<u32>(f);
  if ((double)f == d || d != d || (bits & 1))
    return float_to_half(f);
  const bool is_above = fabs((double)f) > fabs(d);
  bits = (is_above ? bits - 1 : bits) | 1;
  return float_to_half(bits_as<float>(bits));
}

enum { LITERAL_32, LITERAL_16 };

static inline u32 scalar32(Wave &wave, const Operand &o) {
  switch (o.kind) {
  case OPERAND_SGPR:
    return wave.sgpr[o.reg];
  case OPERAND_INTEGER:
  case OPERAND_LITERAL:
    return (u32)o.imm;
  case OPERAND_FLOAT:
    return LITERAL_F32[o.imm - 240];
  case OPERAND_SCC:
    return wave.scc;
  case OPERAND_VCCZ:
    return wave.vcc() == 0;
  case OPERAND_EXECZ:
    return wave.exec() == 0;
  default:
    return 0; // the base and limit registers have 64 bits
  }
}

static inline u64 scalar64(Wave &wave, const Operand &o, bool f64 = false) {
  switch (o.kind) {
  case OPERAND_SGPR:
    return wave.sgpr64(o.reg);
  case OPERAND_INTEGER:
    return (u64)(s64)(s32)(u32)o.imm;
  case OPERAND_LITERAL:
    return f64 ? (u64)(u32)o.imm << 32 : (u64)(u32)o.imm;
  case OPERAND_FLOAT:
    return LITERAL_F64[o.imm - 240]; // the operand size selects the constant, also for b64 operands
  case OPERAND_SCC:
    return wave.scc;
  case OPERAND_VCCZ:
    return wave.vcc() == 0;
  case OPERAND_EXECZ:
    return wave.exec() == 0;
  case OPERAND_SHARED_BASE:
    return (u64)SHARED_APERTURE << 32;
  case OPERAND_SHARED_LIMIT:
    return ((u64)SHARED_APERTURE << 32) | 0xffffffffu;
  case OPERAND_PRIVATE_BASE:
    return (u64)PRIVATE_APERTURE << 32;
  case OPERAND_PRIVATE_LIMIT:
    return ((u64)PRIVATE_APERTURE << 32) | 0xffffffffu;
  default:
    return 0;
  }
}

static inline void fill64(u32 *t, u32 x) {
  EACH_LANE t[lane] = x;
}

enum { DPP_PATTERNS = 512 };
extern s8 dpp_source[DPP_PATTERNS][64]; // the lane that each lane reads; -1: none
// The lanes whose source lane of DPP is active.
static inline u64 dpp_valid(Wave &wave, const Instruction &inst) {
  u64 ex = wave.exec(), m = 0;
  const s8 *t = dpp_source[inst.dpp & 511];
  EACH_LANE {
    int s = t[lane];
    if (s >= 0 && ((ex >> s) & 1))
      m |= 1ull << lane;
  }
  return m;
}

// The lanes that DPP writes.
static inline u64 dpp_mask(Wave &wave, const Instruction &inst) {
  u64 m = 0;
  EACH_LANE if (((inst.row_mask >> (lane / 16)) & 1) && ((inst.bank_mask >> ((lane % 16) / 4)) & 1))
      m |= 1ull << lane;
  if (!inst.bound)
    m &= dpp_valid(wave, inst);
  return m;
}

static inline u32 sdwa_get(u32 x, int sel, bool sext) {
  switch (sel) {
  case 0:
  case 1:
  case 2:
  case 3: {
    u32 b = (x >> (8 * sel)) & 255;
    return sext ? (u32)(s32)(s8)b : b;
  }
  case 4:
    return sext ? (u32)(s32)(s16)(x & 0xffff) : x & 0xffff;
  case 5:
    return sext ? (u32)(s32)(s16)(x >> 16) : x >> 16;
  default:
    return x;
  }
}

static inline const u32 *apply_dpp_or_sdwa(Wave &wave, const Instruction &inst, const Operand &o,
                                           int slot, const u32 *p, u32 *tmp) {
  if (inst.flags & FLAG_DPP) {
    if (slot)
      return p;
    u64 ok = dpp_valid(wave, inst);
    const s8 *t = dpp_source[inst.dpp & 511];
    u32 r[64];
    EACH_LANE r[lane] = (ok >> lane) & 1 ? p[(int)t[lane]] : 0;
    memcpy(tmp, r, 256);
    return tmp;
  }
  if (slot > 1)
    return p;
  int sel = slot ? inst.s1_sel : inst.s0_sel;
  bool se = o.mod & MODIFIER_SEXT;
  if (sel == 6)
    return p;
  EACH_LANE tmp[lane] = sdwa_get(p[lane], sel, se);
  return tmp;
}

// ---- sources ----
// `number` is the operand's, `slot` 0, 1 or 2 for src0, src1 or src2 of the ISA manual. `tmp` (64)
// is where the values go that are not those of a register; the result may point to it.

// 32 bits as they are.
template <int T = LITERAL_32>
static inline const u32 *source32(Wave &wave, const Instruction &inst, int number, int slot,
                                  u32 *tmp) {
  const Operand &o = inst.operand[number];
  const u32 *p;
  if (o.kind == OPERAND_VGPR) {
    int r = o.reg;
    if (UNLIKELY(wave.index_enable & (1u << slot)))
      r = (r + wave.index) & 255;
    p = wave.vgpr[r];
  } else if (o.kind == OPERAND_AGPR)
    p = wave.agpr[o.reg];
  else {
    u32 x =
        (T == LITERAL_16 && o.kind == OPERAND_FLOAT) ? LITERAL_F16[o.imm - 240] : scalar32(wave, o);
    fill64(tmp, x);
    p = tmp;
  }
  if (UNLIKELY(inst.flags & (FLAG_DPP | FLAG_SDWA)))
    p = apply_dpp_or_sdwa(wave, inst, o, slot, p, tmp);
  return p;
}

static inline u32 flush_f32(u32 x) {
  return (x & 0x7f800000) ? x : x & 0x80000000;
}

static inline u64 flush_f64(u64 x) {
  return (x & 0x7ff0000000000000) ? x : x & 0x8000000000000000;
}

static inline u16 flush_f16(u16 x) {
  return (x & 0x7c00) ? x : x & 0x8000;
}

// F32 with its modifiers; subnormal numbers are zeros if the wave says so.
static inline const float *source_f32(Wave &wave, const Instruction &inst, int number, int slot,
                                      u32 *tmp) {
  const u32 *p = source32<LITERAL_32>(wave, inst, number, slot, tmp);
  u8 m = inst.operand[number].mod;
  if (UNLIKELY(wave.flush32)) {
    EACH_LANE tmp[lane] = flush_f32(p[lane]);
    p = tmp;
  }
  if (m & MODIFIER_ABS) {
    EACH_LANE tmp[lane] = p[lane] & 0x7fffffff;
    p = tmp;
  }
  if (m & MODIFIER_NEG) {
    EACH_LANE tmp[lane] = p[lane] ^ 0x80000000;
    p = tmp;
  }
  return (const float *)p;
}

static inline void source_f16(Wave &wave, const Instruction &inst, int number, int slot,
                              float *out) {
  u32 t[64];
  const u32 *p = source32<LITERAL_16>(wave, inst, number, slot, t);
  u8 m = inst.operand[number].mod;
  int sh = (inst.flags & FLAG_VOP3) && ((inst.opsel >> slot) & 1) ? 16 : 0;
  EACH_LANE {
    u16 h = p[lane] >> sh;
    if (wave.flush64)
      h = flush_f16(h);
    if (m & MODIFIER_ABS)
      h &= 0x7fff;
    if (m & MODIFIER_NEG)
      h ^= 0x8000;
    out[lane] = half_to_float_exactly(h);
  }
}

// The bits of F16 with its modifiers.
static inline void source_f16_bits(Wave &wave, const Instruction &inst, int number, int slot,
                                   u16 *out) {
  u32 t[64];
  const u32 *p = source32<LITERAL_16>(wave, inst, number, slot, t);
  u8 m = inst.operand[number].mod;
  int sh = (inst.flags & FLAG_VOP3) && ((inst.opsel >> slot) & 1) ? 16 : 0;
  EACH_LANE {
    u16 h = p[lane] >> sh;
    if (wave.flush64)
      h = flush_f16(h);
    if (m & MODIFIER_ABS)
      h &= 0x7fff;
    if (m & MODIFIER_NEG)
      h ^= 0x8000;
    out[lane] = h;
  }
}

static inline void source_u16(Wave &wave, const Instruction &inst, int number, int slot, u32 *out) {
  u32 t[64];
  const u32 *p = source32<LITERAL_16>(wave, inst, number, slot, t);
  int sh = (inst.flags & FLAG_VOP3) && ((inst.opsel >> slot) & 1) ? 16 : 0;
  EACH_LANE out[lane] = (p[lane] >> sh) & 0xffff;
}

static inline void source_u64(Wave &wave, const Instruction &inst, int number, u64 *out,
                              bool f64 = false, int slot = 0) {
  const Operand &o = inst.operand[number];
  if (o.kind == OPERAND_VGPR || o.kind == OPERAND_AGPR) {
    int r = o.reg;
    if (UNLIKELY(o.kind == OPERAND_VGPR && (wave.index_enable & (1u << slot))))
      r = (r + wave.index) & 255;
    const u32 *p = o.kind == OPERAND_VGPR ? wave.vgpr[r] : wave.agpr[r], *q = p + 64;
    EACH_LANE out[lane] = (u64)p[lane] | ((u64)q[lane] << 32);
    if (UNLIKELY(inst.flags & FLAG_DPP) && slot == 0) {
      u64 t[64];
      memcpy(t, out, 512);
      u64 ok = dpp_valid(wave, inst);
      const s8 *d = dpp_source[inst.dpp & 511];
      EACH_LANE out[lane] = (ok >> lane) & 1 ? t[(int)d[lane]] : 0;
    }
  } else {
    u64 x = scalar64(wave, o, f64);
    EACH_LANE out[lane] = x;
  }
}

static inline void source_f64(Wave &wave, const Instruction &inst, int number, double *out,
                              int slot = 0) {
  u64 *p = (u64 *)out;
  source_u64(wave, inst, number, p, true, slot);
  u8 m = inst.operand[number].mod;
  if (UNLIKELY(wave.flush64))
    EACH_LANE p[lane] = flush_f64(p[lane]);
  if (m & MODIFIER_ABS)
    EACH_LANE p[lane] &= 0x7fffffffffffffff;
  if (m & MODIFIER_NEG)
    EACH_LANE p[lane] ^= 0x8000000000000000;
}

static inline u64 write_mask(Wave &wave, const Instruction &inst) {
  u64 m = wave.exec();
  if (UNLIKELY(inst.flags & FLAG_DPP))
    m &= dpp_mask(wave, inst);
  return m;
}

static inline void merge(u32 *p, const u32 *r, u64 m) {
  if (m == ~0ull) {
    memcpy(p, r, 256);
    return;
  }
#ifdef __AVX512F__
  for (int i = 0; i < 4; ++i)
    _mm512_mask_storeu_epi32(p + 16 * i, (__mmask16)(m >> (16 * i)),
                             _mm512_loadu_si512(r + 16 * i));
#else
  EACH_LANE if ((m >> lane) & 1) p[lane] = r[lane];
#endif
}

static inline u32 *destination(Wave &wave, const Instruction &inst, int number = 0) {
  const Operand &o = inst.operand[number];
  if (o.kind == OPERAND_AGPR)
    return wave.agpr[o.reg];
  int r = o.reg;
  if (UNLIKELY(wave.index_enable & 8))
    r = (r + wave.index) & 255;
  return wave.vgpr[r];
}

static inline void write32(Wave &wave, const Instruction &inst, const u32 *r, int number = 0) {
  u32 *p = destination(wave, inst, number);
  u64 m = write_mask(wave, inst);
  if (UNLIKELY(inst.flags & FLAG_SDWA) && inst.dst_sel != 6) {
    int sh = inst.dst_sel < 4 ? 8 * inst.dst_sel : 16 * (inst.dst_sel - 4),
        w = inst.dst_sel < 4 ? 8 : 16;
    u32 mk = ((1u << w) - 1) << sh, t[64];
    EACH_LANE {
      u32 x = (r[lane] << sh) & mk;
      if (inst.dst_unused == 1) {
        s32 sx = (s32)(r[lane] << (32 - w)) >> (32 - w);
        x = (u32)sx << sh;
      } else if (inst.dst_unused == 2)
        x |= p[lane] & ~mk;
      t[lane] = x;
    }
    merge(p, t, m);
    return;
  }
  merge(p, r, m);
}

static inline void write64(Wave &wave, const Instruction &inst, const u64 *r, int number = 0) {
  u32 *p = destination(wave, inst, number);
  u64 m = write_mask(wave, inst);
  u32 lo[64], hi[64];
  EACH_LANE {
    lo[lane] = (u32)r[lane];
    hi[lane] = (u32)(r[lane] >> 32);
  }
  merge(p, lo, m);
  merge(p + 64, hi, m);
}

// An F32 result: its modifiers, the clamp, subnormal numbers, and the device's NaN.
static inline void write_f32(Wave &wave, const Instruction &inst, float *r, int number = 0) {
  if (UNLIKELY(inst.omod)) {
    float k = inst.omod == 1 ? 2.f : inst.omod == 2 ? 4.f : .5f;
    EACH_LANE r[lane] *= k;
  }
  if (UNLIKELY(inst.clamp))
    EACH_LANE {
      float x = r[lane];
      x = x > 0.f ? x : 0.f;
      r[lane] = x < 1.f ? x : 1.f;
    }
  u32 *b = (u32 *)r;
  if (UNLIKELY(wave.flush32))
    EACH_LANE b[lane] = flush_f32(b[lane]);
  EACH_LANE b[lane] = (b[lane] & 0x7fffffff) > 0x7f800000
                          ? (b[lane] == 0xffc00000 ? 0x7fc00000 : b[lane] | 0x00400000)
                          : b[lane];
  write32(wave, inst, b, number);
}

static inline void write_f64(Wave &wave, const Instruction &inst, double *r, int number = 0) {
  if (UNLIKELY(inst.omod)) {
    double k = inst.omod == 1 ? 2. : inst.omod == 2 ? 4. : .5;
    EACH_LANE r[lane] *= k;
  }
  if (UNLIKELY(inst.clamp))
    EACH_LANE {
      double x = r[lane];
      x = x > 0. ? x : 0.;
      r[lane] = x < 1. ? x : 1.;
    }
  u64 *b = (u64 *)r;
  if (UNLIKELY(wave.flush64))
    EACH_LANE b[lane] = flush_f64(b[lane]);
  EACH_LANE b[lane] =
      (b[lane] & 0x7fffffffffffffff) > 0x7ff0000000000000
          ? (b[lane] == 0xfff8000000000000 ? 0x7ff8000000000000 : b[lane] | 0x0008000000000000)
          : b[lane];
  write64(wave, inst, b, number);
}

// A result of 16 bits. VOP3 instructions with op_sel preserve the other half of the register, all
// others set it to zero.
static inline void write16(Wave &wave, const Instruction &inst, const u16 *h, bool preserve,
                           int number = 0) {
  u32 r[64];
  if (preserve && (inst.flags & FLAG_VOP3)) {
    u32 *p = destination(wave, inst, number);
    if (inst.opsel & 8)
      EACH_LANE r[lane] = (p[lane] & 0xffff) | ((u32)h[lane] << 16);
    else
      EACH_LANE r[lane] = (p[lane] & 0xffff0000) | h[lane];
  } else
    EACH_LANE r[lane] = h[lane];
  write32(wave, inst, r, number);
}

static inline void write_f16(Wave &wave, const Instruction &inst, u16 *h, bool preserve = false) {
  if (UNLIKELY(inst.omod)) {
    float k = inst.omod == 1 ? 2.f : inst.omod == 2 ? 4.f : .5f;
    EACH_LANE h[lane] = float_to_half(half_to_float(h[lane]) * k);
  }
  if (UNLIKELY(inst.clamp))
    EACH_LANE {
      float x = half_to_float(h[lane]);
      x = x > 0.f ? x : 0.f;
      h[lane] = float_to_half(x < 1.f ? x : 1.f);
    }
  if (UNLIKELY(wave.flush64))
    EACH_LANE h[lane] = flush_f16(h[lane]);
  EACH_LANE if ((h[lane] & 0x7fff) > 0x7c00) h[lane] =
      h[lane] == 0xfe00 ? 0x7e00 : h[lane] | 0x0200;
  write16(wave, inst, h, preserve);
}

static inline void write_scalar32(Wave &wave, const Operand &o, u32 x) {
  wave.sgpr[o.reg] = x;
}

static inline void write_scalar64(Wave &wave, const Operand &o, u64 x) {
  wave.set_sgpr64(o.reg, x);
}

// Sets what the bits of the mode register say about subnormal numbers.
static inline void update_flushing(Wave &wave) {
  wave.flush32 = ((wave.mode >> 4) & 3) != 3;
  wave.flush64 = ((wave.mode >> 6) & 3) != 3;
}

#endif
