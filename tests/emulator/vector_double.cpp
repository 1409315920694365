// Vector instructions on F64.
#include "vector_math.h"

// The bits of the fraction 2 / pi, the highest first.
static const unsigned TWO_OVER_PI[38] = {
    0xa2f9836e, 0x4e441529, 0xfc2757d1, 0xf534ddc0, 0xdb629599, 0x3c439041, 0xfe5163ab, 0xdebbc561,
    0xb7246e3a, 0x424dd2e0, 0x06492eea, 0x09d1921c, 0xfe1deb1c, 0xb129a73e, 0xe88235f5, 0x2ebb4484,
    0xe99c7026, 0xb45f7e41, 0x3991d639, 0x835339f4, 0x9c845f8b, 0xbdf9283b, 0x1ff897ff, 0xde05980f,
    0xef2f118b, 0x5a0a6d1f, 0x6d367ecf, 0x27cb09b7, 0x4f463f66, 0x9e5fea2d, 0x7527bac7, 0xebe5f17b,
    0x3d0739f7, 0x8a5292ea, 0x6bfb5fb1, 0x1f8d5d08, 0x56033046, 0xfc7b6bab};
F64_OP2("v_add_f64", a + b);
F64_OP2("v_mul_f64", (a * b));
F64_OP2("v_min_f64", minimum(a, b));
F64_OP2("v_max_f64", maximum(a, b));
F64_OP3("v_fma_f64", fma(a, b, c));
INSTRUCTION("v_fmac_f64", [](Wave &wave, const Instruction &inst) {
  double a[64], b[64], c[64], r[64];
  source_f64(wave, inst, 1, a, 0);
  source_f64(wave, inst, 2, b, 1);
  source_f64(wave, inst, 0, c, 2);
  EACH_LANE r[lane] = fma(a[lane], b[lane], c[lane]);
  write_f64(wave, inst, r);
});
INSTRUCTION("v_ldexp_f64", [](Wave &wave, const Instruction &inst) {
  double a[64];
  u32 t[64];
  source_f64(wave, inst, 1, a);
  const u32 *b = source32(wave, inst, 2, 1, t);
  EACH_LANE a[lane] = ldexp(a[lane], (s32)b[lane]);
  write_f64(wave, inst, a);
});
F64_OP1("v_trunc_f64", trunc(a));
F64_OP1("v_ceil_f64", ceil(a));
F64_OP1("v_floor_f64", floor(a));
F64_OP1("v_rndne_f64", rint(a));
F64_OP1("v_fract_f64", fraction(a));
F64_OP1("v_rcp_f64", 1.0 / a);
F64_OP1("v_rsq_f64", a == 0 ? copysign(INFINITY, a) : 1.0 / sqrt(a));
F64_OP1("v_sqrt_f64", sqrt(a));
F64_OP1("v_frexp_mant_f64", frexp_mantissa(a));
INSTRUCTION("v_frexp_exp_i32_f64", [](Wave &wave, const Instruction &inst) {
  double a[64];
  u32 r[64];
  source_f64(wave, inst, 1, a);
  EACH_LANE r[lane] = (u32)frexp_exponent(a[lane]);
  write32(wave, inst, r);
});
INSTRUCTION("v_div_scale_f64", [](Wave &wave, const Instruction &inst) {
  double a[64], b[64], c[64], r[64];
  source_f64(wave, inst, 2, a, 0);
  source_f64(wave, inst, 3, b, 1);
  source_f64(wave, inst, 4, c, 2);
  u64 m = 0;
  EACH_LANE {
    bool v;
    r[lane] = div_scale<double>(a[lane], b[lane], c[lane], v);
    m |= (u64)v << lane;
  }
  write_f64(wave, inst, r);
  write_scalar64(wave, inst.operand[1], m & wave.exec());
});
INSTRUCTION("v_div_fmas_f64", [](Wave &wave, const Instruction &inst) {
  double a[64], b[64], c[64], r[64];
  source_f64(wave, inst, 1, a, 0);
  source_f64(wave, inst, 2, b, 1);
  source_f64(wave, inst, 3, c, 2);
  u64 m = wave.vcc();
  EACH_LANE {
    r[lane] = fma(a[lane], b[lane], c[lane]);
    if ((m >> lane) & 1)
      r[lane] = ldexp(r[lane], exponent(c[lane]) > 1023 ? 128 : -128);
  }
  write_f64(wave, inst, r);
});
F64_OP3("v_div_fixup_f64", div_fixup<double>(a, b, c));
INSTRUCTION("v_trig_preop_f64", [](Wave &wave, const Instruction &inst) {
  double a[64], r[64];
  u32 t[64];
  source_f64(wave, inst, 1, a);
  const u32 *b = source32(wave, inst, 2, 1, t);
  EACH_LANE {
    int sh = (b[lane] & 31) * 53, e = exponent(a[lane]);
    if (e > 1077)
      sh += e - 1077;
    // 53 of the 1201 bits of 2 / pi
    u64 v = 0;
    for (int i = 0; i < 53; ++i) {
      int k = sh + i;
      u64 bit = k <= 1200 ? (TWO_OVER_PI[k / 32] >> (31 - k % 32)) & 1 : 0;
      v = (v << 1) | bit;
    }
    int sc = -53 - sh;
    if (e >= 1968)
      sc += 128;
    r[lane] = ldexp((double)v, sc);
  }
  write_f64(wave, inst, r);
});
