// How instructions reach LDS, memory and scratch.
#ifndef EMULATOR_MEMORY_H
#define EMULATOR_MEMORY_H

#include "lanes.h"

#define EACH_ACTIVE(active)                                                                        \
  for (u64 _m = (active); _m; _m &= _m - 1)                                                        \
    if (int lane = __builtin_ctzll(_m); true)
static inline u32 *registers(Wave &wave, const Operand &o) {
  return o.kind == OPERAND_AGPR ? wave.agpr[o.reg] : wave.vgpr[o.reg];
}

enum { TYPE_U8, TYPE_S8, TYPE_U16, TYPE_S16 };
// The value of a load of 8 or 16 bits; a d16 load writes one half of the register. An MI200 with
// error correction in its registers sets the other half to zero.
enum { WHOLE, LOW_HALF, HIGH_HALF };
template <int TYPE, int PART> static inline u32 extended(u32 raw) {
  const u32 value = TYPE == TYPE_U8    ? raw & 255
                    : TYPE == TYPE_S8  ? (u32)(s32)(s8)raw
                    : TYPE == TYPE_U16 ? raw & 0xffff
                                       : (u32)(s32)(s16)raw;
  return PART == LOW_HALF ? value & 0xffff : PART == HIGH_HALF ? value << 16 : value;
}

template <class T> static inline T number_at(const u32 *r, int lane) {
  if (sizeof(T) == 4)
    return (T)r[lane];
  return (T)((u64)r[lane] | ((u64)r[64 + lane] << 32));
}

template <class U> static inline U add_floats(U a, U b) {
  if constexpr (sizeof(U) == 4)
    return bits_as<u32>(bits_as<float>(a) + bits_as<float>(b));
  else
    return bits_as<u64>(bits_as<double>(a) + bits_as<double>(b));
}

template <class U> static inline U least_float(U a, U b) {
  if constexpr (sizeof(U) == 4)
    return bits_as<float>(b) < bits_as<float>(a) ? b : a;
  else
    return bits_as<double>(b) < bits_as<double>(a) ? b : a;
}

template <class U> static inline U greatest_float(U a, U b) {
  if constexpr (sizeof(U) == 4)
    return bits_as<float>(b) > bits_as<float>(a) ? b : a;
  else
    return bits_as<double>(b) > bits_as<double>(a) ? b : a;
}

static inline u32 add_half_pairs(u32 a, u32 b) {
  return float_to_half(half_to_float((u16)a) + half_to_float((u16)b)) |
         ((u32)float_to_half(half_to_float(a >> 16) + half_to_float(b >> 16)) << 16);
}
// ---- LDS ----

// Reports an access to LDS or scratch that is out of bounds.
void report_offset(Wave &wave, const Instruction &inst, u64 offset, u32 bytes, const char *what,
                   int lane);

// Ends the launch if another wave has used one of these bytes of LDS since the last barrier and one
// of the two writes. A write of the value that is there already is no race. value: NULL of a read.
void check_race(Wave &wave, const Instruction &inst, u32 offset, u32 bytes, int lane,
                const u8 *value);

// Where an offset is in LDS, or NULL, after a report, if it is outside. access: as of a range.
static inline u8 *lds_at(Wave &wave, const Instruction &inst, u32 a, u32 n, u32 acc, int lane) {
  if (UNLIKELY((u64)a + n > wave.lds_size)) {
    report_offset(wave, inst, a, n, acc & 2 ? "LDS write" : "LDS read", lane);
    return nullptr;
  }
  return wave.lds + a;
}

static inline void check_alignment(Wave &wave, const Instruction &inst, u32 a, u32 al, int lane) {
  if (UNLIKELY(wave.launch->settings->align) && (a & (al - 1))) {
    char m[128];
    snprintf(m, sizeof m, "misaligned access: address 0x%x, lane %d, needs %u", a, lane, al);
    raise_fault(wave, inst, m);
  }
}

static inline void read_lds(Wave &wave, const Instruction &inst, u32 a, u32 n, int lane,
                            void *out) {
  u8 *p = lds_at(wave, inst, a, n, 1, lane);
  if (!p) {
    memset(out, 0, n);
    return;
  }
  if (UNLIKELY(wave.lds_writer != nullptr))
    check_race(wave, inst, a, n, lane, nullptr);
  memcpy(out, p, n);
}

static inline void write_lds(Wave &wave, const Instruction &inst, u32 a, u32 n, int lane,
                             const void *in) {
  u8 *p = lds_at(wave, inst, a, n, 2, lane);
  if (!p)
    return;
  if (UNLIKELY(wave.lds_writer != nullptr))
    check_race(wave, inst, a, n, lane, (const u8 *)in);
  memcpy(p, in, n);
}
// ---- memory ----

enum { GLOBAL, FLAT, SCRATCH };
static inline u8 *host_address(Wave &wave, const Instruction &inst, u64 a, u32 n, u32 acc,
                               int lane) {
  if (UNLIKELY(!(a >= wave.last_range.low && a + n <= wave.last_range.high &&
                 (acc & ~wave.last_range.access) == 0)))
    if (!find_range(wave, inst, a, n, acc, lane))
      return nullptr;
  return (u8 *)a;
}

static inline void copy_scratch(Wave &wave, const Instruction &inst, u32 off, u32 n, int lane,
                                void *buf, bool wr) {
  if ((u64)off + n > wave.scratch_lane) {
    report_offset(wave, inst, off, n, wr ? "scratch write" : "scratch read", lane);
    if (!wr)
      memset(buf, 0, n);
    return;
  }
  for (u32 i = 0; i < n; ++i) {
    u32 o = off + i;
    u8 *p = (u8 *)(wave.scratch + (u64)(o / 4) * 256 + lane * 4 + (o & 3));
    if (wr)
      *p = ((u8 *)buf)[i];
    else
      ((u8 *)buf)[i] = *p;
  }
}

template <int SPACE>
static inline void read_memory(Wave &wave, const Instruction &inst, u64 a, u32 n, int lane,
                               void *out) {
  if (SPACE != GLOBAL) {
    u32 hi = a >> 32;
    if (hi == SHARED_APERTURE) {
      read_lds(wave, inst, (u32)a, n, lane, out);
      return;
    }
    if (hi == PRIVATE_APERTURE) {
      copy_scratch(wave, inst, (u32)a, n, lane, out, false);
      return;
    }
  }
  u8 *p = host_address(wave, inst, a, n, 1, lane);
  if (p)
    memcpy(out, p, n);
  else
    memset(out, 0, n);
}

template <int SPACE>
static inline void write_memory(Wave &wave, const Instruction &inst, u64 a, u32 n, int lane,
                                const void *in) {
  if (SPACE != GLOBAL) {
    u32 hi = a >> 32;
    if (hi == SHARED_APERTURE) {
      write_lds(wave, inst, (u32)a, n, lane, in);
      return;
    }
    if (hi == PRIVATE_APERTURE) {
      copy_scratch(wave, inst, (u32)a, n, lane, (void *)in, true);
      return;
    }
  }
  u8 *p = host_address(wave, inst, a, n, 2, lane);
  if (p)
    memcpy(p, in, n);
}

template <int SPACE>
static inline void addresses(Wave &wave, const Instruction &inst, int va, int sa, u64 *address) {
  if (SPACE == SCRATCH) {
    u32 so = inst.operand[sa].kind == OPERAND_SGPR ? wave.sgpr[inst.operand[sa].reg] : 0;
    const u32 *v =
        inst.operand[va].kind == OPERAND_VGPR ? wave.vgpr[inst.operand[va].reg] : nullptr;
    if (wave.sgpr64(REGISTER_FLAT_SCRATCH) != wave.scratch)
      raise_fault(wave, inst, "flat_scratch register does not point at this wave's scratch");
    EACH_LANE address[lane] =
        ((u64)PRIVATE_APERTURE << 32) | (u32)((v ? v[lane] : 0) + so + (u32)inst.offset);
    return;
  }
  const u32 *v = wave.vgpr[inst.operand[va].reg];
  if (SPACE == GLOBAL && inst.operand[sa].kind == OPERAND_SGPR) {
    u64 b = wave.sgpr64(inst.operand[sa].reg) + (s64)inst.offset;
    EACH_LANE address[lane] = b + v[lane];
    return;
  }
  EACH_LANE address[lane] = ((u64)v[lane] | ((u64)v[64 + lane] << 32)) + (s64)inst.offset;
  if (SPACE == FLAT) {
    u64 active = wave.exec();
    EACH_ACTIVE(active)
    if ((address[lane] >> 32) == PRIVATE_APERTURE &&
        wave.sgpr64(REGISTER_FLAT_SCRATCH) != wave.scratch)
      raise_fault(wave, inst, "flat_scratch register does not point at this wave's scratch");
  }
}

// ---- buffers ----

struct Buffer {
  u64 base;
  u32 stride, nrec, istride;
  bool swz, tid;
};
static inline Buffer read_buffer(Wave &wave, const Operand &o) {
  u32 *r = &wave.sgpr[o.reg];
  Buffer b;
  b.base = (u64)r[0] | ((u64)(r[1] & 0xffff) << 32);
  b.stride = (r[1] >> 16) & 0x3fff;
  b.swz = r[1] >> 31;
  b.nrec = r[2];
  b.tid = (r[3] >> 23) & 1;
  b.istride = 8u << ((r[3] >> 21) & 3);
  if (b.tid)
    b.stride |= ((r[3] >> 15) & 15) << 14;
  return b;
}

// The address of byte i, and of n bytes, that a lane uses. 0: outside the buffer; then the hardware
// loads 0 and stores nothing.
static inline u64 buffer_address(Wave &wave, const Instruction &inst, const Buffer &b, int va,
                                 u32 so, int lane, u32 i, u32 n) {
  u32 idx = 0, off = (u32)inst.offset + i;
  const Operand &o = inst.operand[va];
  if (inst.flags & FLAG_IDXEN) {
    idx = wave.vgpr[o.reg][lane];
    if (inst.flags & FLAG_OFFEN)
      off += wave.vgpr[o.reg + 1][lane];
  } else if (inst.flags & FLAG_OFFEN)
    off += wave.vgpr[o.reg][lane];
  if (b.tid)
    idx += lane;
  if (!b.swz && b.stride == 0) {
    if ((u64)off + n > (u64)b.nrec - std::min(so, b.nrec))
      return 0;
  } else if (!b.tid && (inst.flags & FLAG_IDXEN)) {
    if (idx >= b.nrec)
      return 0;
  }
  if (b.swz) {
    u64 im = idx / b.istride, il = idx % b.istride, om = off / 4, ol = off % 4;
    return b.base + so + (im * b.stride + om * 4) * b.istride + il * 4 + ol;
  }
  return b.base + so + (u64)idx * b.stride + off;
}

#endif
