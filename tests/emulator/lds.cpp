// Instructions on LDS, and the check for races.
#include "memory.h"

void report_offset(Wave &wave, const Instruction &inst, u64 offset, u32 bytes, const char *what,
                   int lane) {
  report_bounds(
      wave, inst,
      format("%s of %u bytes by lane %d out of bounds: at offset %llu of %u bytes of LDS, "
             "or of %u bytes of scratch per lane",
             what, bytes, lane, (unsigned long long)offset, wave.lds_size, wave.scratch_lane));
}

// lds_writer and lds_reader have per byte the epoch, from bit 8 on, and the wave that used it last,
// from 1; MANY: several waves have read it.
enum { MANY = 255 };

// The wave that conflicts, from 1, or 0.
static u32 other_user(const Wave &wave, u32 used, u32 me) {
  return used >> 8 == wave.epoch && used != me ? used & MANY : 0;
}

void check_race(Wave &wave, const Instruction &inst, u32 offset, u32 bytes, int lane,
                const u8 *value) {
  const u32 me = wave.epoch << 8 | (wave.number + 1);
  for (u32 at = offset; at < offset + bytes; ++at) {
    u32 &writer = wave.lds_writer[at], &reader = wave.lds_reader[at];
    const bool is_same = value && wave.lds[at] == value[at - offset];
    const u32 written = is_same ? 0 : other_user(wave, writer, me);
    const u32 read = other_user(wave, reader, me);
    if (written || (value && read && !is_same))
      raise_fault(wave, inst,
                  format("LDS race: lane %d of wave %u %s byte %u of LDS that %s %s, and no "
                         "barrier is in between",
                         lane, wave.number, value ? "writes" : "reads", at,
                         !written && read == MANY
                             ? "several waves"
                             : format("wave %u", (written ? written : read) - 1).c_str(),
                         written ? "wrote" : "read"));
    if (value)
      writer = me;
    else
      reader = read ? wave.epoch << 8 | MANY : me;
  }
}

template <int N> static void read_lds_words(Wave &wave, const Instruction &inst) {
  u32 r[N][64];
  const u32 *ad = registers(wave, inst.operand[1]);
  u64 active = wave.exec();
  EACH_ACTIVE(active) {
    u32 t[N], a = ad[lane] + inst.offset;
    check_alignment(wave, inst, a, 4, lane);
    read_lds(wave, inst, a, 4 * N, lane, t);
    for (int i = 0; i < N; ++i)
      r[i][lane] = t[i];
  }
  u32 *d = registers(wave, inst.operand[0]);
  for (int i = 0; i < N; ++i)
    merge(d + 64 * i, r[i], active);
}

template <int N> static void write_lds_words(Wave &wave, const Instruction &inst) {
  const u32 *ad = registers(wave, inst.operand[0]), *d = registers(wave, inst.operand[1]);
  u64 active = wave.exec();
  EACH_ACTIVE(active) {
    u32 t[N], a = ad[lane] + inst.offset;
    check_alignment(wave, inst, a, 4, lane);
    for (int i = 0; i < N; ++i)
      t[i] = d[64 * i + lane];
    write_lds(wave, inst, a, 4 * N, lane, t);
  }
}

template <int TYPE, int PART> static void read_lds_small(Wave &wave, const Instruction &inst) {
  u32 r[64];
  const u32 *ad = registers(wave, inst.operand[1]);
  u64 active = wave.exec();
  u32 *d = registers(wave, inst.operand[0]);
  constexpr int n = TYPE <= TYPE_S8 ? 1 : 2;
  EACH_ACTIVE(active) {
    u32 t = 0;
    read_lds(wave, inst, ad[lane] + inst.offset, n, lane, &t);
    r[lane] = extended<TYPE, PART>(t);
  }
  merge(d, r, active);
}

template <int n, int HIGH> static void write_lds_small(Wave &wave, const Instruction &inst) {
  const u32 *ad = registers(wave, inst.operand[0]), *d = registers(wave, inst.operand[1]);
  u64 active = wave.exec();
  EACH_ACTIVE(active) {
    u32 t = HIGH ? d[lane] >> 16 : d[lane];
    write_lds(wave, inst, ad[lane] + inst.offset, n, lane, &t);
  }
}

// Two pieces of N dwords each; offsets count pieces, or 64 of them.
template <int N, int ST> static void read_lds_twice(Wave &wave, const Instruction &inst) {
  u32 r[2 * N][64];
  const u32 *ad = registers(wave, inst.operand[1]);
  u64 active = wave.exec();
  u32 o0 = inst.offset0 * 4 * N * ST, o1 = inst.offset1 * 4 * N * ST;
  EACH_ACTIVE(active) {
    u32 t[2 * N];
    read_lds(wave, inst, ad[lane] + o0, 4 * N, lane, t);
    read_lds(wave, inst, ad[lane] + o1, 4 * N, lane, t + N);
    for (int i = 0; i < 2 * N; ++i)
      r[i][lane] = t[i];
  }
  u32 *d = registers(wave, inst.operand[0]);
  for (int i = 0; i < 2 * N; ++i)
    merge(d + 64 * i, r[i], active);
}

template <int N, int ST> static void write_lds_twice(Wave &wave, const Instruction &inst) {
  const u32 *ad = registers(wave, inst.operand[0]), *d0 = registers(wave, inst.operand[1]),
            *d1 = registers(wave, inst.operand[2]);
  u64 active = wave.exec();
  u32 o0 = inst.offset0 * 4 * N * ST, o1 = inst.offset1 * 4 * N * ST;
  EACH_ACTIVE(active) {
    u32 t[N], u[N];
    for (int i = 0; i < N; ++i) {
      t[i] = d0[64 * i + lane];
      u[i] = d1[64 * i + lane];
    }
    write_lds(wave, inst, ad[lane] + o0, 4 * N, lane, t);
    write_lds(wave, inst, ad[lane] + o1, 4 * N, lane, u);
  }
}

// f(old, first source, second source) is the new value. RETURNS: operand 0 gets the old one.
template <class T, bool RETURNS, int SOURCES, class F>
static inline void change_lds(Wave &wave, const Instruction &inst, F f) {
  int k = RETURNS ? 1 : 0;
  const u32 *ad = registers(wave, inst.operand[k]), *d0 = registers(wave, inst.operand[k + 1]),
            *d1 = SOURCES > 1 ? registers(wave, inst.operand[k + 2]) : d0;
  u64 active = wave.exec();
  u32 r[2][64];
  EACH_ACTIVE(active) {
    u32 a = ad[lane] + inst.offset;
    u8 *p = lds_at(wave, inst, a, sizeof(T), 3, lane);
    T old = 0;
    if (a & (sizeof(T) - 1))
      raise_fault(wave, inst, "misaligned LDS atomic");
    if (p) {
      memcpy(&old, p, sizeof(T));
      T next = f(old, number_at<T>(d0, lane), number_at<T>(d1, lane));
      memcpy(p, &next, sizeof(T));
    }
    r[0][lane] = (u32)old;
    if (sizeof(T) == 8)
      r[1][lane] = (u32)((u64)old >> 32);
  }
  if (RETURNS) {
    u32 *d = registers(wave, inst.operand[0]);
    merge(d, r[0], active);
    if (sizeof(T) == 8)
      merge(d + 64, r[1], active);
  }
}

// old: the value in LDS; a, b: the operands. An atomic of its own name returns the old value.
#define LDS_ATOMIC(T, name, type, SOURCES, expression)                                             \
  INSTRUCTION("ds_" name "_" type, [](Wave &wave, const Instruction &inst) {                       \
    change_lds<T, false, SOURCES>(                                                                 \
        wave, inst, [](T old, T a, [[maybe_unused]] T b) -> T { return expression; });             \
  });                                                                                              \
  INSTRUCTION("ds_" name "_rtn_" type, [](Wave &wave, const Instruction &inst) {                   \
    change_lds<T, true, SOURCES>(                                                                  \
        wave, inst, [](T old, T a, [[maybe_unused]] T b) -> T { return expression; });             \
  })

#define LDS_ATOMICS(T, SIGNED, u, i, b32, f)                                                       \
  LDS_ATOMIC(T, "add", u, 1, old + a);                                                             \
  LDS_ATOMIC(T, "sub", u, 1, old - a);                                                             \
  LDS_ATOMIC(T, "rsub", u, 1, a - old);                                                            \
  LDS_ATOMIC(T, "inc", u, 1, old >= a ? 0 : old + 1);                                              \
  LDS_ATOMIC(T, "dec", u, 1, (old == 0 || old > a) ? a : old - 1);                                 \
  LDS_ATOMIC(T, "min", i, 1, (T)std::min((SIGNED)old, (SIGNED)a));                                 \
  LDS_ATOMIC(T, "max", i, 1, (T)std::max((SIGNED)old, (SIGNED)a));                                 \
  LDS_ATOMIC(T, "min", u, 1, std::min(old, a));                                                    \
  LDS_ATOMIC(T, "max", u, 1, std::max(old, a));                                                    \
  LDS_ATOMIC(T, "and", b32, 1, (old & a));                                                         \
  LDS_ATOMIC(T, "or", b32, 1, old | a);                                                            \
  LDS_ATOMIC(T, "xor", b32, 1, old ^ a);                                                           \
  LDS_ATOMIC(T, "mskor", b32, 2, (old & ~a) | b);                                                  \
  LDS_ATOMIC(T, "cmpst", b32, 2, old == a ? b : old);                                              \
  LDS_ATOMIC(T, "add", f, 1, add_floats<T>(old, a));                                               \
  LDS_ATOMIC(T, "min", f, 1, least_float<T>(old, a));                                              \
  LDS_ATOMIC(T, "max", f, 1, greatest_float<T>(old, a));                                           \
  INSTRUCTION("ds_wrxchg_rtn_" b32, [](Wave &wave, const Instruction &inst) {                      \
    change_lds<T, true, 1>(wave, inst, [](T, T a, T) -> T { return a; });                          \
  })

INSTRUCTION("ds_nop", [](Wave &, const Instruction &) {});
INSTRUCTION("ds_read_b32", read_lds_words<1>);
INSTRUCTION("ds_read_b64", read_lds_words<2>);
INSTRUCTION("ds_read_b96", read_lds_words<3>);
INSTRUCTION("ds_read_b128", read_lds_words<4>);
INSTRUCTION("ds_write_b32", write_lds_words<1>);
INSTRUCTION("ds_write_b64", write_lds_words<2>);
INSTRUCTION("ds_write_b96", write_lds_words<3>);
INSTRUCTION("ds_write_b128", write_lds_words<4>);
INSTRUCTION("ds_read_u8", read_lds_small<TYPE_U8, WHOLE>);
INSTRUCTION("ds_read_i8", read_lds_small<TYPE_S8, WHOLE>);
INSTRUCTION("ds_read_u16", read_lds_small<TYPE_U16, WHOLE>);
INSTRUCTION("ds_read_i16", read_lds_small<TYPE_S16, WHOLE>);
INSTRUCTION("ds_read_u8_d16", read_lds_small<TYPE_U8, LOW_HALF>);
INSTRUCTION("ds_read_u8_d16_hi", read_lds_small<TYPE_U8, HIGH_HALF>);
INSTRUCTION("ds_read_i8_d16", read_lds_small<TYPE_S8, LOW_HALF>);
INSTRUCTION("ds_read_i8_d16_hi", read_lds_small<TYPE_S8, HIGH_HALF>);
INSTRUCTION("ds_read_u16_d16", read_lds_small<TYPE_U16, LOW_HALF>);
INSTRUCTION("ds_read_u16_d16_hi", read_lds_small<TYPE_U16, HIGH_HALF>);
INSTRUCTION("ds_write_b8", write_lds_small<1, 0>);
INSTRUCTION("ds_write_b8_d16_hi", write_lds_small<1, 1>);
INSTRUCTION("ds_write_b16", write_lds_small<2, 0>);
INSTRUCTION("ds_write_b16_d16_hi", write_lds_small<2, 1>);
INSTRUCTION("ds_read2_b32", read_lds_twice<1, 1>);
INSTRUCTION("ds_read2st64_b32", read_lds_twice<1, 64>);
INSTRUCTION("ds_read2_b64", read_lds_twice<2, 1>);
INSTRUCTION("ds_read2st64_b64", read_lds_twice<2, 64>);
INSTRUCTION("ds_write2_b32", write_lds_twice<1, 1>);
INSTRUCTION("ds_write2st64_b32", write_lds_twice<1, 64>);
INSTRUCTION("ds_write2_b64", write_lds_twice<2, 1>);
INSTRUCTION("ds_write2st64_b64", write_lds_twice<2, 64>);
LDS_ATOMICS(u32, s32, "u32", "i32", "b32", "f32");
LDS_ATOMICS(u64, s64, "u64", "i64", "b64", "f64");
INSTRUCTION("ds_bpermute_b32", [](Wave &wave, const Instruction &inst) {
  const u32 *ad = registers(wave, inst.operand[1]), *d = registers(wave, inst.operand[2]);
  u64 active = wave.exec();
  u32 r[64];
  EACH_LANE {
    int s = ((ad[lane] + inst.offset) >> 2) & 63;
    r[lane] = (active >> s) & 1 ? d[s] : 0;
  }
  merge(registers(wave, inst.operand[0]), r, active);
});
INSTRUCTION("ds_permute_b32", [](Wave &wave, const Instruction &inst) {
  const u32 *ad = registers(wave, inst.operand[1]), *d = registers(wave, inst.operand[2]);
  u64 active = wave.exec();
  u32 r[64];
  EACH_LANE r[lane] = 0;
  EACH_ACTIVE(active) r[((ad[lane] + inst.offset) >> 2) & 63] = d[lane];
  merge(registers(wave, inst.operand[0]), r, active);
});
INSTRUCTION("ds_swizzle_b32", [](Wave &wave, const Instruction &inst) {
  const u32 *d = registers(wave, inst.operand[1]);
  u64 active = wave.exec();
  u32 r[64], o = inst.word0 & 0xffff;
  EACH_LANE {
    int s;
    if (o & 0x8000)
      s = (lane & ~3) | ((o >> (2 * (lane & 3))) & 3);
    else {
      int am = o & 31, om = (o >> 5) & 31, xm = (o >> 10) & 31;
      s = (lane & 32) | ((((lane & 31) & am) | om) ^ xm);
    }
    r[lane] = (active >> s) & 1 ? d[s] : 0;
  }
  merge(registers(wave, inst.operand[0]), r, active);
});
