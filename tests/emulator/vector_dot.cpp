// Dot products.
#include "vector_math.h"

static float source_c(const Instruction &inst, u32 bits) {
  float c = bits_as<float>(bits);
  if (inst.operand[3].mod & MODIFIER_ABS)
    c = fabsf(c);
  return inst.operand[3].mod & MODIFIER_NEG || (inst.neg_lo & 4) ? -c : c;
}

// The product of half `half` of two registers. The short form v_dot2c has no modifiers.
static double product_f16(const Instruction &inst, bool is_short, int half, u32 a, u32 b) {
  const u8 normal = half ? inst.opsel_hi : inst.opsel, negated = half ? inst.neg_hi : inst.neg_lo;
  const u8 select = is_short ? (half ? 3 : 0) : normal, negate = is_short ? 0 : negated;
  const u16 x = half_of(a, select & 1) ^ (negate & 1 ? 0x8000 : 0);
  const u16 y = half_of(b, (select >> 1) & 1) ^ (negate & 2 ? 0x8000 : 0);
  return (double)half_to_float(flush_f16(x)) * half_to_float(flush_f16(y));
}

// v_dot2_f32_f16, or v_dot2c_f32_f16, which adds to its result.
static void dot_f16(Wave &wave, const Instruction &inst, bool is_short) {
  u32 t[3][64];
  const u32 *a = source32<LITERAL_16>(wave, inst, 1, 0, t[0]);
  const u32 *b = source32<LITERAL_16>(wave, inst, 2, 1, t[1]);
  const u32 *c = is_short ? wave.vgpr[inst.operand[0].reg] : source32(wave, inst, 3, 2, t[2]);
  float r[64];
  EACH_LANE {
    const float sum = is_short ? bits_as<float>(c[lane]) : source_c(inst, c[lane]);
    const double d = product_f16(inst, is_short, 0, a[lane], b[lane]) +
                     product_f16(inst, is_short, 1, a[lane], b[lane]) + (double)flush(sum);
    r[lane] = flush((float)d);
    if (inst.clamp)
      r[lane] = std::min(std::max(r[lane], 0.f), 1.f);
  }
  write_f32(wave, inst, r);
}

template <int BITS, bool SG>
static inline void dot_integers(Wave &wave, const Instruction &inst, bool acc) {
  u32 t[3][64];
  const u32 *a = source32(wave, inst, 1, 0, t[0]), *b = source32(wave, inst, 2, 1, t[1]);
  const u32 *c = acc ? wave.vgpr[inst.operand[0].reg] : source32(wave, inst, 3, 2, t[2]);
  u32 r[64];
  EACH_LANE {
    s64 s = SG ? (s64)(s32)c[lane] : (s64)c[lane];
    for (int k = 0; k < 32 / BITS; ++k) {
      int ka = k, kb = k;
      if (BITS == 16 && !acc) {
        u8 sel = k ? inst.opsel_hi : inst.opsel;
        ka = sel & 1;
        kb = (sel >> 1) & 1;
      }
      u32 x = (a[lane] >> (BITS * ka)) & ((1u << BITS) - 1),
          y = (b[lane] >> (BITS * kb)) & ((1u << BITS) - 1);
      if (SG)
        s += (s64)((s32)(x << (32 - BITS)) >> (32 - BITS)) *
             ((s32)(y << (32 - BITS)) >> (32 - BITS));
      else
        s += (s64)x * y;
    }
    if (inst.clamp) {
      if (SG)
        s = std::max<s64>(std::min<s64>(s, 0x7fffffff), -0x80000000ll);
      else
        s = std::min<s64>(s, 0xffffffffll);
    }
    r[lane] = (u32)s;
  }
  write32(wave, inst, r);
}

INSTRUCTION("v_dot2_f32_f16",
            [](Wave &wave, const Instruction &inst) { dot_f16(wave, inst, false); });
INSTRUCTION("v_dot2c_f32_f16",
            [](Wave &wave, const Instruction &inst) { dot_f16(wave, inst, true); });
INSTRUCTION("v_dot2_i32_i16",
            [](Wave &wave, const Instruction &inst) { dot_integers<16, true>(wave, inst, false); });
INSTRUCTION("v_dot2_u32_u16", [](Wave &wave, const Instruction &inst) {
  dot_integers<16, false>(wave, inst, false);
});
INSTRUCTION("v_dot2c_i32_i16",
            [](Wave &wave, const Instruction &inst) { dot_integers<16, true>(wave, inst, true); });
INSTRUCTION("v_dot4_i32_i8",
            [](Wave &wave, const Instruction &inst) { dot_integers<8, true>(wave, inst, false); });
INSTRUCTION("v_dot4_u32_u8",
            [](Wave &wave, const Instruction &inst) { dot_integers<8, false>(wave, inst, false); });
INSTRUCTION("v_dot4c_i32_i8",
            [](Wave &wave, const Instruction &inst) { dot_integers<8, true>(wave, inst, true); });
INSTRUCTION("v_dot8_i32_i4",
            [](Wave &wave, const Instruction &inst) { dot_integers<4, true>(wave, inst, false); });
INSTRUCTION("v_dot8_u32_u4",
            [](Wave &wave, const Instruction &inst) { dot_integers<4, false>(wave, inst, false); });
INSTRUCTION("v_dot8c_i32_i4",
            [](Wave &wave, const Instruction &inst) { dot_integers<4, true>(wave, inst, true); });
