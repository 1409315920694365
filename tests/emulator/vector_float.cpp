// Vector instructions on F32.
#include "vector_math.h"

template <class F>
static inline void transcendental(Wave &wave, const Instruction &inst, F f,
                                  bool flush_source = true) {
  u32 t0[64];
  alignas(64) float r[64];
  const float *a = source_f32(wave, inst, 1, 0, t0);
  u64 m = write_mask(wave, inst);
  EACH_LANE {
    if (!((m >> lane) & 1)) {
      r[lane] = 0;
      continue;
    }
    r[lane] = flush(f(flush_source ? flush(a[lane]) : a[lane]));
  }
  write_f32(wave, inst, r);
}

F32_OP2("v_add_f32", a + b);
F32_OP2("v_sub_f32", a - b);
F32_OP2("v_subrev_f32", b - a);
F32_OP2("v_mul_f32", (a * b));
F32_OP2("v_mul_legacy_f32", (a == 0 || b == 0) ? 0.f : (a *b));
F32_OP2("v_min_f32", minimum(a, b));
F32_OP2("v_max_f32", maximum(a, b));
F32_OP3("v_fma_f32", __builtin_fmaf(a, b, c));
F32_OP3("v_min3_f32", minimum(minimum(a, b), c));
F32_OP3("v_max3_f32", maximum(maximum(a, b), c));
F32_OP3("v_med3_f32", median(a, b, c));
// v_mad and v_mac round the product, and their subnormal numbers are always zeros.
F32_OP3("v_mad_f32", flush(flush(flush(a) * flush(b)) + flush(c)));
F32_OP3("v_mad_legacy_f32",
        flush(((a == 0 || b == 0) ? 0.f : flush(flush(a) * flush(b))) + flush(c)));
F32_OP3("v_madmk_f32", flush(flush(flush(a) * flush(b)) + flush(c)));
F32_OP3("v_madak_f32", flush(flush(flush(a) * flush(b)) + flush(c)));
INSTRUCTION("v_fmac_f32", [](Wave &wave, const Instruction &inst) {
  u32 t0[64], t1[64], t2[64];
  float r[64];
  const float *a = source_f32(wave, inst, 1, 0, t0), *b = source_f32(wave, inst, 2, 1, t1);
  const u32 *c = destination(wave, inst);
  if (wave.flush32) {
    EACH_LANE t2[lane] = flush_f32(c[lane]);
    c = t2;
  }
  const float *cf = (const float *)c;
  EACH_LANE r[lane] = __builtin_fmaf(a[lane], b[lane], cf[lane]);
  write_f32(wave, inst, r);
});
INSTRUCTION("v_mac_f32", [](Wave &wave, const Instruction &inst) {
  u32 t0[64], t1[64];
  float r[64];
  const float *a = source_f32(wave, inst, 1, 0, t0), *b = source_f32(wave, inst, 2, 1, t1);
  const float *c = (const float *)destination(wave, inst);
  EACH_LANE r[lane] = flush(flush(flush(a[lane]) * flush(b[lane])) + flush(c[lane]));
  write_f32(wave, inst, r);
});
F32_OP1("v_trunc_f32", __builtin_truncf(a));
F32_OP1("v_ceil_f32", __builtin_ceilf(a));
F32_OP1("v_floor_f32", __builtin_floorf(a));
F32_OP1("v_rndne_f32", __builtin_rintf(a));
F32_OP1("v_fract_f32", fraction(a));
F32_OP1("v_frexp_mant_f32", frexp_mantissa(a));
INSTRUCTION("v_frexp_exp_i32_f32", [](Wave &wave, const Instruction &inst) {
  u32 t[64], r[64];
  const float *a = source_f32(wave, inst, 1, 0, t);
  EACH_LANE r[lane] = (u32)frexp_exponent(a[lane]);
  write32(wave, inst, r);
});
INSTRUCTION("v_ldexp_f32", [](Wave &wave, const Instruction &inst) {
  u32 t0[64], t1[64];
  float r[64];
  const float *a = source_f32(wave, inst, 1, 0, t0);
  const u32 *b = source32(wave, inst, 2, 1, t1);
  EACH_LANE r[lane] = ldexp_f(a[lane], (s32)b[lane]);
  write_f32(wave, inst, r);
});
INSTRUCTION("v_exp_f32", [](Wave &wave, const Instruction &inst) {
  transcendental(wave, inst, exp_f32, false);
});
INSTRUCTION("v_exp_legacy_f32", [](Wave &wave, const Instruction &inst) {
  transcendental(wave, inst, exp_f32, false);
});
INSTRUCTION("v_log_f32",
            [](Wave &wave, const Instruction &inst) { transcendental(wave, inst, log_f32); });
INSTRUCTION("v_log_legacy_f32",
            [](Wave &wave, const Instruction &inst) { transcendental(wave, inst, log_f32); });
INSTRUCTION("v_rcp_f32",
            [](Wave &wave, const Instruction &inst) { transcendental(wave, inst, rcp_f32); });
INSTRUCTION("v_rcp_iflag_f32",
            [](Wave &wave, const Instruction &inst) { transcendental(wave, inst, rcp_f32); });
INSTRUCTION("v_rsq_f32",
            [](Wave &wave, const Instruction &inst) { transcendental(wave, inst, rsq_f32); });
INSTRUCTION("v_sqrt_f32",
            [](Wave &wave, const Instruction &inst) { transcendental(wave, inst, sqrt_f32); });
INSTRUCTION("v_sin_f32",
            [](Wave &wave, const Instruction &inst) { transcendental(wave, inst, sin_f32); });
INSTRUCTION("v_cos_f32",
            [](Wave &wave, const Instruction &inst) { transcendental(wave, inst, cos_f32); });
INSTRUCTION("v_div_scale_f32", [](Wave &wave, const Instruction &inst) {
  u32 t[3][64];
  float r[64];
  const float *a = source_f32(wave, inst, 2, 0, t[0]), *b = source_f32(wave, inst, 3, 1, t[1]),
              *c = source_f32(wave, inst, 4, 2, t[2]);
  u64 m = 0;
  EACH_LANE {
    bool v;
    r[lane] = div_scale<float>(a[lane], b[lane], c[lane], v);
    m |= (u64)v << lane;
  }
  write_f32(wave, inst, r);
  write_scalar64(wave, inst.operand[1], m & wave.exec());
});
INSTRUCTION("v_div_fmas_f32", [](Wave &wave, const Instruction &inst) {
  u32 t[3][64];
  float r[64];
  const float *a = source_f32(wave, inst, 1, 0, t[0]), *b = source_f32(wave, inst, 2, 1, t[1]),
              *c = source_f32(wave, inst, 3, 2, t[2]);
  u64 m = wave.vcc();
  EACH_LANE {
    if ((m >> lane) & 1) {
      double d = fma((double)a[lane], (double)b[lane], (double)c[lane]);
      r[lane] = exponent(c[lane]) > 127 ? (float)(d * 0x1p64) : (float)(d * 0x1p-64);
    } else
      r[lane] = __builtin_fmaf(a[lane], b[lane], c[lane]);
  }
  write_f32(wave, inst, r);
});
F32_OP3("v_div_fixup_f32", div_fixup<float>(a, b, c));
