// How a block of several waves multiplies on gfx90a: its tokens go through LDS, its weights
// straight to registers, where a compute kblock has four times as much room as in LDS.
#ifndef GETP_TARGET_GFX90A_STAGED_H
#define GETP_TARGET_GFX90A_STAGED_H

#include "target/gfx90a/machine.h"

#include "target/mixed/matrix.h"

// Copies of 16 bytes from global memory to LDS: start() asks for N of them, finish() sees to it
// that they arrive. Between the two other work goes on.
template <int N> struct lds_copy {
  uint4 held[N];
  uint4 *to[N];
  DEVICE_MEMBER void start(int i, uint4 *lds, const uint4 *global) {
    held[i] = *global;
    to[i] = lds;
  }
  DEVICE_MEMBER void finish() {
    for (int i = 0; i < N; i++)
      *to[i] = held[i];
  }
};

// Tokens of a block in LDS: two buffers of a kblock each, an octet of every token side by side.
template <class Kblock, int FRAGS, int TOKENS, int SPLIT, int WAVES, int RING> struct ring_of {
  static_assert(RING == 2, "one buffer is filled while the other is read");
  uint4 octet[RING][OCTETS][TOKENS * SPLIT * TILE];
};

// sums = weights x tokens over KBLOCKS kblocks from `first_kblock` on. All threads of a block
// tiling TOKENS * SPLIT fragments of tokens through LDS; token t of the block begins at byte
// offset(t) of `tokens`, t < present; the sums of others mean nothing. Weights go straight to
// registers, a kblock ahead.
template <class Kblock, int KBLOCKS, int FRAGS, int TOKENS, int SPLIT, int WAVES, int RING,
          class Tile, class Offset>
DEVICE void product_staged(sums<FRAGS, TOKENS> &sum, Tile tile_at, int first_kblock,
                           ring_of<Kblock, FRAGS, TOKENS, SPLIT, WAVES, RING> &lds,
                           const char *tokens, Offset offset, int present) {
  constexpr int ROWS = WAVES * WAVE / OCTETS, COPIES = TOKENS * SPLIT * TILE / ROWS;
  static_assert(COPIES * ROWS == TOKENS * SPLIT * TILE, "every thread copies as much");
  const int octet = (int)threadIdx.x % OCTETS, mine = (int)threadIdx.x / OCTETS,
            lane = lane_of_wave();
  const int first_tile = first_tile_of_wave<FRAGS, SPLIT>(),
            first_token = first_token_of_wave<TOKENS, SPLIT>();
  const char *tile[FRAGS];
#pragma unroll
  for (int f = 0; f < FRAGS; f++)
    tile[f] = tile_at(first_tile + f);
  uint32_t from[COPIES];
  lds_copy<COPIES> copy;
  Kblock now[FRAGS], next[FRAGS];
#pragma unroll
  for (int i = 0; i < COPIES; i++) {
    const int t = mine + i * ROWS;
    from[i] = offset(t < present ? t : present - 1) + (uint32_t)octet * 16;
    copy.start(i, &lds.octet[0][octet][mine + i * ROWS],
               (const uint4 *)(tokens + first_kblock * KBLOCK * 2 + from[i]));
  }
#pragma unroll
  for (int f = 0; f < FRAGS; f++)
    next[f].load(tile[f], first_kblock);
  sum.clear();
  copy.finish();
  __syncthreads();
#pragma unroll 1
  for (int u = 0; u < KBLOCKS; u++) {
    const int ahead = u + 1 < KBLOCKS ? u + 1 : u, buffer = u % 2;
    const char *columns = tokens + (first_kblock + ahead) * KBLOCK * 2;
#pragma unroll
    for (int i = 0; i < COPIES; i++)
      copy.start(i, &lds.octet[1 - buffer][octet][mine + i * ROWS],
                 (const uint4 *)(columns + offset_of_lane(from[i])));
#pragma unroll
    for (int f = 0; f < FRAGS; f++) {
      now[f] = next[f];
      next[f].load(tile[f], first_kblock + ahead);
    }
    keep_order();
    const auto load = [&](int s, int n) {
      fragments both;
      both.set(0, lds.octet[buffer][s * 4 + first_column(lane) / 4]
                           [first_token + n * TILE + token_of_lane(lane, 0)]);
      return both;
    };
    multiply_kblock(sum, now, load);
    keep_order();
    copy.finish();
    __syncthreads();
  }
}

// What a kernel has in LDS for its tilings.
#define TILING_LDS(Tiling, Kblock, name) __shared__ typename Tiling::template shared<Kblock> name

// Starts a kernel of a tiling on a grid of blocks.
#define LAUNCH_TILING(pass, kernel, Tiling, Kblock, grid, ...)                                     \
  LAUNCH_STEP(pass, kernel, grid, Tiling::THREADS, __VA_ARGS__)

#endif
