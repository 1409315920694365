// The product of a block of several waves on gfx90a. Its tokens go through LDS. Its weights go
// straight to registers: a compute unit has four times as many bytes of registers as of LDS.
#ifndef GETP_TARGET_GFX90A_STAGED_H
#define GETP_TARGET_GFX90A_STAGED_H

#include "target/gfx90a/machine.h"

#include "target/mixed/matrix.h"

// N copies of 16 bytes from global memory to LDS. start() issues a load, finish() stores what has
// been loaded; other work goes on between the two.
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

// A round of copies brings one octet of so many tokens to LDS.
constexpr int copied_tokens(int waves) {
  return waves * WAVE / OCTETS;
}

// The tokens of a block in LDS, in whole rounds of copies: two buffers of one kblock each, one is
// filled while the other is read. RING - 1 kblocks are on their way from memory to registers. The
// octets of all tokens at the same columns lie side by side; index_of_token says in which order.
template <class Kblock, int WEIGHTS, int TOKENS, int SPLIT, int WAVES, int RING> struct ring_of {
  static_assert(RING >= 2, "a kblock is loaded while another one is multiplied");
  static constexpr int BUFFERS = 2, AHEAD = RING - 1;
  static constexpr int ROUND = copied_tokens(WAVES);
  static constexpr int COPIES = (TOKENS * SPLIT * TILE + ROUND - 1) / ROUND;
  uint4 octet[BUFFERS][OCTETS][COPIES * ROUND];
};

// Where octet `octet` of a token lies among those of all tokens. Eight lanes store the octets of
// one token together: so they use different banks. The lanes that load have the same octet.
DEVICE int index_of_token(int token, int octet) {
  return token ^ octet;
}

// What a wave has on its way from memory: kblocks of its weights, and some of the tokens of the
// block, for AHEAD kblocks. `columns` are those of a kblock of the first token.
template <class Kblock, int WEIGHTS, class Ring> struct loads_ahead {
  static constexpr int COPIES = Ring::COPIES, AHEAD = Ring::AHEAD;
  const char *tile[WEIGHTS];
  uint32_t from[COPIES];
  lds_copy<COPIES> copy[AHEAD];
  Kblock next[AHEAD][WEIGHTS];

  template <class Tile, class Offset>
  DEVICE_MEMBER void plan(Tile tile_at, int first_tile, Offset offset, int present) {
    const int octet = (int)threadIdx.x % OCTETS, mine = (int)threadIdx.x / OCTETS;
#pragma unroll
    for (int f = 0; f < WEIGHTS; f++)
      tile[f] = tile_at(first_tile + f);
#pragma unroll
    for (int i = 0; i < COPIES; i++) {
      const int t = mine + i * Ring::ROUND;
      from[i] = offset(t < present ? t : present - 1) + (uint32_t)octet * 16;
    }
  }
  DEVICE_MEMBER void start_copy(Ring &lds, int d, int i, int buffer, const char *columns) {
    const int octet = (int)threadIdx.x % OCTETS, mine = (int)threadIdx.x / OCTETS;
    copy[d].start(i, &lds.octet[buffer][octet][i * Ring::ROUND + index_of_token(mine, octet)],
                  (const uint4 *)(columns + offset_of_lane(from[i])));
  }
  // Starts all loads of kblock d, the first ones of a product.
  DEVICE_MEMBER void start(Ring &lds, int d, int kblock, const char *columns) {
#pragma unroll
    for (int i = 0; i < COPIES; i++)
      start_copy(lds, d, i, d % Ring::BUFFERS, columns);
#pragma unroll
    for (int f = 0; f < WEIGHTS; f++)
      next[d][f].load(tile[f], kblock);
  }
  // Starts those of a round of `rounds`, so that they are spread over the products of a kblock. The
  // first ones have to wait longest.
  DEVICE_MEMBER void start_part(Ring &lds, int d, int round, int rounds, int kblock, int buffer,
                                const char *columns) {
    constexpr int PARTS = WEIGHTS * Kblock::PARTS, LOADS = PARTS + COPIES;
#pragma unroll
    for (int i = round * LOADS / rounds; i < (round + 1) * LOADS / rounds; i++)
      if (i < PARTS)
        next[d][i % WEIGHTS].load_part(i / WEIGHTS, tile[i % WEIGHTS], kblock);
      else
        start_copy(lds, d, i - PARTS, buffer, columns);
  }
};

// sums = weights x tokens over KBLOCKS kblocks from `first_kblock` on. Tile i of the block's
// weights is tile_at(i). Token t of the block begins at byte offset(t) of `tokens`, t < present;
// the sums of other tokens are meaningless. Weights and tokens are loaded AHEAD kblocks before they
// are multiplied; the loop advances by so many, since registers have no index.
template <class Kblock, int KBLOCKS, int WEIGHTS, int TOKENS, int SPLIT, int WAVES, int RING,
          class Tile, class Offset>
DEVICE void product_staged(sums<WEIGHTS, TOKENS> &sum, Tile tile_at, int first_kblock,
                           ring_of<Kblock, WEIGHTS, TOKENS, SPLIT, WAVES, RING> &lds,
                           const char *tokens, Offset offset, int present) {
  using ring = ring_of<Kblock, WEIGHTS, TOKENS, SPLIT, WAVES, RING>;
  constexpr int AHEAD = ring::AHEAD;
  static_assert(KBLOCKS % AHEAD == 0, "whole rounds");
  const int lane = lane_of_wave(), first_token = first_token_of_wave<TOKENS, SPLIT>();
  const auto columns_of = [&](int u) { return tokens + (first_kblock + u) * KBLOCK * 2; };
  loads_ahead<Kblock, WEIGHTS, ring> loads;
  Kblock now[WEIGHTS];
  loads.plan(tile_at, first_tile_of_wave<WEIGHTS, SPLIT>(), offset, present);
#pragma unroll
  for (int d = 0; d < AHEAD; d++)
    loads.start(lds, d, first_kblock + d, columns_of(d));
  sum.clear();
  loads.copy[0].finish();
  lds_barrier();
#pragma unroll 1
  for (int round = 0; round < KBLOCKS; round += AHEAD)
#pragma unroll
    for (int d = 0; d < AHEAD; d++) {
      const int u = round + d, ahead = u + AHEAD < KBLOCKS ? u + AHEAD : u, buffer = u % 2;
      const char *columns = columns_of(ahead);
#pragma unroll
      for (int f = 0; f < WEIGHTS; f++)
        now[f] = loads.next[d][f];
      const auto load = [&](int s, int n) {
        fragments both;
        const int octet = s * 4 + first_column(lane) / 4;
        both.set(0, lds.octet[buffer][octet][first_token + n * TILE +
                                             index_of_token(token_of_lane(lane, 0), octet)]);
        return both;
      };
      multiply_kblock(sum, now, load, [&](int part) {
        loads.start_part(lds, d, part, 2 * TOKENS, first_kblock + ahead, (u + AHEAD) % 2, columns);
      });
      keep_order();
      loads.copy[(d + 1) % AHEAD].finish();
      lds_barrier();
    }
}

// Declares `name`, the LDS that a kernel needs for its tiling.
#define TILING_LDS(Tiling, Kblock, name) __shared__ typename Tiling::template shared<Kblock> name

// Launches a kernel of a tiling on a grid of blocks, on the stream of the pass.
#define LAUNCH_TILING(pass, kernel, Tiling, Kblock, grid, ...)                                     \
  LAUNCH_STEP(pass, kernel, grid, Tiling::THREADS, __VA_ARGS__)

#endif
