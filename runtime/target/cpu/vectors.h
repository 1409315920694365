// Vectors of 16 floats, one lane for each feature of a panel, on whatever the compiler builds for.
// Every machine computes the same bits: each function is exact or rounds once.
//
//   vec_zero(), vec_set(x), vec_load(from), vec_store(to, v)   memory needs no alignment
//   vec_add(a, b), vec_mul(a, b), vec_fma(a, b, c)             a + b, a * b, a * b + c
//   words_load(from)             16 words of 32 bits
//   words_float(w)               each word as a float
//   words_low(w), words_high(w)  the lower (upper) half of each word as a BF16
//   words_code(w, i)             bits 4i to 4i + 3 of each word as an e2m1 number, for a constant i
//   vec_scales(from)             16 bytes as e8m0 numbers: 2^(byte - 127), NaN for 255
//
// e2m1 and e8m0 are those of OCP Microscaling Formats 1.0.
//
// A product multiplies up to ROWS_AT_ONCE rows with a panel, and GROUPS_AT_ONCE(rows) groups of
// columns at the same time, so that independent sums hide the latency of vec_fma. SUMS_AT_ONCE of
// them have room in registers. UNROLL stands before loops over them: a register has no index.
#ifndef GETP_TARGET_CPU_VECTORS_H
#define GETP_TARGET_CPU_VECTORS_H

#if defined(__AVX512F__)
#include "target/cpu/avx512.h"
#elif defined(__AVX2__) && defined(__FMA__)
#include "target/cpu/avx2.h"
#else
#include "target/cpu/portable.h"
#endif

#endif
