// Vector instructions that convert between types.
#include "vector_math.h"

INSTRUCTION("v_cvt_f32_i32", [](Wave &wave, const Instruction &inst) {
  u32 t[64];
  float r[64];
  const u32 *a = source32(wave, inst, 1, 0, t);
  EACH_LANE r[lane] = (float)(s32)a[lane];
  write_f32(wave, inst, r);
});
INSTRUCTION("v_cvt_f32_u32", [](Wave &wave, const Instruction &inst) {
  u32 t[64];
  float r[64];
  const u32 *a = source32(wave, inst, 1, 0, t);
  EACH_LANE r[lane] = (float)a[lane];
  write_f32(wave, inst, r);
});

#define F32_TO_INTEGER(n, e)                                                                       \
  INSTRUCTION(n, [](Wave &wave, const Instruction &inst) {                                         \
    u32 t[64], r[64];                                                                              \
    const float *A = source_f32(wave, inst, 1, 0, t);                                              \
    EACH_LANE {                                                                                    \
      float a = A[lane];                                                                           \
      r[lane] = (u32)(e);                                                                          \
    }                                                                                              \
    write32(wave, inst, r);                                                                        \
  })
F32_TO_INTEGER("v_cvt_i32_f32", to_s32(a));
F32_TO_INTEGER("v_cvt_u32_f32", to_u32(a));
F32_TO_INTEGER("v_cvt_rpi_i32_f32", to_s32(floor((double)a + 0.5)));
F32_TO_INTEGER("v_cvt_flr_i32_f32", to_s32(floorf(a)));
INSTRUCTION("v_cvt_off_f32_i4", [](Wave &wave, const Instruction &inst) {
  u32 t[64];
  float r[64];
  const u32 *a = source32(wave, inst, 1, 0, t);
  EACH_LANE r[lane] = ((s32)(a[lane] << 28) >> 28) / 16.f;
  write_f32(wave, inst, r);
});

#define F32_OF_BYTE(k)                                                                             \
  INSTRUCTION("v_cvt_f32_ubyte" #k, [](Wave &wave, const Instruction &inst) {                      \
    u32 t[64];                                                                                     \
    float r[64];                                                                                   \
    const u32 *a = source32(wave, inst, 1, 0, t);                                                  \
    EACH_LANE r[lane] = (float)((a[lane] >> (8 * k)) & 255);                                       \
    write_f32(wave, inst, r);                                                                      \
  })
F32_OF_BYTE(0);
F32_OF_BYTE(1);
F32_OF_BYTE(2);
F32_OF_BYTE(3);
INSTRUCTION("v_cvt_f32_f16", [](Wave &wave, const Instruction &inst) {
  float a[64];
  source_f16(wave, inst, 1, 0, a);
  write_f32(wave, inst, a);
});
INSTRUCTION("v_cvt_f16_f32", [](Wave &wave, const Instruction &inst) {
  u32 t[64];
  u16 h[64];
  const float *a = source_f32(wave, inst, 1, 0, t);
  EACH_LANE h[lane] = float_to_half(a[lane]);
  write_f16(wave, inst, h);
});
INSTRUCTION("v_cvt_f32_f64", [](Wave &wave, const Instruction &inst) {
  double a[64];
  float r[64];
  source_f64(wave, inst, 1, a);
  EACH_LANE r[lane] = (float)a[lane];
  write_f32(wave, inst, r);
});
INSTRUCTION("v_cvt_f64_f32", [](Wave &wave, const Instruction &inst) {
  u32 t[64];
  double r[64];
  const float *a = source_f32(wave, inst, 1, 0, t);
  EACH_LANE r[lane] = a[lane];
  write_f64(wave, inst, r);
});
INSTRUCTION("v_cvt_f64_i32", [](Wave &wave, const Instruction &inst) {
  u32 t[64];
  double r[64];
  const u32 *a = source32(wave, inst, 1, 0, t);
  EACH_LANE r[lane] = (s32)a[lane];
  write_f64(wave, inst, r);
});
INSTRUCTION("v_cvt_f64_u32", [](Wave &wave, const Instruction &inst) {
  u32 t[64];
  double r[64];
  const u32 *a = source32(wave, inst, 1, 0, t);
  EACH_LANE r[lane] = a[lane];
  write_f64(wave, inst, r);
});
INSTRUCTION("v_cvt_i32_f64", [](Wave &wave, const Instruction &inst) {
  double a[64];
  u32 r[64];
  source_f64(wave, inst, 1, a);
  EACH_LANE r[lane] = (u32)to_s32(a[lane]);
  write32(wave, inst, r);
});
INSTRUCTION("v_cvt_u32_f64", [](Wave &wave, const Instruction &inst) {
  double a[64];
  u32 r[64];
  source_f64(wave, inst, 1, a);
  EACH_LANE r[lane] = to_u32(a[lane]);
  write32(wave, inst, r);
});
INSTRUCTION("v_cvt_pkrtz_f16_f32", [](Wave &wave, const Instruction &inst) {
  u32 t0[64], t1[64], r[64];
  const float *a = source_f32(wave, inst, 1, 0, t0), *b = source_f32(wave, inst, 2, 1, t1);
  EACH_LANE r[lane] = (u32)(u16)_cvtss_sh(a[lane], _MM_FROUND_TO_ZERO) |
                      ((u32)(u16)_cvtss_sh(b[lane], _MM_FROUND_TO_ZERO) << 16);
  write32(wave, inst, r);
});
INSTRUCTION("v_cvt_pknorm_i16_f32", [](Wave &wave, const Instruction &inst) {
  u32 t0[64], t1[64], r[64];
  const float *a = source_f32(wave, inst, 1, 0, t0), *b = source_f32(wave, inst, 2, 1, t1);
  auto n = [](float x) {
    if (x != x)
      return (u16)0;
    x = x < -1 ? -1 : x > 1 ? 1 : x;
    return (u16)(s16)rintf(x * 32767.f);
  };
  EACH_LANE r[lane] = n(a[lane]) | ((u32)n(b[lane]) << 16);
  write32(wave, inst, r);
});
INSTRUCTION("v_cvt_pknorm_u16_f32", [](Wave &wave, const Instruction &inst) {
  u32 t0[64], t1[64], r[64];
  const float *a = source_f32(wave, inst, 1, 0, t0), *b = source_f32(wave, inst, 2, 1, t1);
  auto n = [](float x) {
    if (x != x)
      return (u16)0;
    x = x < 0 ? 0 : x > 1 ? 1 : x;
    return (u16)rintf(x * 65535.f);
  };
  EACH_LANE r[lane] = n(a[lane]) | ((u32)n(b[lane]) << 16);
  write32(wave, inst, r);
});
