// Loads, stores and atomics on memory: global, flat, scratch and buffer instructions.
#include "memory.h"

template <int SPACE, int N> static void load(Wave &wave, const Instruction &inst) {
  u64 address[64], active = wave.exec();
  addresses<SPACE>(wave, inst, 1, 2, address);
  u32 r[N][64];
  if (SPACE == GLOBAL && N <= 4 && active) {
    // Most loads are inside the range of the last one.
    u64 lo = ~0ull, hi = 0;
    EACH_ACTIVE(active) {
      lo = std::min(lo, address[lane]);
      hi = std::max(hi, address[lane]);
    }
    if (lo >= wave.last_range.low && hi + 4 * N <= wave.last_range.high && hi + 4 * N > hi &&
        (wave.last_range.access & 1) && !wave.launch->settings->align) {
      EACH_ACTIVE(active) {
        u32 t[N];
        memcpy(t, (void *)address[lane], 4 * N);
        for (int i = 0; i < N; ++i)
          r[i][lane] = t[i];
      }
      u32 *d = registers(wave, inst.operand[0]);
      for (int i = 0; i < N; ++i)
        merge(d + 64 * i, r[i], active);
      return;
    }
  }
  EACH_ACTIVE(active) {
    u32 t[N];
    check_alignment(wave, inst, (u32)address[lane], 4, lane);
    read_memory<SPACE>(wave, inst, address[lane], 4 * N, lane, t);
    for (int i = 0; i < N; ++i)
      r[i][lane] = t[i];
  }
  u32 *d = registers(wave, inst.operand[0]);
  for (int i = 0; i < N; ++i)
    merge(d + 64 * i, r[i], active);
}

template <int SPACE, int TYPE, int PART>
static void load_small(Wave &wave, const Instruction &inst) {
  u64 address[64], active = wave.exec();
  addresses<SPACE>(wave, inst, 1, 2, address);
  u32 r[64];
  u32 *d = registers(wave, inst.operand[0]);
  constexpr int n = TYPE <= TYPE_S8 ? 1 : 2;
  EACH_ACTIVE(active) {
    u32 t = 0;
    read_memory<SPACE>(wave, inst, address[lane], n, lane, &t);
    r[lane] = extended<TYPE, PART>(t);
  }
  merge(d, r, active);
}

template <int SPACE, int N> static void store(Wave &wave, const Instruction &inst) {
  u64 address[64], active = wave.exec();
  addresses<SPACE>(wave, inst, 0, 2, address);
  const u32 *d = registers(wave, inst.operand[1]);
  EACH_ACTIVE(active) {
    u32 t[N];
    check_alignment(wave, inst, (u32)address[lane], 4, lane);
    for (int i = 0; i < N; ++i)
      t[i] = d[64 * i + lane];
    write_memory<SPACE>(wave, inst, address[lane], 4 * N, lane, t);
  }
}

template <int SPACE, int n, int HIGH> static void store_small(Wave &wave, const Instruction &inst) {
  u64 address[64], active = wave.exec();
  addresses<SPACE>(wave, inst, 0, 2, address);
  const u32 *d = registers(wave, inst.operand[1]);
  EACH_ACTIVE(active) {
    u32 t = HIGH ? d[lane] >> 16 : d[lane];
    write_memory<SPACE>(wave, inst, address[lane], n, lane, &t);
  }
}

// Workgroups on other threads may change it at the same time.
template <class T, class F> static inline T change_atomically(u8 *p, F f) {
  T *q = (T *)p;
  T old = __atomic_load_n(q, __ATOMIC_SEQ_CST);
  for (;;) {
    T next = f(old);
    if (__atomic_compare_exchange_n(q, &old, next, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
      return old;
  }
}

template <int SPACE, class T, int SOURCES, class F>
static inline void atomic(Wave &wave, const Instruction &inst, F f) {
  bool returns = inst.flags & FLAG_GLC;
  int k = returns ? 1 : 0;
  u64 address[64], active = wave.exec();
  addresses<SPACE>(wave, inst, k, k + 2, address);
  const u32 *d = registers(wave, inst.operand[k + 1]);
  u32 r[2][64];
  EACH_ACTIVE(active) {
    T src = number_at<T>(d, lane),
      cmp = SOURCES > 1 ? number_at<T>(d + 64 * (sizeof(T) / 4), lane) : 0, old = 0;
    u64 a = address[lane];
    if (a & (sizeof(T) - 1))
      raise_fault(wave, inst, "misaligned atomic");
    u32 hi = a >> 32;
    if (SPACE == FLAT && hi == SHARED_APERTURE) {
      u8 *p = lds_at(wave, inst, (u32)a, sizeof(T), 3, lane);
      if (p) {
        memcpy(&old, p, sizeof(T));
        T next = f(old, src, cmp);
        memcpy(p, &next, sizeof(T));
      }
    } else if (SPACE == FLAT && hi == PRIVATE_APERTURE) {
      copy_scratch(wave, inst, (u32)a, sizeof(T), lane, &old, false);
      T next = f(old, src, cmp);
      copy_scratch(wave, inst, (u32)a, sizeof(T), lane, &next, true);
    } else {
      u8 *p = host_address(wave, inst, a, sizeof(T), 3, lane);
      if (p)
        old = change_atomically<T>(p, [&](T o) { return f(o, src, cmp); });
    }
    r[0][lane] = (u32)old;
    if (sizeof(T) == 8)
      r[1][lane] = (u32)((u64)old >> 32);
  }
  if (returns) {
    u32 *dd = registers(wave, inst.operand[0]);
    merge(dd, r[0], active);
    if (sizeof(T) == 8)
      merge(dd + 64, r[1], active);
  }
}

// ---- buffers ----

static inline bool in_scratch(Wave &wave, u64 a, u32 n) {
  return a >= wave.scratch && a + n <= wave.scratch + (u64)wave.scratch_lane * 64;
}

static inline u8 *buffer_memory(Wave &wave, const Instruction &inst, u64 a, u32 n, u32 acc,
                                int lane, const Buffer &b) {
  if (b.tid && b.swz) {
    if (in_scratch(wave, a, n))
      return (u8 *)a;
    report_offset(wave, inst, a - wave.scratch, n, "scratch access (host offset)", lane);
    return nullptr;
  }
  return host_address(wave, inst, a, n, acc, lane);
}

template <int N> static void load_buffer(Wave &wave, const Instruction &inst) {
  bool to_lds = inst.flags & FLAG_LDS;
  int k = to_lds ? 0 : 1;
  Buffer b = read_buffer(wave, inst.operand[k + 1]);
  u32 so = scalar32(wave, inst.operand[k + 2]);
  u32 r[N][64];
  u64 active = wave.exec();
  EACH_ACTIVE(active) for (int i = 0; i < N; ++i) {
    u64 a = buffer_address(wave, inst, b, k, so, lane, 4 * i, 4);
    u32 t = 0;
    if (a) {
      u8 *p = buffer_memory(wave, inst, a, 4, 1, lane, b);
      if (p)
        memcpy(&t, p, 4);
    }
    r[i][lane] = t;
  }
  if (to_lds) {
    u32 base = (wave.sgpr[REGISTER_M0] & 0xffff) + inst.offset;
    EACH_ACTIVE(active) write_lds(wave, inst, base + 4 * lane, 4, lane, &r[0][lane]);
    return;
  }
  u32 *d = registers(wave, inst.operand[0]);
  for (int i = 0; i < N; ++i)
    merge(d + 64 * i, r[i], active);
}

template <int TYPE, int PART> static void load_buffer_small(Wave &wave, const Instruction &inst) {
  Buffer b = read_buffer(wave, inst.operand[2]);
  u32 so = scalar32(wave, inst.operand[3]);
  u32 r[64];
  u64 active = wave.exec();
  u32 *d = registers(wave, inst.operand[0]);
  constexpr int n = TYPE <= TYPE_S8 ? 1 : 2;
  EACH_ACTIVE(active) {
    u64 a = buffer_address(wave, inst, b, 1, so, lane, 0, n);
    u32 t = 0;
    if (a) {
      u8 *p = buffer_memory(wave, inst, a, n, 1, lane, b);
      if (p)
        memcpy(&t, p, n);
    }
    r[lane] = extended<TYPE, PART>(t);
  }
  merge(d, r, active);
}

template <int N> static void store_buffer(Wave &wave, const Instruction &inst) {
  Buffer b = read_buffer(wave, inst.operand[2]);
  u32 so = scalar32(wave, inst.operand[3]);
  u64 active = wave.exec();
  const u32 *d = registers(wave, inst.operand[0]);
  EACH_ACTIVE(active) for (int i = 0; i < N; ++i) {
    u64 a = buffer_address(wave, inst, b, 1, so, lane, 4 * i, 4);
    if (a) {
      u8 *p = buffer_memory(wave, inst, a, 4, 2, lane, b);
      if (p)
        memcpy(p, &d[64 * i + lane], 4);
    }
  }
}

template <int n, int HIGH> static void store_buffer_small(Wave &wave, const Instruction &inst) {
  Buffer b = read_buffer(wave, inst.operand[2]);
  u32 so = scalar32(wave, inst.operand[3]);
  u64 active = wave.exec();
  const u32 *d = registers(wave, inst.operand[0]);
  EACH_ACTIVE(active) {
    u64 a = buffer_address(wave, inst, b, 1, so, lane, 0, n);
    u32 t = HIGH ? d[lane] >> 16 : d[lane];
    if (a) {
      u8 *p = buffer_memory(wave, inst, a, n, 2, lane, b);
      if (p)
        memcpy(p, &t, n);
    }
  }
}

template <class T, int SOURCES, class F>
static inline void atomic_buffer(Wave &wave, const Instruction &inst, F f) {
  bool returns = inst.flags & FLAG_GLC;
  Buffer b = read_buffer(wave, inst.operand[2]);
  u32 so = scalar32(wave, inst.operand[3]);
  u64 active = wave.exec();
  u32 *d = registers(wave, inst.operand[0]);
  u32 r[2][64];
  EACH_ACTIVE(active) {
    T src = number_at<T>(d, lane),
      cmp = SOURCES > 1 ? number_at<T>(d + 64 * (sizeof(T) / 4), lane) : 0, old = 0;
    u64 a = buffer_address(wave, inst, b, 1, so, lane, 0, sizeof(T));
    if (a) {
      u8 *p = host_address(wave, inst, a, sizeof(T), 3, lane);
      if (p)
        old = change_atomically<T>(p, [&](T o) { return f(o, src, cmp); });
    }
    r[0][lane] = (u32)old;
    if (sizeof(T) == 8)
      r[1][lane] = (u32)((u64)old >> 32);
  }
  if (returns) {
    merge(d, r[0], active);
    if (sizeof(T) == 8)
      merge(d + 64, r[1], active);
  }
}
#define ATOMIC(T, name, SOURCES, expression)                                                       \
  INSTRUCTION("global_atomic_" name, [](Wave &wave, const Instruction &inst) {                     \
    atomic<GLOBAL, T, SOURCES>(                                                                    \
        wave, inst,                                                                                \
        []([[maybe_unused]] T old, T a, [[maybe_unused]] T b) -> T { return expression; });        \
  });                                                                                              \
  INSTRUCTION("flat_atomic_" name, [](Wave &wave, const Instruction &inst) {                       \
    atomic<FLAT, T, SOURCES>(                                                                      \
        wave, inst,                                                                                \
        []([[maybe_unused]] T old, T a, [[maybe_unused]] T b) -> T { return expression; });        \
  });                                                                                              \
  INSTRUCTION("buffer_atomic_" name, [](Wave &wave, const Instruction &inst) {                     \
    atomic_buffer<T, SOURCES>(                                                                     \
        wave, inst,                                                                                \
        []([[maybe_unused]] T old, T a, [[maybe_unused]] T b) -> T { return expression; });        \
  })

#define ATOMICS(T, SIGNED, suffix)                                                                 \
  ATOMIC(T, "swap" suffix, 1, a);                                                                  \
  ATOMIC(T, "cmpswap" suffix, 2, old == b ? a : old);                                              \
  ATOMIC(T, "add" suffix, 1, old + a);                                                             \
  ATOMIC(T, "sub" suffix, 1, old - a);                                                             \
  ATOMIC(T, "smin" suffix, 1, (T)std::min((SIGNED)old, (SIGNED)a));                                \
  ATOMIC(T, "umin" suffix, 1, std::min(old, a));                                                   \
  ATOMIC(T, "smax" suffix, 1, (T)std::max((SIGNED)old, (SIGNED)a));                                \
  ATOMIC(T, "umax" suffix, 1, std::max(old, a));                                                   \
  ATOMIC(T, "and" suffix, 1, (old & a));                                                           \
  ATOMIC(T, "or" suffix, 1, old | a);                                                              \
  ATOMIC(T, "xor" suffix, 1, old ^ a);                                                             \
  ATOMIC(T, "inc" suffix, 1, old >= a ? 0 : old + 1);                                              \
  ATOMIC(T, "dec" suffix, 1, (old == 0 || old > a) ? a : old - 1)

#define LOADS_AND_STORES(space, SPACE)                                                             \
  INSTRUCTION(space "_load_dword", load<SPACE, 1>);                                                \
  INSTRUCTION(space "_load_dwordx2", load<SPACE, 2>);                                              \
  INSTRUCTION(space "_load_dwordx3", load<SPACE, 3>);                                              \
  INSTRUCTION(space "_load_dwordx4", load<SPACE, 4>);                                              \
  INSTRUCTION(space "_load_ubyte", load_small<SPACE, TYPE_U8, WHOLE>);                             \
  INSTRUCTION(space "_load_sbyte", load_small<SPACE, TYPE_S8, WHOLE>);                             \
  INSTRUCTION(space "_load_ushort", load_small<SPACE, TYPE_U16, WHOLE>);                           \
  INSTRUCTION(space "_load_sshort", load_small<SPACE, TYPE_S16, WHOLE>);                           \
  INSTRUCTION(space "_load_ubyte_d16", load_small<SPACE, TYPE_U8, LOW_HALF>);                      \
  INSTRUCTION(space "_load_ubyte_d16_hi", load_small<SPACE, TYPE_U8, HIGH_HALF>);                  \
  INSTRUCTION(space "_load_sbyte_d16", load_small<SPACE, TYPE_S8, LOW_HALF>);                      \
  INSTRUCTION(space "_load_sbyte_d16_hi", load_small<SPACE, TYPE_S8, HIGH_HALF>);                  \
  INSTRUCTION(space "_load_short_d16", load_small<SPACE, TYPE_U16, LOW_HALF>);                     \
  INSTRUCTION(space "_load_short_d16_hi", load_small<SPACE, TYPE_U16, HIGH_HALF>);                 \
  INSTRUCTION(space "_store_dword", store<SPACE, 1>);                                              \
  INSTRUCTION(space "_store_dwordx2", store<SPACE, 2>);                                            \
  INSTRUCTION(space "_store_dwordx3", store<SPACE, 3>);                                            \
  INSTRUCTION(space "_store_dwordx4", store<SPACE, 4>);                                            \
  INSTRUCTION(space "_store_byte", store_small<SPACE, 1, 0>);                                      \
  INSTRUCTION(space "_store_byte_d16_hi", store_small<SPACE, 1, 1>);                               \
  INSTRUCTION(space "_store_short", store_small<SPACE, 2, 0>);                                     \
  INSTRUCTION(space "_store_short_d16_hi", store_small<SPACE, 2, 1>)

LOADS_AND_STORES("global", GLOBAL);
LOADS_AND_STORES("flat", FLAT);
LOADS_AND_STORES("scratch", SCRATCH);
ATOMICS(u32, s32, "");
ATOMICS(u64, s64, "_x2");
ATOMIC(u32, "add_f32", 1, add_floats<u32>(old, a));
ATOMIC(u32, "pk_add_f16", 1, add_half_pairs(old, a));
ATOMIC(u64, "add_f64", 1, add_floats<u64>(old, a));
ATOMIC(u64, "min_f64", 1, least_float<u64>(old, a));
ATOMIC(u64, "max_f64", 1, greatest_float<u64>(old, a));

INSTRUCTION("buffer_load_dword", load_buffer<1>);
INSTRUCTION("buffer_load_dwordx2", load_buffer<2>);
INSTRUCTION("buffer_load_dwordx3", load_buffer<3>);
INSTRUCTION("buffer_load_dwordx4", load_buffer<4>);
INSTRUCTION("buffer_load_ubyte", load_buffer_small<TYPE_U8, WHOLE>);
INSTRUCTION("buffer_load_sbyte", load_buffer_small<TYPE_S8, WHOLE>);
INSTRUCTION("buffer_load_ushort", load_buffer_small<TYPE_U16, WHOLE>);
INSTRUCTION("buffer_load_sshort", load_buffer_small<TYPE_S16, WHOLE>);
INSTRUCTION("buffer_load_ubyte_d16", load_buffer_small<TYPE_U8, LOW_HALF>);
INSTRUCTION("buffer_load_ubyte_d16_hi", load_buffer_small<TYPE_U8, HIGH_HALF>);
INSTRUCTION("buffer_load_sbyte_d16", load_buffer_small<TYPE_S8, LOW_HALF>);
INSTRUCTION("buffer_load_sbyte_d16_hi", load_buffer_small<TYPE_S8, HIGH_HALF>);
INSTRUCTION("buffer_load_short_d16", load_buffer_small<TYPE_U16, LOW_HALF>);
INSTRUCTION("buffer_load_short_d16_hi", load_buffer_small<TYPE_U16, HIGH_HALF>);
INSTRUCTION("buffer_store_dword", store_buffer<1>);
INSTRUCTION("buffer_store_dwordx2", store_buffer<2>);
INSTRUCTION("buffer_store_dwordx3", store_buffer<3>);
INSTRUCTION("buffer_store_dwordx4", store_buffer<4>);
INSTRUCTION("buffer_store_byte", store_buffer_small<1, 0>);
INSTRUCTION("buffer_store_byte_d16_hi", store_buffer_small<1, 1>);
INSTRUCTION("buffer_store_short", store_buffer_small<2, 0>);
INSTRUCTION("buffer_store_short_d16_hi", store_buffer_small<2, 1>);
