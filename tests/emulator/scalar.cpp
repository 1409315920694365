// Scalar instructions, branches, and scalar loads.
#include "lanes.h"

static inline u32 argument32(Wave &wave, const Instruction &inst, int k) {
  return scalar32(wave, inst.operand[k]);
}

static inline u64 argument64(Wave &wave, const Instruction &inst, int k) {
  return scalar64(wave, inst.operand[k]);
}

static inline void set_result32(Wave &wave, const Instruction &inst, u32 x) {
  write_scalar32(wave, inst.operand[0], x);
}

static inline void set_result64(Wave &wave, const Instruction &inst, u64 x) {
  write_scalar64(wave, inst.operand[0], x);
}

static inline void jump(Wave &wave, const Instruction &inst, u64 addr) {
  u64 off = addr - wave.module->text_base;
  if (off >= wave.module->text_size || (off & 3) || wave.module->index[off / 4] < 0)
    raise_fault(wave, inst, "jump to an address that is not an instruction of this module");
  wave.next_pc = wave.module->index[off / 4];
}

static inline u64 next_addr(Wave &wave, const Instruction &inst) {
  return wave.module->text_base + inst.address + inst.size;
}
#define B32_OP2(n, e)                                                                              \
  INSTRUCTION(n, [](Wave &wave, const Instruction &inst) {                                         \
    u32 a = argument32(wave, inst, 1), b = argument32(wave, inst, 2);                              \
    (void)a;                                                                                       \
    (void)b;                                                                                       \
    u32 d = e;                                                                                     \
    set_result32(wave, inst, d);                                                                   \
  })

#define B32_OP2_SCC(n, e)                                                                          \
  INSTRUCTION(n, [](Wave &wave, const Instruction &inst) {                                         \
    u32 a = argument32(wave, inst, 1), b = argument32(wave, inst, 2);                              \
    u32 d = e;                                                                                     \
    set_result32(wave, inst, d);                                                                   \
    wave.scc = d != 0;                                                                             \
  })

#define B64_OP2_SCC(n, e)                                                                          \
  INSTRUCTION(n, [](Wave &wave, const Instruction &inst) {                                         \
    u64 a = argument64(wave, inst, 1), b = argument64(wave, inst, 2);                              \
    u64 d = e;                                                                                     \
    set_result64(wave, inst, d);                                                                   \
    wave.scc = d != 0;                                                                             \
  })

#define B64_SHIFT(n, e)                                                                            \
  INSTRUCTION(n, [](Wave &wave, const Instruction &inst) {                                         \
    u64 a = argument64(wave, inst, 1);                                                             \
    u32 b = argument32(wave, inst, 2);                                                             \
    u64 d = e;                                                                                     \
    set_result64(wave, inst, d);                                                                   \
    wave.scc = d != 0;                                                                             \
  })

#define B32_OP1(n, e)                                                                              \
  INSTRUCTION(n, [](Wave &wave, const Instruction &inst) {                                         \
    u32 a = argument32(wave, inst, 1);                                                             \
    u32 d = e;                                                                                     \
    set_result32(wave, inst, d);                                                                   \
  })

#define B32_OP1_SCC(n, e)                                                                          \
  INSTRUCTION(n, [](Wave &wave, const Instruction &inst) {                                         \
    u32 a = argument32(wave, inst, 1);                                                             \
    u32 d = e;                                                                                     \
    set_result32(wave, inst, d);                                                                   \
    wave.scc = d != 0;                                                                             \
  })

#define B64_OP1_SCC(n, e)                                                                          \
  INSTRUCTION(n, [](Wave &wave, const Instruction &inst) {                                         \
    u64 a = argument64(wave, inst, 1);                                                             \
    u64 d = e;                                                                                     \
    set_result64(wave, inst, d);                                                                   \
    wave.scc = d != 0;                                                                             \
  })

#define B64_TO_B32(n, e)                                                                           \
  INSTRUCTION(n, [](Wave &wave, const Instruction &inst) {                                         \
    u64 a = argument64(wave, inst, 1);                                                             \
    u32 d = e;                                                                                     \
    set_result32(wave, inst, d);                                                                   \
  })

#define SAVE_EXEC(n, e)                                                                            \
  INSTRUCTION(n, [](Wave &wave, const Instruction &inst) {                                         \
    u64 s = argument64(wave, inst, 1), x = wave.exec();                                            \
    u64 r = e;                                                                                     \
    set_result64(wave, inst, x);                                                                   \
    wave.exec() = r;                                                                               \
    wave.scc = r != 0;                                                                             \
  })

#define COMPARE_32(n, e)                                                                           \
  INSTRUCTION(n, [](Wave &wave, const Instruction &inst) {                                         \
    u32 a = argument32(wave, inst, 0), b = argument32(wave, inst, 1);                              \
    wave.scc = (e) ? 1 : 0;                                                                        \
  })

#define COMPARE_IMMEDIATE(n, e)                                                                    \
  INSTRUCTION(n, [](Wave &wave, const Instruction &inst) {                                         \
    u32 a = argument32(wave, inst, 0);                                                             \
    s32 k = (s16)inst.immediate;                                                                   \
    u32 uk = inst.immediate & 0xffff;                                                              \
    (void)k;                                                                                       \
    (void)uk;                                                                                      \
    wave.scc = (e) ? 1 : 0;                                                                        \
  })

static inline u64 whole_quads(u64 x) {
  u64 r = 0;
  for (int i = 0; i < 64; i += 4)
    if ((x >> i) & 15)
      r |= 15ull << i;
  return r;
}

static inline u32 hardware_register(Wave &wave, u32 id) {
  switch (id) {
  case 1:
    return wave.mode;
  case 2:
    return (wave.scc & 1) | ((wave.exec() == 0) << 9) | ((wave.vcc() == 0) << 10);
  case 4:
    return (wave.number & 15) | ((wave.number & 3) << 4);
  case 5:
    return 0;
  case 6:
    return (wave.launch->lds_bytes / 512) << 12;
  case 15:
    return (SHARED_APERTURE & 0xffff0000u) | ((PRIVATE_APERTURE >> 16) & 0xffff);
  default:
    return 0;
  }
}

static inline void set_hardware_register(Wave &wave, const Instruction &inst, u32 val) {
  u32 id = inst.immediate & 63, off = (inst.immediate >> 6) & 31,
      w = ((inst.immediate >> 11) & 31) + 1;
  u32 mk = (w == 32 ? ~0u : ((1u << w) - 1)) << off;
  if (id == 1) {
    wave.mode = (wave.mode & ~mk) | ((val << off) & mk);
    if (wave.mode & 15)
      raise_fault(wave, inst, "rounding mode other than nearest-even is not emulated");
    update_flushing(wave);
  }
}

static bool read_bytes(Wave &wave, const Instruction &inst, u64 a, u32 n, void *out) {
  if (!(a >= wave.last_range.low && a + n <= wave.last_range.high))
    if (!find_range(wave, inst, a, n, 1, -1)) {
      memset(out, 0, n);
      return false;
    }
  memcpy(out, (void *)a, n);
  return true;
}

template <int N> static void load_scalars(Wave &wave, const Instruction &inst) {
  u64 base = argument64(wave, inst, 1) + (s64)inst.offset;
  if (inst.operand[2].kind == OPERAND_SGPR)
    base += wave.sgpr[inst.operand[2].reg];
  else if (inst.operand[2].kind == OPERAND_INTEGER || inst.operand[2].kind == OPERAND_LITERAL)
    base += (s64)(s32)(u32)inst.operand[2].imm;
  base &= ~3ull;
  u32 t[N];
  read_bytes(wave, inst, base, 4 * N, t);
  memcpy(&wave.sgpr[inst.operand[0].reg], t, 4 * N);
}

template <int N> static void load_from_buffer(Wave &wave, const Instruction &inst) {
  u32 *rs = &wave.sgpr[inst.operand[1].reg];
  u64 base = (u64)rs[0] | ((u64)(rs[1] & 0xffff) << 32);
  u32 stride = (rs[1] >> 16) & 0x3fff, nr = rs[2];
  u64 size = stride ? (u64)stride * nr : nr;
  u64 off = (s64)inst.offset;
  if (inst.operand[2].kind == OPERAND_SGPR)
    off += wave.sgpr[inst.operand[2].reg];
  else if (inst.operand[2].kind == OPERAND_INTEGER || inst.operand[2].kind == OPERAND_LITERAL)
    off += (u32)inst.operand[2].imm;
  off &= ~3ull;
  u32 t[N];
  for (int i = 0; i < N; ++i) {
    t[i] = 0;
    if (off + 4 * i + 4 <= size)
      read_bytes(wave, inst, base + off + 4 * i, 4, &t[i]);
  }
  memcpy(&wave.sgpr[inst.operand[0].reg], t, 4 * N);
}

template <int N> static void store_scalars(Wave &wave, const Instruction &inst) {
  u64 base = argument64(wave, inst, 1) + (s64)inst.offset;
  if (inst.operand[2].kind == OPERAND_SGPR)
    base += wave.sgpr[inst.operand[2].reg];
  else if (inst.operand[2].kind == OPERAND_INTEGER || inst.operand[2].kind == OPERAND_LITERAL)
    base += (s64)(s32)(u32)inst.operand[2].imm;
  base &= ~3ull;
  if (find_range(wave, inst, base, 4 * N, 2, -1))
    memcpy((void *)base, &wave.sgpr[inst.operand[0].reg], 4 * N);
}

// How many bits at the top are alike; ~0: all.
static u32 sign_bits(u64 x) {
  const u64 magnitude = (s64)x < 0 ? ~x : x;
  return magnitude ? (u32)__builtin_clzll(magnitude) : ~0u;
}

static u32 sign_bits(u32 x) {
  const u32 magnitude = (s32)x < 0 ? ~x : x;
  return magnitude ? (u32)__builtin_clz(magnitude) : ~0u;
}

static u32 extract_bits(u32 a, u32 b, bool sg) {
  u32 o = b & 31, w = (b >> 16) & 127;
  if (!w)
    return 0u;
  if (sg) {
    s64 x = (s32)a;
    x >>= o;
    if (w >= 32)
      return (u32)x;
    return (u32)((s32)((u32)x << (32 - w)) >> (32 - w));
  }
  return w >= 32 ? a >> o : (a >> o) & ((1u << w) - 1);
}

INSTRUCTION("s_add_u32", [](Wave &wave, const Instruction &inst) {
  u64 x = (u64)argument32(wave, inst, 1) + argument32(wave, inst, 2);
  set_result32(wave, inst, (u32)x);
  wave.scc = x >> 32;
});
INSTRUCTION("s_sub_u32", [](Wave &wave, const Instruction &inst) {
  u32 a = argument32(wave, inst, 1), b = argument32(wave, inst, 2);
  set_result32(wave, inst, a - b);
  wave.scc = b > a;
});
INSTRUCTION("s_add_i32", [](Wave &wave, const Instruction &inst) {
  s32 a = argument32(wave, inst, 1), b = argument32(wave, inst, 2), d;
  wave.scc = __builtin_add_overflow(a, b, &d);
  set_result32(wave, inst, d);
});
INSTRUCTION("s_sub_i32", [](Wave &wave, const Instruction &inst) {
  s32 a = argument32(wave, inst, 1), b = argument32(wave, inst, 2), d;
  wave.scc = __builtin_sub_overflow(a, b, &d);
  set_result32(wave, inst, d);
});
INSTRUCTION("s_addc_u32", [](Wave &wave, const Instruction &inst) {
  u64 x = (u64)argument32(wave, inst, 1) + argument32(wave, inst, 2) + wave.scc;
  set_result32(wave, inst, (u32)x);
  wave.scc = x >> 32;
});
INSTRUCTION("s_subb_u32", [](Wave &wave, const Instruction &inst) {
  u64 a = argument32(wave, inst, 1), b = (u64)argument32(wave, inst, 2) + wave.scc;
  set_result32(wave, inst, (u32)(a - b));
  wave.scc = b > a;
});

#define MIN_OR_MAX(n, T, op)                                                                       \
  INSTRUCTION(n, [](Wave &wave, const Instruction &inst) {                                         \
    T a = (T)argument32(wave, inst, 1), b = (T)argument32(wave, inst, 2);                          \
    bool c = a op b;                                                                               \
    set_result32(wave, inst, (u32)(c ? a : b));                                                    \
    wave.scc = c;                                                                                  \
  })
MIN_OR_MAX("s_min_i32", s32, <);
MIN_OR_MAX("s_min_u32", u32, <);
MIN_OR_MAX("s_max_i32", s32, >=);
MIN_OR_MAX("s_max_u32", u32, >=);
INSTRUCTION("s_cselect_b32", [](Wave &wave, const Instruction &inst) {
  set_result32(wave, inst, wave.scc ? argument32(wave, inst, 1) : argument32(wave, inst, 2));
});
INSTRUCTION("s_cselect_b64", [](Wave &wave, const Instruction &inst) {
  set_result64(wave, inst, wave.scc ? argument64(wave, inst, 1) : argument64(wave, inst, 2));
});
B32_OP2_SCC("s_and_b32", (a & b));
B64_OP2_SCC("s_and_b64", (a & b));
B32_OP2_SCC("s_or_b32", a | b);
B64_OP2_SCC("s_or_b64", a | b);
B32_OP2_SCC("s_xor_b32", a ^ b);
B64_OP2_SCC("s_xor_b64", a ^ b);
B32_OP2_SCC("s_andn2_b32", a & ~b);
B64_OP2_SCC("s_andn2_b64", a & ~b);
B32_OP2_SCC("s_orn2_b32", a | ~b);
B64_OP2_SCC("s_orn2_b64", a | ~b);
B32_OP2_SCC("s_nand_b32", (~(a & b)));
B64_OP2_SCC("s_nand_b64", (~(a & b)));
B32_OP2_SCC("s_nor_b32", ~(a | b));
B64_OP2_SCC("s_nor_b64", ~(a | b));
B32_OP2_SCC("s_xnor_b32", ~(a ^ b));
B64_OP2_SCC("s_xnor_b64", ~(a ^ b));
B32_OP2_SCC("s_lshl_b32", a << (b & 31));
B64_SHIFT("s_lshl_b64", a << (b & 63));
B32_OP2_SCC("s_lshr_b32", a >> (b & 31));
B64_SHIFT("s_lshr_b64", a >> (b & 63));
B32_OP2_SCC("s_ashr_i32", (u32)((s32)a >> (b & 31)));
B64_SHIFT("s_ashr_i64", (u64)((s64)a >> (b & 63)));
B32_OP2("s_bfm_b32", ((1u << (a & 31)) - 1) << (b & 31));
INSTRUCTION("s_bfm_b64", [](Wave &wave, const Instruction &inst) {
  u32 a = argument32(wave, inst, 1), b = argument32(wave, inst, 2);
  set_result64(wave, inst, ((1ull << (a & 63)) - 1) << (b & 63));
});
B32_OP2("s_mul_i32", (a * b));
B32_OP2("s_mul_hi_u32", (u32)(((u64)a * b) >> 32));
B32_OP2("s_mul_hi_i32", (u32)(((s64)(s32)a * (s32)b) >> 32));
INSTRUCTION("s_bfe_u32", [](Wave &wave, const Instruction &inst) {
  u32 d = extract_bits(argument32(wave, inst, 1), argument32(wave, inst, 2), false);
  set_result32(wave, inst, d);
  wave.scc = d != 0;
});
INSTRUCTION("s_bfe_i32", [](Wave &wave, const Instruction &inst) {
  u32 d = extract_bits(argument32(wave, inst, 1), argument32(wave, inst, 2), true);
  set_result32(wave, inst, d);
  wave.scc = d != 0;
});
INSTRUCTION("s_bfe_u64", [](Wave &wave, const Instruction &inst) {
  u64 a = argument64(wave, inst, 1);
  u32 b = argument32(wave, inst, 2), o = b & 63, w = (b >> 16) & 127;
  u64 d = w == 0 ? 0 : w >= 64 ? a >> o : (a >> o) & ((1ull << w) - 1);
  set_result64(wave, inst, d);
  wave.scc = d != 0;
});
INSTRUCTION("s_bfe_i64", [](Wave &wave, const Instruction &inst) {
  s64 a = argument64(wave, inst, 1);
  u32 b = argument32(wave, inst, 2), o = b & 63, w = (b >> 16) & 127;
  s64 x = a >> o;
  u64 d = w == 0 ? 0 : w >= 64 ? (u64)x : (u64)((s64)((u64)x << (64 - w)) >> (64 - w));
  set_result64(wave, inst, d);
  wave.scc = d != 0;
});
INSTRUCTION("s_absdiff_i32", [](Wave &wave, const Instruction &inst) {
  s32 a = argument32(wave, inst, 1), b = argument32(wave, inst, 2);
  u32 d = (u32)a - (u32)b;
  if ((s32)d < 0)
    d = 0u - d;
  set_result32(wave, inst, d);
  wave.scc = d != 0;
});

#define SHIFT_AND_ADD(k)                                                                           \
  INSTRUCTION("s_lshl" #k "_add_u32", [](Wave &wave, const Instruction &inst) {                    \
    u64 x = ((u64)argument32(wave, inst, 1) << k) + argument32(wave, inst, 2);                     \
    set_result32(wave, inst, (u32)x);                                                              \
    wave.scc = (x >> 32) != 0;                                                                     \
  })
SHIFT_AND_ADD(1);
SHIFT_AND_ADD(2);
SHIFT_AND_ADD(3);
SHIFT_AND_ADD(4);
B32_OP2("s_pack_ll_b32_b16", (a & 0xffff) | (b << 16));
B32_OP2("s_pack_lh_b32_b16", (a & 0xffff) | (b & 0xffff0000));
B32_OP2("s_pack_hh_b32_b16", (a >> 16) | (b & 0xffff0000));
// ---- one source ----
B32_OP1("s_mov_b32", a);
INSTRUCTION("s_mov_b64", [](Wave &wave, const Instruction &inst) {
  set_result64(wave, inst, argument64(wave, inst, 1));
});
INSTRUCTION("s_cmov_b32", [](Wave &wave, const Instruction &inst) {
  if (wave.scc)
    set_result32(wave, inst, argument32(wave, inst, 1));
});
INSTRUCTION("s_cmov_b64", [](Wave &wave, const Instruction &inst) {
  if (wave.scc)
    set_result64(wave, inst, argument64(wave, inst, 1));
});
B32_OP1_SCC("s_not_b32", ~a);
B64_OP1_SCC("s_not_b64", ~a);
B32_OP1_SCC("s_wqm_b32", (u32)whole_quads(a));
B64_OP1_SCC("s_wqm_b64", whole_quads(a));
B32_OP1("s_brev_b32", reverse_bits(a));
INSTRUCTION("s_brev_b64", [](Wave &wave, const Instruction &inst) {
  set_result64(wave, inst, reverse_bits(argument64(wave, inst, 1)));
});
B32_OP1_SCC("s_bcnt0_i32_b32", 32 - __builtin_popcount(a));
B32_OP1_SCC("s_bcnt1_i32_b32", __builtin_popcount(a));
INSTRUCTION("s_bcnt0_i32_b64", [](Wave &wave, const Instruction &inst) {
  u32 d = 64 - __builtin_popcountll(argument64(wave, inst, 1));
  set_result32(wave, inst, d);
  wave.scc = d != 0;
});
INSTRUCTION("s_bcnt1_i32_b64", [](Wave &wave, const Instruction &inst) {
  u32 d = __builtin_popcountll(argument64(wave, inst, 1));
  set_result32(wave, inst, d);
  wave.scc = d != 0;
});
B32_OP1("s_ff0_i32_b32", ~a ? (u32)__builtin_ctz(~a) : ~0u);
B32_OP1("s_ff1_i32_b32", a ? (u32)__builtin_ctz(a) : ~0u);
B64_TO_B32("s_ff0_i32_b64", ~a ? (u32)__builtin_ctzll(~a) : ~0u);
B64_TO_B32("s_ff1_i32_b64", a ? (u32)__builtin_ctzll(a) : ~0u);
B32_OP1("s_flbit_i32_b32", a ? (u32)__builtin_clz(a) : ~0u);
B64_TO_B32("s_flbit_i32_b64", a ? (u32)__builtin_clzll(a) : ~0u);
B32_OP1("s_flbit_i32", sign_bits((u32)a));
B64_TO_B32("s_flbit_i32_i64", sign_bits((u64)a));
B32_OP1("s_sext_i32_i8", (u32)(s32)(s8)a);
B32_OP1("s_sext_i32_i16", (u32)(s32)(s16)a);
INSTRUCTION("s_bitset0_b32", [](Wave &wave, const Instruction &inst) {
  wave.sgpr[inst.operand[0].reg] &= ~(1u << (argument32(wave, inst, 1) & 31));
});
INSTRUCTION("s_bitset1_b32", [](Wave &wave, const Instruction &inst) {
  wave.sgpr[inst.operand[0].reg] |= 1u << (argument32(wave, inst, 1) & 31);
});
INSTRUCTION("s_bitset0_b64", [](Wave &wave, const Instruction &inst) {
  set_result64(wave, inst,
               wave.sgpr64(inst.operand[0].reg) & ~(1ull << (argument32(wave, inst, 1) & 63)));
});
INSTRUCTION("s_bitset1_b64", [](Wave &wave, const Instruction &inst) {
  set_result64(wave, inst,
               wave.sgpr64(inst.operand[0].reg) | (1ull << (argument32(wave, inst, 1) & 63)));
});
INSTRUCTION("s_bitreplicate_b64_b32", [](Wave &wave, const Instruction &inst) {
  u32 a = argument32(wave, inst, 1);
  u64 d = 0;
  for (int i = 0; i < 32; ++i)
    if ((a >> i) & 1)
      d |= 3ull << (2 * i);
  set_result64(wave, inst, d);
});
INSTRUCTION("s_getpc_b64", [](Wave &wave, const Instruction &inst) {
  set_result64(wave, inst, next_addr(wave, inst));
});
INSTRUCTION("s_setpc_b64", [](Wave &wave, const Instruction &inst) {
  jump(wave, inst, argument64(wave, inst, 0));
});
INSTRUCTION("s_swappc_b64", [](Wave &wave, const Instruction &inst) {
  u64 t = argument64(wave, inst, 1);
  set_result64(wave, inst, next_addr(wave, inst));
  jump(wave, inst, t);
});
INSTRUCTION("s_call_b64", [](Wave &wave, const Instruction &inst) {
  set_result64(wave, inst, next_addr(wave, inst));
  wave.next_pc = inst.immediate;
});
SAVE_EXEC("s_and_saveexec_b64", (s & x));
SAVE_EXEC("s_or_saveexec_b64", s | x);
SAVE_EXEC("s_xor_saveexec_b64", s ^ x);
SAVE_EXEC("s_andn2_saveexec_b64", s & ~x);
SAVE_EXEC("s_orn2_saveexec_b64", s | ~x);
SAVE_EXEC("s_nand_saveexec_b64", (~(s & x)));
SAVE_EXEC("s_nor_saveexec_b64", ~(s | x));
SAVE_EXEC("s_xnor_saveexec_b64", ~(s ^ x));
SAVE_EXEC("s_andn1_saveexec_b64", (~s & x));
SAVE_EXEC("s_orn1_saveexec_b64", ~s | x);
INSTRUCTION("s_andn1_wrexec_b64", [](Wave &wave, const Instruction &inst) {
  u64 r = ~argument64(wave, inst, 1) & wave.exec();
  wave.exec() = r;
  set_result64(wave, inst, r);
  wave.scc = r != 0;
});
INSTRUCTION("s_andn2_wrexec_b64", [](Wave &wave, const Instruction &inst) {
  u64 r = argument64(wave, inst, 1) & ~wave.exec();
  wave.exec() = r;
  set_result64(wave, inst, r);
  wave.scc = r != 0;
});
INSTRUCTION("s_quadmask_b32", [](Wave &wave, const Instruction &inst) {
  u32 a = argument32(wave, inst, 1), d = 0;
  for (int i = 0; i < 8; ++i)
    if ((a >> (4 * i)) & 15)
      d |= 1u << i;
  set_result32(wave, inst, d);
  wave.scc = d != 0;
});
INSTRUCTION("s_quadmask_b64", [](Wave &wave, const Instruction &inst) {
  u64 a = argument64(wave, inst, 1), d = 0;
  for (int i = 0; i < 16; ++i)
    if ((a >> (4 * i)) & 15)
      d |= 1ull << i;
  set_result64(wave, inst, d);
  wave.scc = d != 0;
});
INSTRUCTION("s_abs_i32", [](Wave &wave, const Instruction &inst) {
  u32 a = argument32(wave, inst, 1);
  u32 d = (s32)a < 0 ? 0u - a : a;
  set_result32(wave, inst, d);
  wave.scc = d != 0;
});
INSTRUCTION("s_movrels_b32", [](Wave &wave, const Instruction &inst) {
  set_result32(wave, inst, wave.sgpr[(inst.operand[1].reg + wave.sgpr[REGISTER_M0]) & 127]);
});
INSTRUCTION("s_movrels_b64", [](Wave &wave, const Instruction &inst) {
  set_result64(wave, inst, wave.sgpr64((inst.operand[1].reg + wave.sgpr[REGISTER_M0]) & 127));
});
INSTRUCTION("s_movreld_b32", [](Wave &wave, const Instruction &inst) {
  wave.sgpr[(inst.operand[0].reg + wave.sgpr[REGISTER_M0]) & 127] = argument32(wave, inst, 1);
});
INSTRUCTION("s_movreld_b64", [](Wave &wave, const Instruction &inst) {
  wave.set_sgpr64((inst.operand[0].reg + wave.sgpr[REGISTER_M0]) & 127, argument64(wave, inst, 1));
});

// ---- registers by an index ----
INSTRUCTION("s_set_gpr_idx_on", [](Wave &wave, const Instruction &inst) {
  u32 a = argument32(wave, inst, 0);
  wave.index = a & 255;
  wave.index_enable = (u32)inst.operand[1].imm & 15;
  wave.sgpr[REGISTER_M0] =
      (wave.sgpr[REGISTER_M0] & ~0xf0ffu) | (a & 255) | (wave.index_enable << 12);
  wave.mode |= 1u << 27;
});
INSTRUCTION("s_set_gpr_idx_off", [](Wave &wave, const Instruction &) {
  wave.index_enable = 0;
  wave.mode &= ~(1u << 27);
});
INSTRUCTION("s_set_gpr_idx_mode", [](Wave &wave, const Instruction &inst) {
  wave.index_enable = inst.immediate & 15;
  wave.sgpr[REGISTER_M0] = (wave.sgpr[REGISTER_M0] & ~0xf000u) | (wave.index_enable << 12);
});
INSTRUCTION("s_set_gpr_idx_idx", [](Wave &wave, const Instruction &inst) {
  u32 a = argument32(wave, inst, 0) & 255;
  wave.index = a;
  wave.sgpr[REGISTER_M0] = (wave.sgpr[REGISTER_M0] & ~255u) | a;
});

// ---- comparisons ----
COMPARE_32("s_cmp_eq_i32", a == b);
COMPARE_32("s_cmp_lg_i32", a != b);
COMPARE_32("s_cmp_gt_i32", (s32)a > (s32)b);
COMPARE_32("s_cmp_ge_i32", (s32)a >= (s32)b);
COMPARE_32("s_cmp_lt_i32", (s32)a < (s32)b);
COMPARE_32("s_cmp_le_i32", (s32)a <= (s32)b);
COMPARE_32("s_cmp_eq_u32", a == b);
COMPARE_32("s_cmp_lg_u32", a != b);
COMPARE_32("s_cmp_gt_u32", a > b);
COMPARE_32("s_cmp_ge_u32", a >= b);
COMPARE_32("s_cmp_lt_u32", a < b);
COMPARE_32("s_cmp_le_u32", a <= b);
INSTRUCTION("s_cmp_eq_u64", [](Wave &wave, const Instruction &inst) {
  wave.scc = argument64(wave, inst, 0) == argument64(wave, inst, 1);
});
INSTRUCTION("s_cmp_lg_u64", [](Wave &wave, const Instruction &inst) {
  wave.scc = argument64(wave, inst, 0) != argument64(wave, inst, 1);
});
COMPARE_32("s_bitcmp0_b32", !((a >> (b & 31)) & 1));
COMPARE_32("s_bitcmp1_b32", (a >> (b & 31)) & 1);
INSTRUCTION("s_bitcmp0_b64", [](Wave &wave, const Instruction &inst) {
  wave.scc = !((argument64(wave, inst, 0) >> (argument32(wave, inst, 1) & 63)) & 1);
});
INSTRUCTION("s_bitcmp1_b64", [](Wave &wave, const Instruction &inst) {
  wave.scc = (argument64(wave, inst, 0) >> (argument32(wave, inst, 1) & 63)) & 1;
});

// ---- with a constant of 16 bits ----
INSTRUCTION("s_movk_i32", [](Wave &wave, const Instruction &inst) {
  set_result32(wave, inst, (u32)(s32)(s16)inst.immediate);
});
INSTRUCTION("s_cmovk_i32", [](Wave &wave, const Instruction &inst) {
  if (wave.scc)
    set_result32(wave, inst, (u32)(s32)(s16)inst.immediate);
});
COMPARE_IMMEDIATE("s_cmpk_eq_i32", (s32)a == k);
COMPARE_IMMEDIATE("s_cmpk_lg_i32", (s32)a != k);
COMPARE_IMMEDIATE("s_cmpk_gt_i32", (s32)a > k);
COMPARE_IMMEDIATE("s_cmpk_ge_i32", (s32)a >= k);
COMPARE_IMMEDIATE("s_cmpk_lt_i32", (s32)a < k);
COMPARE_IMMEDIATE("s_cmpk_le_i32", (s32)a <= k);
COMPARE_IMMEDIATE("s_cmpk_eq_u32", a == uk);
COMPARE_IMMEDIATE("s_cmpk_lg_u32", a != uk);
COMPARE_IMMEDIATE("s_cmpk_gt_u32", a > uk);
COMPARE_IMMEDIATE("s_cmpk_ge_u32", a >= uk);
COMPARE_IMMEDIATE("s_cmpk_lt_u32", a < uk);
COMPARE_IMMEDIATE("s_cmpk_le_u32", a <= uk);
INSTRUCTION("s_addk_i32", [](Wave &wave, const Instruction &inst) {
  s32 a = wave.sgpr[inst.operand[0].reg], d;
  wave.scc = __builtin_add_overflow(a, (s32)(s16)inst.immediate, &d);
  set_result32(wave, inst, d);
});
INSTRUCTION("s_mulk_i32", [](Wave &wave, const Instruction &inst) {
  set_result32(wave, inst, wave.sgpr[inst.operand[0].reg] * (u32)(s32)(s16)inst.immediate);
});
INSTRUCTION("s_getreg_b32", [](Wave &wave, const Instruction &inst) {
  u32 v = hardware_register(wave, inst.immediate & 63), off = (inst.immediate >> 6) & 31,
      w = ((inst.immediate >> 11) & 31) + 1;
  v >>= off;
  if (w < 32)
    v &= (1u << w) - 1;
  set_result32(wave, inst, v);
});
INSTRUCTION("s_setreg_b32", [](Wave &wave, const Instruction &inst) {
  set_hardware_register(wave, inst,
                        inst.operand[0].kind == OPERAND_SGPR
                            ? wave.sgpr[inst.operand[0].reg]
                            : argument32(wave, inst, inst.operands - 1));
});
INSTRUCTION("s_setreg_imm32_b32", [](Wave &wave, const Instruction &inst) {
  set_hardware_register(wave, inst, inst.word1);
});

// ---- branches, waits, the end ----
#define NOTHING(mnemonic) INSTRUCTION(mnemonic, [](Wave &, const Instruction &) {})
NOTHING("s_nop");
NOTHING("s_waitcnt");
NOTHING("s_setprio");
NOTHING("s_sleep");
NOTHING("s_icache_inv");
NOTHING("s_incperflevel");
NOTHING("s_decperflevel");
NOTHING("s_ttracedata");
NOTHING("s_wakeup");
NOTHING("s_sethalt");
NOTHING("s_sendmsg");
NOTHING("s_dcache_inv");
NOTHING("s_dcache_wb");
NOTHING("s_dcache_inv_vol");
NOTHING("s_dcache_wb_vol");
NOTHING("buffer_wbinvl1");
NOTHING("buffer_wbinvl1_vol");
NOTHING("buffer_wbl2");
NOTHING("buffer_invl2");
NOTHING("s_dcache_discard");
NOTHING("s_dcache_discard_x2");
NOTHING("s_clause");
NOTHING("s_setvskip");
NOTHING("s_atc_probe");
NOTHING("s_atc_probe_buffer");
NOTHING("s_set_gpr_idx_nop");
NOTHING("s_cbranch_cdbgsys");
NOTHING("s_cbranch_cdbguser");
NOTHING("s_cbranch_cdbgsys_or_user");
NOTHING("s_cbranch_cdbgsys_and_user");
INSTRUCTION("s_endpgm", [](Wave &wave, const Instruction &) { wave.stop = 2; });
INSTRUCTION("s_endpgm_saved", [](Wave &wave, const Instruction &) { wave.stop = 2; });
INSTRUCTION("s_barrier", [](Wave &wave, const Instruction &) { wave.stop = 1; });
INSTRUCTION("s_branch", [](Wave &wave, const Instruction &inst) { wave.next_pc = inst.immediate; });
INSTRUCTION("s_cbranch_scc0", [](Wave &wave, const Instruction &inst) {
  if (!wave.scc)
    wave.next_pc = inst.immediate;
});
INSTRUCTION("s_cbranch_scc1", [](Wave &wave, const Instruction &inst) {
  if (wave.scc)
    wave.next_pc = inst.immediate;
});
INSTRUCTION("s_cbranch_vccz", [](Wave &wave, const Instruction &inst) {
  if (!wave.vcc())
    wave.next_pc = inst.immediate;
});
INSTRUCTION("s_cbranch_vccnz", [](Wave &wave, const Instruction &inst) {
  if (wave.vcc())
    wave.next_pc = inst.immediate;
});
INSTRUCTION("s_cbranch_execz", [](Wave &wave, const Instruction &inst) {
  if (!wave.exec())
    wave.next_pc = inst.immediate;
});
INSTRUCTION("s_cbranch_execnz", [](Wave &wave, const Instruction &inst) {
  if (wave.exec())
    wave.next_pc = inst.immediate;
});
INSTRUCTION("s_trap", [](Wave &wave, const Instruction &inst) {
  raise_fault(wave, inst,
              "s_trap " + std::to_string(inst.immediate & 0xffff) +
                  " (abort / assert / __builtin_trap)");
});
INSTRUCTION("s_sendmsghalt",
            [](Wave &wave, const Instruction &inst) { raise_fault(wave, inst, "s_sendmsghalt"); });
// ---- memory ----
INSTRUCTION("s_load_dword", load_scalars<1>);
INSTRUCTION("s_load_dwordx2", load_scalars<2>);
INSTRUCTION("s_load_dwordx4", load_scalars<4>);
INSTRUCTION("s_load_dwordx8", load_scalars<8>);
INSTRUCTION("s_load_dwordx16", load_scalars<16>);
INSTRUCTION("s_buffer_load_dword", load_from_buffer<1>);
INSTRUCTION("s_buffer_load_dwordx2", load_from_buffer<2>);
INSTRUCTION("s_buffer_load_dwordx4", load_from_buffer<4>);
INSTRUCTION("s_buffer_load_dwordx8", load_from_buffer<8>);
INSTRUCTION("s_buffer_load_dwordx16", load_from_buffer<16>);
INSTRUCTION("s_store_dword", store_scalars<1>);
INSTRUCTION("s_store_dwordx2", store_scalars<2>);
INSTRUCTION("s_store_dwordx4", store_scalars<4>);
INSTRUCTION("s_memtime", [](Wave &wave, const Instruction &inst) {
  set_result64(wave, inst, 1000 + wave.instructions * 4);
});
INSTRUCTION("s_memrealtime", [](Wave &wave, const Instruction &inst) {
  set_result64(wave, inst, 1000 + wave.instructions);
});
