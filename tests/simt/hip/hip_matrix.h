// runtime/target/sm_90/hip/hip_matrix.h on this CPU: the same functions for warps of 32. A copy to
// LDS happens when its lane waits for it; until then its target is NaN.
#ifndef SIMT_HIP_MATRIX_H
#define SIMT_HIP_MATRIX_H

#include "simt_matrix.h"

#include <hip/hip_runtime.h>

#if SIMT_WAVE != 32
#error "hip_matrix.h: want waves of 32: compile with -DSIMT_WAVE=32"
#endif

namespace simt {

struct mma_operands {
  uint32_t a[4], b[2]; // two halves each
  float c[4];
};

inline void widen_pairs(float (&wide)[4], uint32_t first, uint32_t second) {
  const uint32_t pairs[] = {first, second};
  four_halves halves;
  memcpy(&halves, pairs, sizeof halves);
  four_floats floats = widen(halves, false);
  memcpy(wide, &floats, sizeof wide);
}

// c (16, 8) += a (16, 16) b (16, 8). With g = l / 4 and t = l % 4, lane l holds the elements
//   a[i]: (g + i % 2 * 8, 2 t + i / 2 * 8) and the next of the same line
//   b[i]: (2 t + i * 8, g) and (2 t + i * 8 + 1, g)
//   c[2 i], c[2 i + 1]: (g + i * 8, 2 t) and the next of the same line
inline void mma_16x8x16(const wave &lanes) {
  float a[16][16], b[16][8], c[16][8];
  want_all(lanes);
  for (int l = 0; l < SIMT_WAVE; l++) {
    const auto *mine = static_cast<const mma_operands *>(lanes.brought[l]);
    int g = l / 4, t = l % 4;
    float left[4], right[4], column[4];
    widen_pairs(left, mine->a[0], mine->a[1]);
    widen_pairs(right, mine->a[2], mine->a[3]);
    widen_pairs(column, mine->b[0], mine->b[1]);
    for (int i = 0; i < 2; i++) {
      memcpy(&a[g + i * 8][2 * t], &left[2 * i], 2 * sizeof(float));
      memcpy(&a[g + i * 8][2 * t + 8], &right[2 * i], 2 * sizeof(float));
      memcpy(&c[g + i * 8][2 * t], &mine->c[2 * i], 2 * sizeof(float));
      b[2 * t + i * 8][g] = column[2 * i];
      b[2 * t + i * 8 + 1][g] = column[2 * i + 1];
    }
  }
  multiply_add(c, a, b);
  for (int l = 0; l < SIMT_WAVE; l++) {
    auto *mine = static_cast<mma_operands *>(lanes.brought[l]);
    for (int i = 0; i < 2; i++) {
      memcpy(&mine->c[2 * i], &c[l / 4 + i * 8][l % 4 * 2], 2 * sizeof(float));
    }
  }
}

} // namespace simt

inline void mma_m16n8k16(float &c0, float &c1, float &c2, float &c3, uint32_t a0, uint32_t a1,
                         uint32_t a2, uint32_t a3, uint32_t b0, uint32_t b1,
                         simt::call_site at = simt::call_site::here()) {
  simt::mma_operands mine = {{a0, a1, a2, a3}, {b0, b1}, {c0, c1, c2, c3}};
  simt::meet(&mine, simt::mma_16x8x16, "mma_m16n8k16", at);
  c0 = mine.c[0];
  c1 = mine.c[1];
  c2 = mine.c[2];
  c3 = mine.c[3];
}

// Loads four matrices of 8 lines of 8 halves. Lane l gives the address of line l % 8 of matrix
// l / 8, and gets two halves of line l / 4 of each matrix.
inline void load_matrices_x4(uint32_t (&to)[4], const void *line,
                             simt::call_site at = simt::call_site::here()) {
  int lane = simt::lane_id();
  for (int m = 0; m < 4; m++) {
    const void *from = simt::read_lane(line, m * 8 + lane / 4, "load_matrices_x4", at);
    memcpy(&to[m], static_cast<const char *>(from) + lane % 4 * 4, sizeof to[m]);
  }
}

constexpr int MOST_SHARED = 0, DRIVERS_CHOICE = 1; // no effect here

template <class... P, class... A>
void launch_early(const char *name, void (*kernel)(P...), int, dim3 grid, dim3 block, size_t bytes,
                  hipStream_t stream, A... given) {
  simt::allow_dynamic_lds(reinterpret_cast<const void *>(kernel), bytes);
  simt::launch_kernel(name, true, kernel, grid, block, bytes, stream, given...);
}
#define LAUNCH_EARLY(kernel, ...) launch_early(#kernel, (kernel), __VA_ARGS__)

inline void let_next_kernel_begin() {}

inline void await_kernels_before() {
  simt::await_kernels();
}

inline void copy_async_16(void *shared, const void *global,
                          simt::call_site at = simt::call_site::here()) {
  simt::start_copy(shared, global, at);
}

inline void copy_async_shared_16(void *shared, const void *global,
                                 simt::call_site at = simt::call_site::here()) {
  simt::start_copy(shared, global, at);
}

inline void commit_copies() {
  simt::close_copies();
}

inline void wait_for_copies() {
  simt::finish_copies();
}

template <int GROUPS> void wait_for_copies_but() {
  simt::finish_copies_but(GROUPS);
}

inline uint32_t pack_half2(float a, float b) {
  const _Float16 pair[] = {static_cast<_Float16>(a), static_cast<_Float16>(b)};
  uint32_t bits;
  memcpy(&bits, pair, sizeof bits);
  return bits;
}

inline uint32_t multiply_half2(uint32_t a, uint32_t b) {
  _Float16 x[2], y[2];
  memcpy(x, &a, sizeof x);
  memcpy(y, &b, sizeof y);
  const _Float16 product[] = {static_cast<_Float16>(x[0] * y[0]),
                              static_cast<_Float16>(x[1] * y[1])};
  uint32_t bits;
  memcpy(&bits, product, sizeof bits);
  return bits;
}

// PTX's .ftz treats subnormal numbers as zeros.
inline float exp2_approximate(float x) {
  return simt::flushed(exp2f(simt::flushed(x)));
}

inline float reciprocal_approximate(float x) {
  return simt::flushed(1.0f / simt::flushed(x));
}

#endif
