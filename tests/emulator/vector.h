// Shapes of vector instructions: a function of one lane is applied to all lanes.
#ifndef EMULATOR_VECTOR_H
#define EMULATOR_VECTOR_H

#include "lanes.h"

// Each applies f to N sources, which are operands 1 to N, and writes operand 0.

template <int N, class F>
static inline void map_u32(Wave &wave, const Instruction &inst, F f, int s = 1) {
  u32 t0[64], t1[64], t2[64];
  alignas(64) u32 r[64];
  const u32 *a = source32(wave, inst, s, 0, t0);
  const u32 *b = N > 1 ? source32(wave, inst, s + 1, 1, t1) : a;
  const u32 *c = N > 2 ? source32(wave, inst, s + 2, 2, t2) : a;
  EACH_LANE {
    if constexpr (N == 1)
      r[lane] = f(a[lane]);
    else if constexpr (N == 2)
      r[lane] = f(a[lane], b[lane]);
    else
      r[lane] = f(a[lane], b[lane], c[lane]);
  }
  write32(wave, inst, r);
}

template <int N, class F> static inline void map_f32(Wave &wave, const Instruction &inst, F f) {
  u32 t0[64], t1[64], t2[64];
  alignas(64) float r[64];
  const float *a = source_f32(wave, inst, 1, 0, t0);
  const float *b = N > 1 ? source_f32(wave, inst, 2, 1, t1) : a;
  const float *c = N > 2 ? source_f32(wave, inst, 3, 2, t2) : a;
  EACH_LANE {
    if constexpr (N == 1)
      r[lane] = f(a[lane]);
    else if constexpr (N == 2)
      r[lane] = f(a[lane], b[lane]);
    else
      r[lane] = f(a[lane], b[lane], c[lane]);
  }
  write_f32(wave, inst, r);
}

template <int N, class F> static inline void map_f64(Wave &wave, const Instruction &inst, F f) {
  alignas(64) double a[64], b[64], c[64], r[64];
  source_f64(wave, inst, 1, a, 0);
  if (N > 1)
    source_f64(wave, inst, 2, b, 1);
  if (N > 2)
    source_f64(wave, inst, 3, c, 2);
  EACH_LANE {
    if constexpr (N == 1)
      r[lane] = f(a[lane]);
    else if constexpr (N == 2)
      r[lane] = f(a[lane], b[lane]);
    else
      r[lane] = f(a[lane], b[lane], c[lane]);
  }
  write_f64(wave, inst, r);
}

// F16, which f gets as float and returns as bits.
template <int N, class F>
static inline void map_f16(Wave &wave, const Instruction &inst, F f, bool preserve = false) {
  alignas(64) float a[64], b[64], c[64];
  u16 r[64];
  source_f16(wave, inst, 1, 0, a);
  if (N > 1)
    source_f16(wave, inst, 2, 1, b);
  if (N > 2)
    source_f16(wave, inst, 3, 2, c);
  EACH_LANE {
    if constexpr (N == 1)
      r[lane] = f(a[lane]);
    else if constexpr (N == 2)
      r[lane] = f(a[lane], b[lane]);
    else
      r[lane] = f(a[lane], b[lane], c[lane]);
  }
  write_f16(wave, inst, r, preserve);
}

template <int N, class F>
static inline void map_u16(Wave &wave, const Instruction &inst, F f, bool preserve = false) {
  u32 a[64], b[64], c[64];
  u16 r[64];
  source_u16(wave, inst, 1, 0, a);
  if (N > 1)
    source_u16(wave, inst, 2, 1, b);
  if (N > 2)
    source_u16(wave, inst, 3, 2, c);
  EACH_LANE {
    if constexpr (N == 1)
      r[lane] = f(a[lane]);
    else if constexpr (N == 2)
      r[lane] = f(a[lane], b[lane]);
    else
      r[lane] = f(a[lane], b[lane], c[lane]);
  }
  write16(wave, inst, r, preserve);
}
#define U32_OP1(n, e)                                                                              \
  INSTRUCTION(n, [](Wave &wave, const Instruction &inst) {                                         \
    map_u32<1>(wave, inst, [](u32 a) -> u32 { return e; });                                        \
  })
#define U32_OP2(n, e)                                                                              \
  INSTRUCTION(n, [](Wave &wave, const Instruction &inst) {                                         \
    map_u32<2>(wave, inst, [](u32 a, u32 b) -> u32 { return e; });                                 \
  })
#define U32_OP3(n, e)                                                                              \
  INSTRUCTION(n, [](Wave &wave, const Instruction &inst) {                                         \
    map_u32<3>(wave, inst, [](u32 a, u32 b, u32 c) -> u32 { return e; });                          \
  })
#define F32_OP1(n, e)                                                                              \
  INSTRUCTION(n, [](Wave &wave, const Instruction &inst) {                                         \
    map_f32<1>(wave, inst, [](float a) -> float { return e; });                                    \
  })
#define F32_OP2(n, e)                                                                              \
  INSTRUCTION(n, [](Wave &wave, const Instruction &inst) {                                         \
    map_f32<2>(wave, inst, [](float a, float b) -> float { return e; });                           \
  })
#define F32_OP3(n, e)                                                                              \
  INSTRUCTION(n, [](Wave &wave, const Instruction &inst) {                                         \
    map_f32<3>(wave, inst, [](float a, float b, float c) -> float { return e; });                  \
  })
#define F64_OP1(n, e)                                                                              \
  INSTRUCTION(n, [](Wave &wave, const Instruction &inst) {                                         \
    map_f64<1>(wave, inst, [](double a) -> double { return e; });                                  \
  })
#define F64_OP2(n, e)                                                                              \
  INSTRUCTION(n, [](Wave &wave, const Instruction &inst) {                                         \
    map_f64<2>(wave, inst, [](double a, double b) -> double { return e; });                        \
  })
#define F64_OP3(n, e)                                                                              \
  INSTRUCTION(n, [](Wave &wave, const Instruction &inst) {                                         \
    map_f64<3>(wave, inst, [](double a, double b, double c) -> double { return e; });              \
  })
#define F16_OP1(n, e)                                                                              \
  INSTRUCTION(n, [](Wave &wave, const Instruction &inst) {                                         \
    map_f16<1>(wave, inst, [](float a) -> u16 { return e; });                                      \
  })
#define F16_OP2(n, e)                                                                              \
  INSTRUCTION(n, [](Wave &wave, const Instruction &inst) {                                         \
    map_f16<2>(wave, inst, [](float a, float b) -> u16 { return e; });                             \
  })
#define F16_OP3(n, e, p)                                                                           \
  INSTRUCTION(n, [](Wave &wave, const Instruction &inst) {                                         \
    map_f16<3>(                                                                                    \
        wave, inst, [](float a, float b, float c) -> u16 { return e; }, p);                        \
  })
#define U16_OP2(n, e)                                                                              \
  INSTRUCTION(n, [](Wave &wave, const Instruction &inst) {                                         \
    map_u16<2>(wave, inst, [](u32 a, u32 b) -> u16 { return e; });                                 \
  })
#define U16_OP3(n, e, p)                                                                           \
  INSTRUCTION(n, [](Wave &wave, const Instruction &inst) {                                         \
    map_u16<3>(                                                                                    \
        wave, inst, [](u32 a, u32 b, u32 c) -> u16 { return e; }, p);                              \
  })

#endif
