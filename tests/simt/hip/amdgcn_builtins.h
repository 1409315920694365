// The builtins of clang for an MI200 that the kernels use, as functions of the same names, because
// g++ has none of them.
#ifndef SIMT_AMDGCN_BUILTINS_H
#define SIMT_AMDGCN_BUILTINS_H

#include "simt_matrix.h"

namespace simt {

typedef _Float16 mfma_halves __attribute__((vector_size(8)));

struct mfma_operands {
  mfma_halves a, b;
  four_floats c;
};

// c (16, 16) += a (16, 16) b (16, 16). With m = l % 16 and n = l / 16 * 4, lane l holds the
// elements a (m, n + i), b (n + i, m) and c (n + i, m) for i = 0..3. The MI200 reads subnormal
// halves and floats as zeros, and its results are never subnormal.
inline void mfma_16x16x16(const wave &lanes) {
  float a[16][16], b[16][16], c[16][16]; // each transposed
  want_all(lanes);
  for (int l = 0; l < SIMT_WAVE; l++) {
    const auto *mine = static_cast<const mfma_operands *>(lanes.brought[l]);
    int across = l % 16, down = l / 16 * 4;
    four_floats row = widen(reinterpret_cast<four_halves>(mine->a), true);
    four_floats column = widen(reinterpret_cast<four_halves>(mine->b), true);
    four_floats sums = flushed(mine->c);
    for (int i = 0; i < 4; i++) {
      a[down + i][across] = row[i];
    }
    memcpy(&b[across][down], &column, sizeof column);
    memcpy(&c[across][down], &sums, sizeof sums);
  }
  multiply_add(c, b, a);
  for (int l = 0; l < SIMT_WAVE; l++) {
    auto *mine = static_cast<mfma_operands *>(lanes.brought[l]);
    memcpy(&mine->c, &c[l % 16][l / 16 * 4], sizeof mine->c);
    mine->c = flushed(mine->c);
  }
}

// Replaces each lane's value by that of the first active lane.
inline void read_first(const wave &lanes) {
  const int *first = nullptr;
  for (void *mine : lanes.brought) {
    if (mine && !first) {
      first = static_cast<const int *>(mine);
    } else if (mine) {
      *static_cast<int *>(mine) = *first;
    }
  }
}

} // namespace simt

inline simt::four_floats
__builtin_amdgcn_mfma_f32_16x16x16f16(simt::mfma_halves a, simt::mfma_halves b, simt::four_floats c,
                                      int cbsz, int abid, int blgp,
                                      simt::call_site at = simt::call_site::here()) {
  if (cbsz != 0 || abid != 0 || blgp != 0) {
    simt::die("__builtin_amdgcn_mfma_f32_16x16x16f16: want 0 for cbsz, abid and blgp");
  }
  simt::mfma_operands mine = {a, b, c};
  simt::meet(&mine, simt::mfma_16x16x16, "__builtin_amdgcn_mfma_f32_16x16x16f16", at);
  return mine.c;
}

inline int __builtin_amdgcn_readfirstlane(int value, simt::call_site at = simt::call_site::here()) {
  simt::meet(&value, simt::read_first, "__builtin_amdgcn_readfirstlane", at);
  return value;
}

// v_perm_b32: byte i of `selector` chooses byte i of the result. 0 to 7 choose a byte of a:b, b
// being the low half; 8 to 11 choose the sign of its odd bytes; 12 is 0x00, and all others are
// 0xff.
inline unsigned __builtin_amdgcn_perm(unsigned a, unsigned b, unsigned selector) {
  uint64_t both = static_cast<uint64_t>(a) << 32 | b;
  unsigned chosen = 0;
  for (int i = 0; i < 4; i++) {
    unsigned from = selector >> 8 * i & 0xff, byte = from == 12 ? 0 : 0xff;
    if (from < 8) {
      byte = static_cast<unsigned>(both >> 8 * from & 0xff);
    } else if (from < 12) {
      byte = both >> (16 * (from - 8) + 15) & 1 ? 0xff : 0;
    }
    chosen |= byte << 8 * i;
  }
  return chosen;
}

inline unsigned __builtin_bitreverse32(unsigned x) {
  return __brev(x);
}

// v_rcp_f32 flushes subnormal numbers.
inline float __builtin_amdgcn_rsqf(float x) {
  return 1 / std::sqrt(x);
}

inline float __builtin_amdgcn_rcpf(float x) {
  return simt::flushed(1.0f / simt::flushed(x));
}

template <class T> T __builtin_nontemporal_load(const T *from) {
  return *from;
}
template <class T> void __builtin_nontemporal_store(std::common_type_t<T> value, T *to) {
  *to = value;
}

// Hints for the compiler's scheduler.
inline void __builtin_amdgcn_sched_barrier(int) {}
inline void __builtin_amdgcn_sched_group_barrier(int, int, int) {}

#endif
