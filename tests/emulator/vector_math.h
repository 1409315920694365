// Arithmetic of one lane as gfx90a does it: NaN, subnormal numbers and the edges of conversions.
#ifndef EMULATOR_VECTOR_MATH_H
#define EMULATOR_VECTOR_MATH_H

#include "vector.h"

static inline float quiet(float x) {
  return bits_as<float>(bits_as<u32>(x) | 0x00400000);
}

static inline double quiet(double x) {
  return bits_as<double>(bits_as<u64>(x) | 0x0008000000000000ull);
}

static inline bool is_signalling(float x) {
  u32 b = bits_as<u32>(x);
  return (b & 0x7fffffff) > 0x7f800000 && !(b & 0x00400000);
}

static inline bool is_signalling(double x) {
  u64 b = bits_as<u64>(x);
  return (b & 0x7fffffffffffffff) > 0x7ff0000000000000 && !(b & 0x0008000000000000);
}

template <class F> static inline bool is_negative(F x);
template <> inline bool is_negative(float x) {
  return bits_as<u32>(x) >> 31;
}

template <> inline bool is_negative(double x) {
  return bits_as<u64>(x) >> 63;
}

template <class F> static inline F minimum(F a, F b) {
  F r = a < b ? a : b;
  r = (a == b) ? (is_negative(a) ? a : b) : r;
  r = (b != b) ? a : r;
  r = (a != a) ? b : r;
  r = is_signalling(b) ? quiet(b) : r;
  r = is_signalling(a) ? quiet(a) : r;
  return r;
}

template <class F> static inline F maximum(F a, F b) {
  F r = a > b ? a : b;
  r = (a == b) ? (is_negative(a) ? b : a) : r;
  r = (b != b) ? a : r;
  r = (a != a) ? b : r;
  r = is_signalling(b) ? quiet(b) : r;
  r = is_signalling(a) ? quiet(a) : r;
  return r;
}

static inline float flush(float x) {
  return bits_as<float>(flush_f32(bits_as<u32>(x)));
}

static inline s32 to_s32(double a) {
  if (a != a)
    return 0;
  if (a >= 2147483647.0)
    return 0x7fffffff;
  if (a <= -2147483648.0)
    return (s32)0x80000000;
  return (s32)a;
}

static inline u32 to_u32(double a) {
  if (a != a || a <= 0)
    return 0;
  if (a >= 4294967295.0)
    return 0xffffffffu;
  return (u32)a;
}

static inline float ldexp_f(float x, int e) {
  e = e < -320 ? -320 : e > 320 ? 320 : e;
  return (float)((double)x * bits_as<double>((u64)(1023 + e) << 52));
}

static inline int frexp_exponent(float a) {
  if (a == 0 || a != a || std::isinf(a))
    return 0;
  int e;
  frexpf(a, &e);
  return e;
}

static inline float frexp_mantissa(float a) {
  if (a == 0 || a != a || std::isinf(a))
    return a;
  int e;
  return frexpf(a, &e);
}

static inline int frexp_exponent(double a) {
  if (a == 0 || a != a || std::isinf(a))
    return 0;
  int e;
  frexp(a, &e);
  return e;
}

static inline double frexp_mantissa(double a) {
  if (a == 0 || a != a || std::isinf(a))
    return a;
  int e;
  return frexp(a, &e);
}

static inline float fraction(float a) {
  if (a != a)
    return a;
  if (std::isinf(a))
    return NAN;
  float r = a - floorf(a);
  return r < bits_as<float>(0x3f7fffffu) ? r : bits_as<float>(0x3f7fffffu);
}

static inline double fraction(double a) {
  if (a != a)
    return a;
  if (std::isinf(a))
    return NAN;
  double r = a - floor(a), m = bits_as<double>(0x3fefffffffffffffull);
  return r < m ? r : m;
}

template <class F> static inline F median(F a, F b, F c) {
  if (a != a || b != b || c != c)
    return minimum(minimum(a, b), c);
  F m = maximum(maximum(a, b), c);
  if (m == a)
    return maximum(b, c);
  if (m == b)
    return maximum(a, c);
  return maximum(a, b);
}

template <class T> static inline T median_of(T a, T b, T c) {
  return std::max(std::min(a, b), std::min(std::max(a, b), c));
}

static inline u32 class_of(u32 b) {
  u32 e = (b >> 23) & 255, m = b & 0x7fffff, s = b >> 31;
  if (e == 255 && m)
    return (m & 0x400000) ? 2 : 1;
  if (e == 255)
    return s ? 4 : 512;
  if (e)
    return s ? 8 : 256;
  if (m)
    return s ? 16 : 128;
  return s ? 32 : 64;
}

static inline u32 class_of(u64 b) {
  u32 e = (b >> 52) & 2047, s = b >> 63;
  u64 m = b & 0xfffffffffffff;
  if (e == 2047 && m)
    return (m >> 51) ? 2 : 1;
  if (e == 2047)
    return s ? 4 : 512;
  if (e)
    return s ? 8 : 256;
  if (m)
    return s ? 16 : 128;
  return s ? 32 : 64;
}

static inline u32 class_of(u16 b) {
  u32 e = (b >> 10) & 31, m = b & 0x3ff, s = b >> 15;
  if (e == 31 && m)
    return (m >> 9) ? 2 : 1;
  if (e == 31)
    return s ? 4 : 512;
  if (e)
    return s ? 8 : 256;
  if (m)
    return s ? 16 : 128;
  return s ? 32 : 64;
}

static inline float exp_f32(float x) {
  return exp2f(x);
}

static inline float log_f32(float x) {
  if (x == 0)
    return -INFINITY;
  if (x < 0)
    return NAN;
  return log2f(x);
}

static inline float rcp_f32(float x) {
  return 1.0f / x;
}

static inline float rsq_f32(float x) {
  if (x == 0)
    return copysignf(INFINITY, x);
  return (float)(1.0 / sqrt((double)x));
}

static inline float sqrt_f32(float x) {
  return sqrtf(x);
}

static const double TWOPI = 6.283185307179586476925286766559;
static inline float sin_f32(float x) {
  if (std::isinf(x))
    return NAN;
  if (fabsf(x) > 256.f)
    return 0.f;
  double y = x;
  y -= rint(y);
  return (float)sin(y * TWOPI);
}

static inline float cos_f32(float x) {
  if (std::isinf(x))
    return NAN;
  if (fabsf(x) > 256.f)
    return 1.f;
  double y = x;
  y -= rint(y);
  return (float)cos(y * TWOPI);
}

// ---- division ----
static inline int exponent(float x) {
  return (bits_as<u32>(x) >> 23) & 255;
}

static inline int exponent(double x) {
  return (bits_as<u64>(x) >> 52) & 2047;
}

static inline bool is_denormal(float x) {
  u32 b = bits_as<u32>(x);
  return !(b & 0x7f800000) && (b & 0x7fffff);
}

static inline bool is_denormal(double x) {
  u64 b = bits_as<u64>(x);
  return !(b & 0x7ff0000000000000) && (b & 0xfffffffffffff);
}

template <class F> static inline F div_scale(F s0, F den, F num, bool &vcc) {
  constexpr bool D = sizeof(F) == 8;
  const int S = D ? 128 : 64;
  auto ex = [](F x) {
    if constexpr (D)
      return exponent(x);
    else
      return exponent(x);
  };
  auto isd = [](F x) {
    if constexpr (D)
      return is_denormal(x);
    else
      return is_denormal(x);
  };
  auto ld = [](F x, int e) -> F {
    if constexpr (D)
      return ldexp(x, e);
    else
      return ldexpf(x, e);
  };
  vcc = false;
  F d = s0;
  if (num == 0 || den == 0)
    return (F)NAN;
  if (num != num || den != den || std::isinf((double)num) || std::isinf((double)den))
    return d;
  F rden = (F)1 / den, q = num / den;
  bool qd = isd(q) || q == 0;
  if (ex(num) - ex(den) >= (D ? 768 : 96)) {
    vcc = true;
    if (s0 == den)
      d = ld(s0, S);
  } else if (isd(den))
    d = ld(s0, S);
  else if (isd(rden) && qd) {
    vcc = true;
    if (s0 == den)
      d = ld(s0, -S);
  } else if (isd(rden))
    d = ld(s0, -S);
  else if (qd) {
    vcc = true;
    if (s0 == num)
      d = ld(s0, S);
  } else if (ex(num) <= (D ? 53 : 23))
    d = ld(s0, S);
  return d;
}

template <class F> static inline F div_fixup(F q, F den, F num) {
  bool s = std::signbit(den) ^ std::signbit(num);
  F inf = (F)INFINITY;
  if (num != num)
    return quiet(num);
  if (den != den)
    return quiet(den);
  if (den == 0 && num == 0)
    return (F)NAN;
  if (std::isinf(den) && std::isinf(num))
    return (F)NAN;
  if (den == 0 || std::isinf(num))
    return s ? -inf : inf;
  if (std::isinf(den) || num == 0)
    return s ? -(F)0 : (F)0;
  auto ex = [](F x) {
    if constexpr (sizeof(F) == 8)
      return exponent(x);
    else
      return exponent(x);
  };
  if (ex(num) - ex(den) < (sizeof(F) == 8 ? -1075 : -150))
    return s ? -(F)0 : (F)0; // underflow, nearest even
  if (q != q || std::isinf(q))
    return s ? -inf : inf;
  return s ? -std::fabs(q) : std::fabs(q);
}

static inline u16 half_of(u32 x, bool hi) {
  return hi ? x >> 16 : x;
}

static inline u16 sat_s16(s32 x) {
  return x > 32767 ? 32767 : x < -32768 ? 0x8000 : (u16)x;
}

static inline u16 sat_u16(s32 x) {
  return x > 65535 ? 65535 : x < 0 ? 0 : (u16)x;
}

#endif
