// Vector instructions on integers.
#include "vector_math.h"

static inline s32 sign_extend_24(u32 x) {
  return (s32)(x << 8) >> 8;
}

static inline int leading_zeros(u32 x) {
  return x ? __builtin_clz(x) : -1;
}

// ---------- carry ----------
template <class F>
static inline void add_with_carry(Wave &wave, const Instruction &inst, bool cin,
                                  F f) { // f(a,b,c) -> u64 with carry in bit 32
  u32 t0[64], t1[64], r[64];
  const u32 *a = source32(wave, inst, 2, 0, t0), *b = source32(wave, inst, 3, 1, t1);
  u64 c = 0, m = 0, wm = write_mask(wave, inst);
  if (cin)
    c = inst.operands > 4 ? scalar64(wave, inst.operand[4]) : wave.vcc();
  EACH_LANE {
    u64 x = f((u64)a[lane], (u64)b[lane], (c >> lane) & 1);
    u32 co = (x >> 32) & 1;
    r[lane] = (u32)x;
    m |= (u64)co << lane;
    if (inst.clamp && co)
      r[lane] = 0xffffffffu;
  }
  write32(wave, inst, r);
  write_scalar64(wave, inst.operand[1], m & wm);
}

template <class F>
static inline void subtract_with_borrow(Wave &wave, const Instruction &inst, bool cin, F f) {
  u32 t0[64], t1[64], r[64];
  const u32 *a = source32(wave, inst, 2, 0, t0), *b = source32(wave, inst, 3, 1, t1);
  u64 c = 0, m = 0, wm = write_mask(wave, inst);
  if (cin)
    c = inst.operands > 4 ? scalar64(wave, inst.operand[4]) : wave.vcc();
  EACH_LANE {
    u64 x = f((u64)a[lane], (u64)b[lane], (c >> lane) & 1);
    u32 co = (x >> 32) & 1;
    r[lane] = (u32)x;
    m |= (u64)co << lane;
    if (inst.clamp && co)
      r[lane] = 0;
  }
  write32(wave, inst, r);
  write_scalar64(wave, inst.operand[1], m & wm);
}

static inline void add_saturating(Wave &wave, const Instruction &inst,
                                  int kind) { // v_add_u32 & co with clamp
  u32 t0[64], t1[64], r[64];
  const u32 *a = source32(wave, inst, 1, 0, t0), *b = source32(wave, inst, 2, 1, t1);
  bool cl = inst.clamp;
  EACH_LANE {
    u32 x = a[lane], y = b[lane];
    s64 v;
    switch (kind) {
    case 0:
      v = (s64)x + y;
      r[lane] = cl && v > 0xffffffffll ? 0xffffffffu : (u32)v;
      break;
    case 1:
      v = (s64)x - y;
      r[lane] = cl && v < 0 ? 0 : (u32)v;
      break;
    case 2:
      v = (s64)y - x;
      r[lane] = cl && v < 0 ? 0 : (u32)v;
      break;
    case 3:
      v = (s64)(s32)x + (s32)y;
      r[lane] = cl ? (u32)(v > 0x7fffffff      ? 0x7fffffff
                           : v < -0x80000000ll ? (s64)0x80000000
                                               : v)
                   : (u32)v;
      break;
    default:
      v = (s64)(s32)x - (s32)y;
      r[lane] = cl ? (u32)(v > 0x7fffffff      ? 0x7fffffff
                           : v < -0x80000000ll ? (s64)0x80000000
                                               : v)
                   : (u32)v;
      break;
    }
  }
  write32(wave, inst, r);
}

// --- VOP2 / VOP3 integer ---
INSTRUCTION("v_add_u32", [](Wave &wave, const Instruction &inst) {
  if (inst.clamp)
    add_saturating(wave, inst, 0);
  else
    map_u32<2>(wave, inst, [](u32 a, u32 b) { return a + b; });
});
INSTRUCTION("v_sub_u32", [](Wave &wave, const Instruction &inst) {
  if (inst.clamp)
    add_saturating(wave, inst, 1);
  else
    map_u32<2>(wave, inst, [](u32 a, u32 b) { return a - b; });
});
INSTRUCTION("v_subrev_u32", [](Wave &wave, const Instruction &inst) {
  if (inst.clamp)
    add_saturating(wave, inst, 2);
  else
    map_u32<2>(wave, inst, [](u32 a, u32 b) { return b - a; });
});
INSTRUCTION("v_add_i32",
            [](Wave &wave, const Instruction &inst) { add_saturating(wave, inst, 3); });
INSTRUCTION("v_sub_i32",
            [](Wave &wave, const Instruction &inst) { add_saturating(wave, inst, 4); });
U32_OP2("v_and_b32", a &b);
U32_OP2("v_or_b32", a | b);
U32_OP2("v_xor_b32", a ^ b);
U32_OP2("v_xnor_b32", ~(a ^ b));
U32_OP2("v_lshlrev_b32", b << (a & 31));
U32_OP2("v_lshrrev_b32", b >> (a & 31));
U32_OP2("v_ashrrev_i32", (u32)((s32)b >> (a & 31)));
U32_OP2("v_min_i32", (u32)std::min((s32)a, (s32)b));
U32_OP2("v_max_i32", (u32)std::max((s32)a, (s32)b));
U32_OP2("v_min_u32", std::min(a, b));
U32_OP2("v_max_u32", std::max(a, b));
U32_OP2("v_mul_lo_u32", a *b);
U32_OP2("v_mul_hi_u32", (u32)(((u64)a * b) >> 32));
U32_OP2("v_mul_hi_i32", (u32)(((s64)(s32)a * (s32)b) >> 32));
U32_OP2("v_mul_i32_i24", (u32)((s64)sign_extend_24(a) * sign_extend_24(b)));
U32_OP2("v_mul_hi_i32_i24", (u32)(((s64)sign_extend_24(a) * sign_extend_24(b)) >> 32));
U32_OP2("v_mul_u32_u24", (a & 0xffffff) * (b & 0xffffff));
U32_OP2("v_mul_hi_u32_u24", (u32)(((u64)(a & 0xffffff) * (b & 0xffffff)) >> 32));
U32_OP2("v_bfm_b32", ((1u << (a & 31)) - 1) << (b & 31));
U32_OP2("v_bcnt_u32_b32", (u32)__builtin_popcount(a) + b);
U32_OP2("v_cvt_pk_u16_u32", std::min(a, 65535u) | (std::min(b, 65535u) << 16));
U32_OP2("v_cvt_pk_i16_i32", (u32)sat_s16((s32)a) | ((u32)sat_s16((s32)b) << 16));
INSTRUCTION("v_mbcnt_lo_u32_b32", [](Wave &wave, const Instruction &inst) {
  u32 t0[64], t1[64], r[64];
  const u32 *a = source32(wave, inst, 1, 0, t0), *b = source32(wave, inst, 2, 1, t1);
  EACH_LANE {
    u32 mk = lane >= 32 ? ~0u : (1u << lane) - 1;
    r[lane] = __builtin_popcount(a[lane] & mk) + b[lane];
  }
  write32(wave, inst, r);
});
INSTRUCTION("v_mbcnt_hi_u32_b32", [](Wave &wave, const Instruction &inst) {
  u32 t0[64], t1[64], r[64];
  const u32 *a = source32(wave, inst, 1, 0, t0), *b = source32(wave, inst, 2, 1, t1);
  EACH_LANE {
    u32 mk = lane <= 32 ? 0u : (1u << (lane - 32)) - 1;
    r[lane] = __builtin_popcount(a[lane] & mk) + b[lane];
  }
  write32(wave, inst, r);
});
U32_OP3("v_add3_u32", a + b + c);
U32_OP3("v_or3_b32", a | b | c);
U32_OP3("v_and_or_b32", (a & b) | c);
U32_OP3("v_lshl_or_b32", (a << (b & 31)) | c);
U32_OP3("v_lshl_add_u32", (a << (b & 31)) + c);
U32_OP3("v_add_lshl_u32", (a + b) << (c & 31));
U32_OP3("v_xad_u32", (a ^ b) + c);
U32_OP3("v_bfe_u32", (a >> (b & 31)) & ((c & 31) ? (0xffffffffu >> (32 - (c & 31))) : 0));
U32_OP3("v_bfe_i32", (c & 31) == 0 ? 0 : ({
          u32 o = b & 31, w = c & 31;
          s32 x = (s32)a >> o;
          o + w < 32 ? (u32)((s32)((u32)x << (32 - w)) >> (32 - w)) : (u32)x;
        }));
U32_OP3("v_bfi_b32", (a & b) | (~a & c));
U32_OP3("v_alignbit_b32", (u32)((((u64)a << 32) | b) >> (c & 31)));
U32_OP3("v_alignbyte_b32", (u32)((((u64)a << 32) | b) >> (8 * (c & 3))));
U32_OP3("v_perm_b32", ({
          u64 d = ((u64)a << 32) | b;
          u32 r = 0;
          for (int i = 0; i < 4; ++i) {
            u32 s = (c >> (8 * i)) & 255, v;
            if (s >= 13)
              v = 255;
            else if (s == 12)
              v = 0;
            else if (s >= 8)
              v = ((d >> (16 * (s - 8) + 15)) & 1) ? 255 : 0;
            else
              v = (d >> (8 * s)) & 255;
            r |= v << (8 * i);
          }
          r;
        }));
U32_OP3("v_min3_i32", (u32)std::min(std::min((s32)a, (s32)b), (s32)c));
U32_OP3("v_max3_i32", (u32)std::max(std::max((s32)a, (s32)b), (s32)c));
U32_OP3("v_min3_u32", std::min(std::min(a, b), c));
U32_OP3("v_max3_u32", std::max(std::max(a, b), c));
U32_OP3("v_med3_i32", (u32)median_of<s32>(a, b, c));
U32_OP3("v_med3_u32", median_of<u32>(a, b, c));
INSTRUCTION("v_mad_i32_i24", [](Wave &wave, const Instruction &inst) {
  bool cl = inst.clamp;
  map_u32<3>(wave, inst, [cl](u32 a, u32 b, u32 c) {
    s64 v = (s64)sign_extend_24(a) * sign_extend_24(b) + (s32)c;
    if (cl)
      v = std::min<s64>(std::max<s64>(v, -0x80000000ll), 0x7fffffff);
    return (u32)v;
  });
});
INSTRUCTION("v_mad_u32_u24", [](Wave &wave, const Instruction &inst) {
  bool cl = inst.clamp;
  map_u32<3>(wave, inst, [cl](u32 a, u32 b, u32 c) {
    u64 v = (u64)(a & 0xffffff) * (b & 0xffffff) + c;
    if (cl && v > 0xffffffffull)
      v = 0xffffffff;
    return (u32)v;
  });
});
U32_OP3("v_sad_u8", ({
          u32 s = c;
          for (int i = 0; i < 4; ++i) {
            int x = (a >> (8 * i)) & 255, y = (b >> (8 * i)) & 255;
            s += x > y ? x - y : y - x;
          }
          s;
        }));
U32_OP3("v_sad_hi_u8", ({
          u32 s = 0;
          for (int i = 0; i < 4; ++i) {
            int x = (a >> (8 * i)) & 255, y = (b >> (8 * i)) & 255;
            s += x > y ? x - y : y - x;
          }
          (s << 16) + c;
        }));
U32_OP3("v_msad_u8", ({
          u32 s = c;
          for (int i = 0; i < 4; ++i) {
            int x = (a >> (8 * i)) & 255, y = (b >> (8 * i)) & 255;
            if (y)
              s += x > y ? x - y : y - x;
          }
          s;
        }));
U32_OP3("v_sad_u16", ({
          u32 s = c;
          for (int i = 0; i < 2; ++i) {
            int x = (a >> (16 * i)) & 65535, y = (b >> (16 * i)) & 65535;
            s += x > y ? x - y : y - x;
          }
          s;
        }));
U32_OP3("v_sad_u32", (a > b ? a - b : b - a) + c);
U32_OP3("v_lerp_u8", ({
          u32 r = 0;
          for (int i = 0; i < 4; ++i) {
            u32 x = (a >> (8 * i)) & 255, y = (b >> (8 * i)) & 255, z = (c >> (8 * i)) & 1;
            r |= (((x + y + z) >> 1) & 255) << (8 * i);
          }
          r;
        }));
U32_OP3("v_mad_u32_u16", (a & 0xffff) * (b & 0xffff) + c);
U32_OP3("v_mad_i32_i16", (u32)((s32)(s16)a *(s32)(s16)b + (s32)c));
// --- VOP1 integer ---
U32_OP1("v_not_b32", ~a);
U32_OP1("v_bfrev_b32", reverse_bits(a));
U32_OP1("v_ffbh_u32", (u32)leading_zeros(a));
U32_OP1("v_ffbl_b32", a ? (u32)__builtin_ctz(a) : ~0u);
U32_OP1("v_ffbh_i32", ({
          u32 x = (s32)a < 0 ? ~a : a;
          x ? (u32)__builtin_clz(x) : ~0u;
        }));
U32_OP1("v_sat_pk_u8_i16", ({
          s16 x = (s16)a, y = (s16)(a >> 16);
          (u32)(x < 0 ? 0 : x > 255 ? 255 : x) | ((u32)(y < 0 ? 0 : y > 255 ? 255 : y) << 8);
        }));
INSTRUCTION("v_nop", [](Wave &, const Instruction &) {});
INSTRUCTION("v_clrexcp", [](Wave &, const Instruction &) {});
INSTRUCTION("v_swap_b32", [](Wave &wave, const Instruction &inst) {
  u32 t[64];
  u32 *a = wave.vgpr[inst.operand[0].reg], *b = wave.vgpr[inst.operand[1].reg];
  memcpy(t, a, 256);
  merge(a, b, wave.exec());
  merge(b, t, wave.exec());
});
static void move_accumulator(Wave &wave, const Instruction &inst) {
  u32 t[64];
  const u32 *p = source32(wave, inst, 1, 0, t);
  write32(wave, inst, p);
}

INSTRUCTION("v_accvgpr_read_b32", move_accumulator);
INSTRUCTION("v_accvgpr_write_b32", move_accumulator);
INSTRUCTION("v_accvgpr_mov_b32", move_accumulator);
// v_mov_b32 with float modifiers in VOP3 form
INSTRUCTION("v_mov_b32", [](Wave &wave, const Instruction &inst) {
  u32 t[64];
  const u32 *p = source32(wave, inst, 1, 0, t);
  u8 m = inst.operand[1].mod;
  u32 r[64];
  if (m & (MODIFIER_NEG | MODIFIER_ABS)) {
    EACH_LANE {
      r[lane] = p[lane];
      if (m & MODIFIER_ABS)
        r[lane] &= 0x7fffffff;
      if (m & MODIFIER_NEG)
        r[lane] ^= 0x80000000;
    }
    write32(wave, inst, r);
  } else
    write32(wave, inst, p);
});
INSTRUCTION("v_readfirstlane_b32", [](Wave &wave, const Instruction &inst) {
  u32 t[64];
  const u32 *p = source32(wave, inst, 1, 0, t);
  u64 e = wave.exec();
  write_scalar32(wave, inst.operand[0], p[e ? __builtin_ctzll(e) : 0]);
});
INSTRUCTION("v_readlane_b32", [](Wave &wave, const Instruction &inst) {
  u32 t[64];
  const u32 *p = source32(wave, inst, 1, 0, t);
  write_scalar32(wave, inst.operand[0], p[scalar32(wave, inst.operand[2]) & 63]);
});
INSTRUCTION("v_writelane_b32", [](Wave &wave, const Instruction &inst) {
  u32 *p = destination(wave, inst);
  p[scalar32(wave, inst.operand[2]) & 63] = scalar32(wave, inst.operand[1]);
});
INSTRUCTION("v_cndmask_b32", [](Wave &wave, const Instruction &inst) {
  u32 t0[64], t1[64], r[64];
  const u32 *a = source32(wave, inst, 1, 0, t0), *b = source32(wave, inst, 2, 1, t1);
  u64 m = inst.operands > 3 ? scalar64(wave, inst.operand[3]) : wave.vcc();
  u8 ma = inst.flags & FLAG_SDWA ? 0 : inst.operand[1].mod,
     mb = inst.flags & FLAG_SDWA ? 0 : inst.operand[2].mod;
  EACH_LANE {
    u32 x = a[lane], y = b[lane];
    if (ma & MODIFIER_ABS)
      x &= 0x7fffffff;
    if (ma & MODIFIER_NEG)
      x ^= 0x80000000;
    if (mb & MODIFIER_ABS)
      y &= 0x7fffffff;
    if (mb & MODIFIER_NEG)
      y ^= 0x80000000;
    r[lane] = (m >> lane) & 1 ? y : x;
  }
  write32(wave, inst, r);
});
// --- carry ---
INSTRUCTION("v_add_co_u32", [](Wave &wave, const Instruction &inst) {
  add_with_carry(wave, inst, false, [](u64 a, u64 b, u64) { return a + b; });
});
INSTRUCTION("v_addc_co_u32", [](Wave &wave, const Instruction &inst) {
  add_with_carry(wave, inst, true, [](u64 a, u64 b, u64 c) { return a + b + c; });
});
INSTRUCTION("v_sub_co_u32", [](Wave &wave, const Instruction &inst) {
  subtract_with_borrow(wave, inst, false, [](u64 a, u64 b, u64) { return a - b; });
});
INSTRUCTION("v_subrev_co_u32", [](Wave &wave, const Instruction &inst) {
  subtract_with_borrow(wave, inst, false, [](u64 a, u64 b, u64) { return b - a; });
});
INSTRUCTION("v_subb_co_u32", [](Wave &wave, const Instruction &inst) {
  subtract_with_borrow(wave, inst, true, [](u64 a, u64 b, u64 c) { return a - b - c; });
});
INSTRUCTION("v_subbrev_co_u32", [](Wave &wave, const Instruction &inst) {
  subtract_with_borrow(wave, inst, true, [](u64 a, u64 b, u64 c) { return b - a - c; });
});
INSTRUCTION("v_mad_u64_u32", [](Wave &wave, const Instruction &inst) {
  u32 t0[64], t1[64];
  const u32 *a = source32(wave, inst, 2, 0, t0), *b = source32(wave, inst, 3, 1, t1);
  u64 c[64], r[64], m = 0;
  source_u64(wave, inst, 4, c);
  EACH_LANE {
    u128 x = (u128)((u64)a[lane] * b[lane]) + c[lane];
    r[lane] = (u64)x;
    m |= (u64)((x >> 64) & 1) << lane;
  }
  write64(wave, inst, r);
  write_scalar64(wave, inst.operand[1], m & wave.exec());
});
INSTRUCTION("v_mad_i64_i32", [](Wave &wave, const Instruction &inst) {
  u32 t0[64], t1[64];
  const u32 *a = source32(wave, inst, 2, 0, t0), *b = source32(wave, inst, 3, 1, t1);
  u64 c[64], r[64], m = 0;
  source_u64(wave, inst, 4, c);
  EACH_LANE {
    s128 x = (s128)((s64)(s32)a[lane] * (s32)b[lane]) + (s64)c[lane];
    r[lane] = (u64)x;
    m |= (u64)((x >> 64) & 1) << lane;
  }
  write64(wave, inst, r);
  write_scalar64(wave, inst.operand[1], m & wave.exec());
});
// --- 64-bit shifts ---
INSTRUCTION("v_lshlrev_b64", [](Wave &wave, const Instruction &inst) {
  u32 t[64];
  const u32 *a = source32(wave, inst, 1, 0, t);
  u64 b[64];
  source_u64(wave, inst, 2, b, false, 1);
  EACH_LANE b[lane] <<= (a[lane] & 63);
  write64(wave, inst, b);
});
INSTRUCTION("v_lshrrev_b64", [](Wave &wave, const Instruction &inst) {
  u32 t[64];
  const u32 *a = source32(wave, inst, 1, 0, t);
  u64 b[64];
  source_u64(wave, inst, 2, b, false, 1);
  EACH_LANE b[lane] >>= (a[lane] & 63);
  write64(wave, inst, b);
});
INSTRUCTION("v_ashrrev_i64", [](Wave &wave, const Instruction &inst) {
  u32 t[64];
  const u32 *a = source32(wave, inst, 1, 0, t);
  u64 b[64];
  source_u64(wave, inst, 2, b, false, 1);
  EACH_LANE b[lane] = (u64)((s64)b[lane] >> (a[lane] & 63));
  write64(wave, inst, b);
});
