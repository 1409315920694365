// Vector instructions on F16 and on 16-bit integers.
#include "vector_math.h"

static inline u16 fraction_f16(float a) {
  const float LARGEST = 0.99951171875f; // below 1
  if (a != a || std::isinf(a))
    return float_to_half(a != a ? a : NAN);
  return float_to_half(std::min(a - floorf(a), LARGEST));
}

F16_OP2("v_add_f16", float_to_half(a + b));
F16_OP2("v_sub_f16", float_to_half(a - b));
F16_OP2("v_subrev_f16", float_to_half(b - a));
F16_OP2("v_mul_f16", float_to_half(a *b));
F16_OP2("v_min_f16", float_to_half(minimum(a, b)));
F16_OP2("v_max_f16", float_to_half(maximum(a, b)));
F16_OP3("v_fma_f16", double_to_half(fma((double)a, (double)b, (double)c)), true);
F16_OP3("v_fma_legacy_f16", double_to_half(fma((double)a, (double)b, (double)c)), false);
F16_OP3("v_mad_f16", float_to_half(half_to_float(float_to_half(a *b)) + c), true);
F16_OP3("v_mad_legacy_f16", float_to_half(half_to_float(float_to_half(a *b)) + c), false);
F16_OP3("v_madmk_f16", float_to_half(half_to_float(float_to_half(a *b)) + c), false);
F16_OP3("v_madak_f16", float_to_half(half_to_float(float_to_half(a *b)) + c), false);
F16_OP3("v_min3_f16", float_to_half(minimum(minimum(a, b), c)), true);
F16_OP3("v_max3_f16", float_to_half(maximum(maximum(a, b), c)), true);
F16_OP3("v_med3_f16", float_to_half(median(a, b, c)), true);
F16_OP3("v_div_fixup_f16", float_to_half(div_fixup<float>(a, b, c)), true);
F16_OP3("v_div_fixup_legacy_f16", float_to_half(div_fixup<float>(a, b, c)), false);
INSTRUCTION("v_mac_f16", [](Wave &wave, const Instruction &inst) {
  float a[64], b[64];
  u16 h[64];
  source_f16(wave, inst, 1, 0, a);
  source_f16(wave, inst, 2, 1, b);
  u32 *c = destination(wave, inst);
  EACH_LANE h[lane] =
      float_to_half(half_to_float(float_to_half(a[lane] * b[lane])) + half_to_float((u16)c[lane]));
  write_f16(wave, inst, h);
});
F16_OP1("v_rcp_f16", float_to_half(1.f / a));
F16_OP1("v_sqrt_f16", float_to_half(sqrtf(a)));
F16_OP1("v_rsq_f16", double_to_half(a == 0 ? copysign(INFINITY, a) : 1.0 / sqrt((double)a)));
F16_OP1("v_log_f16", double_to_half(a == 0 ? -INFINITY : log2((double)a)));
F16_OP1("v_exp_f16", double_to_half(exp2((double)a)));
F16_OP1("v_floor_f16", float_to_half(floorf(a)));
F16_OP1("v_ceil_f16", float_to_half(ceilf(a)));
F16_OP1("v_trunc_f16", float_to_half(truncf(a)));
F16_OP1("v_rndne_f16", float_to_half(rintf(a)));
F16_OP1("v_fract_f16", fraction_f16(a));
F16_OP1("v_sin_f16", float_to_half(sin_f32(a)));
F16_OP1("v_cos_f16", float_to_half(cos_f32(a)));
F16_OP1("v_frexp_mant_f16", float_to_half(frexp_mantissa(a)));
INSTRUCTION("v_frexp_exp_i16_f16", [](Wave &wave, const Instruction &inst) {
  float a[64];
  u16 h[64];
  source_f16(wave, inst, 1, 0, a);
  EACH_LANE h[lane] = (u16)frexp_exponent(a[lane]);
  write16(wave, inst, h, false);
});
INSTRUCTION("v_cvt_f16_u16", [](Wave &wave, const Instruction &inst) {
  u32 a[64];
  u16 h[64];
  source_u16(wave, inst, 1, 0, a);
  EACH_LANE h[lane] = float_to_half((float)a[lane]);
  write_f16(wave, inst, h);
});
INSTRUCTION("v_cvt_f16_i16", [](Wave &wave, const Instruction &inst) {
  u32 a[64];
  u16 h[64];
  source_u16(wave, inst, 1, 0, a);
  EACH_LANE h[lane] = float_to_half((float)(s16)a[lane]);
  write_f16(wave, inst, h);
});
INSTRUCTION("v_cvt_u16_f16", [](Wave &wave, const Instruction &inst) {
  float a[64];
  u16 h[64];
  source_f16(wave, inst, 1, 0, a);
  EACH_LANE {
    float x = a[lane];
    h[lane] = x != x || x <= 0 ? 0 : x >= 65535.f ? 65535 : (u16)x;
  }
  write16(wave, inst, h, false);
});
INSTRUCTION("v_cvt_i16_f16", [](Wave &wave, const Instruction &inst) {
  float a[64];
  u16 h[64];
  source_f16(wave, inst, 1, 0, a);
  EACH_LANE {
    float x = a[lane];
    h[lane] = x != x ? 0 : x >= 32767.f ? 32767 : x <= -32768.f ? 0x8000 : (u16)(s16)x;
  }
  write16(wave, inst, h, false);
});
INSTRUCTION("v_ldexp_f16", [](Wave &wave, const Instruction &inst) {
  float a[64];
  u32 b[64];
  u16 h[64];
  source_f16(wave, inst, 1, 0, a);
  source_u16(wave, inst, 2, 1, b);
  EACH_LANE h[lane] = double_to_half(ldexp((double)a[lane], (s16)b[lane]));
  write_f16(wave, inst, h);
});
INSTRUCTION("v_pack_b32_f16", [](Wave &wave, const Instruction &inst) {
  u16 a[64], b[64];
  u32 r[64];
  source_f16_bits(wave, inst, 1, 0, a);
  source_f16_bits(wave, inst, 2, 1, b);
  EACH_LANE r[lane] = a[lane] | ((u32)b[lane] << 16);
  write32(wave, inst, r);
});
INSTRUCTION("v_add_u16", [](Wave &wave, const Instruction &inst) {
  bool cl = inst.clamp;
  map_u16<2>(wave, inst, [cl](u32 a, u32 b) -> u16 { return cl ? sat_u16((s32)(a + b)) : a + b; });
});
INSTRUCTION("v_sub_u16", [](Wave &wave, const Instruction &inst) {
  bool cl = inst.clamp;
  map_u16<2>(wave, inst,
             [cl](u32 a, u32 b) -> u16 { return cl ? sat_u16((s32)a - (s32)b) : a - b; });
});
INSTRUCTION("v_subrev_u16", [](Wave &wave, const Instruction &inst) {
  bool cl = inst.clamp;
  map_u16<2>(wave, inst,
             [cl](u32 a, u32 b) -> u16 { return cl ? sat_u16((s32)b - (s32)a) : b - a; });
});
INSTRUCTION("v_add_i16", [](Wave &wave, const Instruction &inst) {
  bool cl = inst.clamp;
  map_u16<2>(
      wave, inst,
      [cl](u32 a, u32 b) -> u16 {
        s32 v = (s16)a + (s16)b;
        return cl ? sat_s16(v) : (u16)v;
      },
      true);
});
INSTRUCTION("v_sub_i16", [](Wave &wave, const Instruction &inst) {
  bool cl = inst.clamp;
  map_u16<2>(
      wave, inst,
      [cl](u32 a, u32 b) -> u16 {
        s32 v = (s16)a - (s16)b;
        return cl ? sat_s16(v) : (u16)v;
      },
      true);
});
U16_OP2("v_mul_lo_u16", (a * b));
U16_OP2("v_lshlrev_b16", b << (a & 15));
U16_OP2("v_lshrrev_b16", b >> (a & 15));
U16_OP2("v_ashrrev_i16", (s16)b >> (a & 15));
U16_OP2("v_max_u16", std::max(a, b));
U16_OP2("v_min_u16", std::min(a, b));
U16_OP2("v_max_i16", std::max((s16)a, (s16)b));
U16_OP2("v_min_i16", std::min((s16)a, (s16)b));
U16_OP3("v_mad_u16", (a * b) + c, true);
U16_OP3("v_mad_i16", (a * b) + c, true);
U16_OP3("v_mad_legacy_u16", (a * b) + c, false);
U16_OP3("v_mad_legacy_i16", (a * b) + c, false);
U16_OP3("v_min3_u16", std::min(std::min(a, b), c), true);
U16_OP3("v_max3_u16", std::max(std::max(a, b), c), true);
U16_OP3("v_med3_u16", median_of<u32>(a, b, c), true);
U16_OP3("v_min3_i16", std::min(std::min((s16)a, (s16)b), (s16)c), true);
U16_OP3("v_max3_i16", std::max(std::max((s16)a, (s16)b), (s16)c), true);
U16_OP3("v_med3_i16", median_of<s16>(a, b, c), true);
