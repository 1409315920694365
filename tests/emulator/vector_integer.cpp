// Vector instructions on integers.
#include "vector_math.h"

static inline s32 sign_extend_24(u32 x) {
  return (s32)(x << 8) >> 8;
}

static inline int leading_zeros(u32 x) {
  return x ? __builtin_clz(x) : -1;
}

// ---- sums with carry ----

// sum(a, b, carry) has the carry, or the borrow, in bit 32. A clamped result that has one is
// `clamped`. The carry comes from operand 4, or from vcc if there is none.
template <class F>
static inline void add_with_carry(Wave &wave, const Instruction &inst, bool has_carry, u32 clamped,
                                  F sum) {
  u32 t0[64], t1[64], r[64];
  const u32 *a = source32(wave, inst, 2, 0, t0), *b = source32(wave, inst, 3, 1, t1);
  const u64 given = inst.operands > 4 ? scalar64(wave, inst.operand[4]) : wave.vcc();
  const u64 carries = has_carry ? given : 0, written = write_mask(wave, inst);
  u64 made = 0;
  EACH_LANE {
    const u64 value = sum((u64)a[lane], (u64)b[lane], (carries >> lane) & 1);
    const u64 carry = (value >> 32) & 1;
    made |= carry << lane;
    r[lane] = inst.clamp && carry ? clamped : (u32)value;
  }
  write32(wave, inst, r);
  write_scalar64(wave, inst.operand[1], made & written);
}

#define SUM_WITH_CARRY(mnemonic, has_carry, clamped, expression)                                   \
  INSTRUCTION(mnemonic, [](Wave &wave, const Instruction &inst) {                                  \
    add_with_carry(wave, inst, has_carry, clamped,                                                 \
                   [](u64 a, u64 b, [[maybe_unused]] u64 c) { return expression; });               \
  })
SUM_WITH_CARRY("v_add_co_u32", false, ~0u, a + b);
SUM_WITH_CARRY("v_addc_co_u32", true, ~0u, a + b + c);
SUM_WITH_CARRY("v_sub_co_u32", false, 0, a - b);
SUM_WITH_CARRY("v_subrev_co_u32", false, 0, b - a);
SUM_WITH_CARRY("v_subb_co_u32", true, 0, a - b - c);
SUM_WITH_CARRY("v_subbrev_co_u32", true, 0, b - a - c);

// ---- sums that may be clamped ----

template <class F>
static inline void add_clamped(Wave &wave, const Instruction &inst, s64 least, s64 most, F sum) {
  if (!inst.clamp)
    return map_u32<2>(wave, inst, [=](u32 a, u32 b) { return (u32)sum(a, b); });
  map_u32<2>(wave, inst,
             [=](u32 a, u32 b) { return (u32)std::min(std::max(sum(a, b), least), most); });
}

#define CLAMPED_SUM(mnemonic, least, most, expression)                                             \
  INSTRUCTION(mnemonic, [](Wave &wave, const Instruction &inst) {                                  \
    add_clamped(wave, inst, least, most, [](u32 a, u32 b) { return expression; });                 \
  })
CLAMPED_SUM("v_add_u32", 0, UINT32_MAX, (s64)a + b);
CLAMPED_SUM("v_sub_u32", 0, UINT32_MAX, (s64)a - b);
CLAMPED_SUM("v_subrev_u32", 0, UINT32_MAX, (s64)b - a);
CLAMPED_SUM("v_add_i32", INT32_MIN, INT32_MAX, (s64)(s32)a + (s32)b);
CLAMPED_SUM("v_sub_i32", INT32_MIN, INT32_MAX, (s64)(s32)a - (s32)b);

// ---- functions of a lane ----

static inline u32 extracted_signed(u32 from, u32 offset, u32 width) {
  const s32 shifted = (s32)from >> (offset & 31);
  width &= 31;
  if (width == 0)
    return 0;
  return (offset & 31) + width < 32 ? (u32)((s32)((u32)shifted << (32 - width)) >> (32 - width))
                                    : (u32)shifted;
}

static inline u32 byte_of(u32 from, int number) {
  return (from >> (8 * number)) & 255;
}

// A byte of the result of v_perm_b32: one of eight bytes, the sign of one of four halves, 0 or 255.
static inline u32 selected_byte(u64 from, u32 select) {
  if (select < 8)
    return (u32)(from >> (8 * select)) & 255;
  if (select < 12)
    return (from >> (16 * (select - 8) + 15)) & 1 ? 255 : 0;
  return select == 12 ? 0 : 255;
}

static inline u32 permuted(u32 a, u32 b, u32 selects) {
  u32 r = 0;
  for (int i = 0; i < 4; ++i)
    r |= selected_byte((u64)a << 32 | b, byte_of(selects, i)) << (8 * i);
  return r;
}

static inline u32 distance(u32 a, u32 b) {
  return a > b ? a - b : b - a;
}

// The sum of the distances of bytes; those where b is 0 count only if all do.
static inline u32 distance_of_bytes(u32 a, u32 b, bool all = true) {
  u32 sum = 0;
  for (int i = 0; i < 4; ++i)
    if (all || byte_of(b, i))
      sum += distance(byte_of(a, i), byte_of(b, i));
  return sum;
}

// The means of bytes, rounded up where c is odd.
static inline u32 means(u32 a, u32 b, u32 c) {
  u32 r = 0;
  for (int i = 0; i < 4; ++i)
    r |= ((byte_of(a, i) + byte_of(b, i) + (byte_of(c, i) & 1)) >> 1 & 255) << (8 * i);
  return r;
}

static inline u32 sign_bits(u32 x) {
  const u32 magnitude = (s32)x < 0 ? ~x : x;
  return magnitude ? (u32)__builtin_clz(magnitude) : ~0u;
}

static inline u32 saturated_byte(s16 x) {
  return (u32)std::min(std::max((int)x, 0), 255);
}

U32_OP2("v_and_b32", (a & b));
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
U32_OP2("v_mul_lo_u32", (a * b));
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
U32_OP3("v_bfe_i32", extracted_signed(a, b, c));
U32_OP3("v_bfi_b32", (a & b) | (~a & c));
U32_OP3("v_alignbit_b32", (u32)((((u64)a << 32) | b) >> (c & 31)));
U32_OP3("v_alignbyte_b32", (u32)((((u64)a << 32) | b) >> (8 * (c & 3))));
U32_OP3("v_perm_b32", permuted(a, b, c));
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
U32_OP3("v_sad_u8", distance_of_bytes(a, b) + c);
U32_OP3("v_sad_hi_u8", (distance_of_bytes(a, b) << 16) + c);
U32_OP3("v_msad_u8", distance_of_bytes(a, b, false) + c);
U32_OP3("v_sad_u16", distance(a & 0xffff, b & 0xffff) + distance(a >> 16, b >> 16) + c);
U32_OP3("v_sad_u32", distance(a, b) + c);
U32_OP3("v_lerp_u8", means(a, b, c));
U32_OP3("v_mad_u32_u16", (a & 0xffff) * (b & 0xffff) + c);
U32_OP3("v_mad_i32_i16", (u32)(((s32)(s16)a * (s32)(s16)b) + (s32)c));
U32_OP1("v_not_b32", ~a);
U32_OP1("v_bfrev_b32", reverse_bits(a));
U32_OP1("v_ffbh_u32", (u32)leading_zeros(a));
U32_OP1("v_ffbl_b32", a ? (u32)__builtin_ctz(a) : ~0u);
U32_OP1("v_ffbh_i32", sign_bits(a));
U32_OP1("v_sat_pk_u8_i16", saturated_byte((s16)a) | saturated_byte((s16)(a >> 16)) << 8);
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

// ---- 64 bits ----
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
