// Vector instructions on pairs, and with F16 and F32 sources mixed.
#include "vector_math.h"

static inline float mix_src(const Instruction &inst, u32 raw, u16 raw16inl, int k, bool isc) {
  bool half = (inst.opsel_hi >> k) & 1, hi = (inst.opsel >> k) & 1;
  float x;
  if (half)
    x = half_to_float(isc ? raw16inl : (u16)(hi ? raw >> 16 : raw));
  else
    x = bits_as<float>(raw);
  u8 m = inst.operand[1 + k].mod;
  if (m & MODIFIER_ABS)
    x = fabsf(x);
  if (m & MODIFIER_NEG)
    x = -x;
  return x;
}

static inline void fma_mix(Wave &wave, const Instruction &inst, float *r) {
  u32 t[3][64];
  const u32 *p[3];
  u16 inl[3];
  bool ic[3];
  for (int k = 0; k < 3; ++k) {
    const Operand &o = inst.operand[1 + k];
    ic[k] = o.kind == OPERAND_FLOAT;
    inl[k] = ic[k] ? LITERAL_F16[o.imm - 240] : 0;
    p[k] = source32(wave, inst, 1 + k, k, t[k]);
  }
  EACH_LANE r[lane] =
      fmaf(mix_src(inst, p[0][lane], inl[0], 0, ic[0]), mix_src(inst, p[1][lane], inl[1], 1, ic[1]),
           mix_src(inst, p[2][lane], inl[2], 2, ic[2]));
  if (inst.clamp)
    EACH_LANE {
      float x = r[lane];
      x = x > 0 ? x : 0;
      r[lane] = x < 1 ? x : 1;
    }
}

// ---- packed halves ----
template <int N, class F>
static inline void map_packed_16(Wave &wave, const Instruction &inst, F f, bool flt) {
  u32 t[3][64];
  const u32 *p[3] = {0, 0, 0};
  u32 r[64];
  for (int k = 0; k < N; ++k)
    p[k] = flt ? source32<LITERAL_16>(wave, inst, 1 + k, k, t[k])
               : source32<LITERAL_32>(wave, inst, 1 + k, k, t[k]);
  EACH_LANE {
    u16 o[2];
    for (int h = 0; h < 2; ++h) {
      u16 x[3] = {0, 0, 0};
      u8 sel = h ? inst.opsel_hi : inst.opsel, ng = h ? inst.neg_hi : inst.neg_lo;
      for (int k = 0; k < N; ++k) {
        x[k] = half_of(p[k][lane], (sel >> k) & 1);
        if (flt) {
          if (wave.flush64)
            x[k] = flush_f16(x[k]);
          if ((ng >> k) & 1)
            x[k] ^= 0x8000;
        }
      }
      u16 y = f(x[0], x[1], x[2]);
      if (flt) {
        if (inst.clamp) {
          float q = half_to_float(y);
          q = q > 0 ? q : 0;
          y = float_to_half(q < 1 ? q : 1);
        }
        if (wave.flush64)
          y = flush_f16(y);
        if ((y & 0x7fff) > 0x7c00)
          y = y == 0xfe00 ? 0x7e00 : y | 0x200;
      }
      o[h] = y;
    }
    r[lane] = o[0] | ((u32)o[1] << 16);
  }
  write32(wave, inst, r);
}
#define PACKED_F16_OP2(n, e)                                                                       \
  INSTRUCTION(n, [](Wave &wave, const Instruction &inst) {                                         \
    map_packed_16<2>(                                                                              \
        wave, inst,                                                                                \
        [](u16 x, u16 y, u16) -> u16 {                                                             \
          float a = half_to_float_exactly(x), b = half_to_float_exactly(y);                        \
          return e;                                                                                \
        },                                                                                         \
        true);                                                                                     \
  })

#define PACKED_U16_OP2(n, e)                                                                       \
  INSTRUCTION(n, [](Wave &wave, const Instruction &inst) {                                         \
    bool cl = inst.clamp;                                                                          \
    map_packed_16<2>(                                                                              \
        wave, inst,                                                                                \
        [cl](u16 a, u16 b, u16) -> u16 {                                                           \
          (void)cl;                                                                                \
          return e;                                                                                \
        },                                                                                         \
        false);                                                                                    \
  })

// ---- packed F32 ----

// The halves of N sources from which the low and the high result are computed.
template <int N>
static inline void packed_sources(Wave &wave, const Instruction &inst, u32 (*lo)[64], u32 (*hi)[64],
                                  bool flt) {
  for (int k = 0; k < N; ++k) {
    const Operand &o = inst.operand[1 + k];
    u32 x0[64], x1[64];
    if (o.kind == OPERAND_VGPR) {
      memcpy(x0, wave.vgpr[o.reg], 256);
      memcpy(x1, wave.vgpr[o.reg + 1], 256);
    } else if (o.kind == OPERAND_AGPR) {
      memcpy(x0, wave.agpr[o.reg], 256);
      memcpy(x1, wave.agpr[o.reg + 1], 256);
    } else if (o.kind == OPERAND_SGPR) {
      fill64(x0, wave.sgpr[o.reg]);
      fill64(x1, wave.sgpr[o.reg + 1]);
    } else {
      u32 c = scalar32(wave, o);
      fill64(x0, c);
      fill64(x1, (o.kind == OPERAND_INTEGER && (s32)c < 0) ? 0xffffffffu : 0);
    }
    bool sl = (inst.opsel >> k) & 1, sh = (inst.opsel_hi >> k) & 1;
    u32 nl = flt && ((inst.neg_lo >> k) & 1) ? 0x80000000u : 0,
        nh = flt && ((inst.neg_hi >> k) & 1) ? 0x80000000u : 0;
    EACH_LANE {
      lo[k][lane] = (sl ? x1[lane] : x0[lane]);
      hi[k][lane] = (sh ? x1[lane] : x0[lane]);
      if (flt && wave.flush32) {
        lo[k][lane] = flush_f32(lo[k][lane]);
        hi[k][lane] = flush_f32(hi[k][lane]);
      }
      lo[k][lane] ^= nl;
      hi[k][lane] ^= nh;
    }
  }
}

template <int N, class F>
static inline void map_packed_f32(Wave &wave, const Instruction &inst, F f) {
  u32 lo[3][64], hi[3][64];
  float r0[64], r1[64];
  packed_sources<N>(wave, inst, lo, hi, true);
  EACH_LANE {
    r0[lane] =
        f(bits_as<float>(lo[0][lane]), bits_as<float>(lo[1][lane]), bits_as<float>(lo[2][lane]));
    r1[lane] =
        f(bits_as<float>(hi[0][lane]), bits_as<float>(hi[1][lane]), bits_as<float>(hi[2][lane]));
  }
  Instruction J = inst;
  J.operand[0].reg++;
  write_f32(wave, inst, r0);
  write_f32(wave, J, r1);
}

PACKED_F16_OP2("v_pk_add_f16", float_to_half(a + b));
PACKED_F16_OP2("v_pk_mul_f16", float_to_half(a *b));
PACKED_F16_OP2("v_pk_min_f16", float_to_half(minimum(a, b)));
PACKED_F16_OP2("v_pk_max_f16", float_to_half(maximum(a, b)));
INSTRUCTION("v_pk_fma_f16", [](Wave &wave, const Instruction &inst) {
  map_packed_16<3>(
      wave, inst,
      [](u16 x, u16 y, u16 z) -> u16 {
        return double_to_half(
            fma((double)half_to_float(x), (double)half_to_float(y), (double)half_to_float(z)));
      },
      true);
});
INSTRUCTION("v_pk_fmac_f16", [](Wave &wave, const Instruction &inst) {
  u32 t0[64], t1[64], r[64];
  const u32 *a = source32<LITERAL_16>(wave, inst, 1, 0, t0),
            *b = source32<LITERAL_16>(wave, inst, 2, 1, t1);
  u32 *c = destination(wave, inst);
  EACH_LANE {
    u32 o = 0;
    for (int h = 0; h < 32; h += 16)
      o |= (u32)double_to_half(fma((double)half_to_float((u16)(a[lane] >> h)),
                                   (double)half_to_float((u16)(b[lane] >> h)),
                                   (double)half_to_float((u16)(c[lane] >> h))))
           << h;
    r[lane] = o;
  }
  write32(wave, inst, r);
});
PACKED_U16_OP2("v_pk_add_u16", cl ? sat_u16((s32)a + b) : a + b);
PACKED_U16_OP2("v_pk_sub_u16", cl ? sat_u16((s32)a - b) : a - b);
PACKED_U16_OP2("v_pk_add_i16", cl ? sat_s16((s16)a + (s16)b) : a + b);
PACKED_U16_OP2("v_pk_sub_i16", cl ? sat_s16((s16)a - (s16)b) : a - b);
PACKED_U16_OP2("v_pk_mul_lo_u16", (u16)((u32)a *(u32)b));
PACKED_U16_OP2("v_pk_lshlrev_b16", b << (a & 15));
PACKED_U16_OP2("v_pk_lshrrev_b16", b >> (a & 15));
PACKED_U16_OP2("v_pk_ashrrev_i16", (s16)b >> (a & 15));
PACKED_U16_OP2("v_pk_max_u16", std::max(a, b));
PACKED_U16_OP2("v_pk_min_u16", std::min(a, b));
PACKED_U16_OP2("v_pk_max_i16", std::max((s16)a, (s16)b));
PACKED_U16_OP2("v_pk_min_i16", std::min((s16)a, (s16)b));
INSTRUCTION("v_pk_mad_u16", [](Wave &wave, const Instruction &inst) {
  bool cl = inst.clamp;
  map_packed_16<3>(
      wave, inst,
      [cl](u16 a, u16 b, u16 c) -> u16 {
        u64 v = (u64)a * b + c;
        return cl && v > 65535 ? 65535 : v;
      },
      false);
});
INSTRUCTION("v_pk_mad_i16", [](Wave &wave, const Instruction &inst) {
  bool cl = inst.clamp;
  map_packed_16<3>(
      wave, inst,
      [cl](u16 a, u16 b, u16 c) -> u16 {
        s64 v = (s64)(s16)a * (s16)b + (s16)c;
        return cl ? (v > 32767 ? 32767 : v < -32768 ? 0x8000 : (u16)v) : (u16)v;
      },
      false);
});
INSTRUCTION("v_pk_fma_f32", [](Wave &wave, const Instruction &inst) {
  map_packed_f32<3>(wave, inst, [](float a, float b, float c) { return __builtin_fmaf(a, b, c); });
});
INSTRUCTION("v_pk_mul_f32", [](Wave &wave, const Instruction &inst) {
  map_packed_f32<2>(wave, inst, [](float a, float b, float) { return a * b; });
});
INSTRUCTION("v_pk_add_f32", [](Wave &wave, const Instruction &inst) {
  map_packed_f32<2>(wave, inst, [](float a, float b, float) { return a + b; });
});
INSTRUCTION("v_pk_mov_b32", [](Wave &wave, const Instruction &inst) {
  u32 lo[3][64], hi[3][64];
  packed_sources<2>(wave, inst, lo, hi, false);
  Instruction second = inst;
  second.operand[0].reg++;
  write32(wave, inst, lo[0]); // op_sel says which half of each source
  write32(wave, second, lo[1]);
});
INSTRUCTION("v_fma_mix_f32", [](Wave &wave, const Instruction &inst) {
  float r[64];
  fma_mix(wave, inst, r);
  Instruction J = inst;
  J.clamp = 0;
  write_f32(wave, J, r);
});
INSTRUCTION("v_fma_mixlo_f16", [](Wave &wave, const Instruction &inst) {
  float r[64];
  u32 o[64];
  fma_mix(wave, inst, r);
  u32 *p = destination(wave, inst);
  EACH_LANE o[lane] = (p[lane] & 0xffff0000) | float_to_half(r[lane]);
  write32(wave, inst, o);
});
INSTRUCTION("v_fma_mixhi_f16", [](Wave &wave, const Instruction &inst) {
  float r[64];
  u32 o[64];
  fma_mix(wave, inst, r);
  u32 *p = destination(wave, inst);
  EACH_LANE o[lane] = (p[lane] & 0xffff) | ((u32)float_to_half(r[lane]) << 16);
  write32(wave, inst, o);
});
