// Four numbers side by side: a quad, as one lane loads, adds and stores it.
#ifndef GETP_TARGET_MIXED_VECTORS_H
#define GETP_TARGET_MIXED_VECTORS_H

#include "target/mixed/machine.h"

DEVICE float4 add(float4 a, float4 b) {
  return make_float4(a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w);
}

// sum + s v
DEVICE float4 add_scaled(float4 sum, float s, float4 v) {
  return make_float4(fmaf(s, v.x, sum.x), fmaf(s, v.y, sum.y), fmaf(s, v.z, sum.z),
                     fmaf(s, v.w, sum.w));
}

// sum + a b
DEVICE float4 add_products(float4 sum, float4 a, float4 b) {
  return make_float4(fmaf(a.x, b.x, sum.x), fmaf(a.y, b.y, sum.y), fmaf(a.z, b.z, sum.z),
                     fmaf(a.w, b.w, sum.w));
}

// v s g
DEVICE float4 scaled(float4 v, float s, float4 g) {
  return make_float4(v.x * s * g.x, v.y * s * g.y, v.z * s * g.z, v.w * s * g.w);
}

DEVICE float dot(float4 a, float4 b) {
  return fmaf(a.w, b.w, fmaf(a.z, b.z, fmaf(a.y, b.y, a.x * b.x)));
}

DEVICE float4 load_quad(const float *from) {
  return *(const float4 *)from;
}
DEVICE void store_quad(float *to, float4 v) {
  *(float4 *)to = v;
}
DEVICE void store_halves(uint16_t *to, float4 v) {
  *(uint2 *)to = make_uint2(to_halves(v.x, v.y), to_halves(v.z, v.w));
}

#endif
