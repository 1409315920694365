// Tilings: how the blocks of a matrix kernel divide its product, and how a kernel uses the sums.
#ifndef GETP_TARGET_MIXED_TILING_H
#define GETP_TARGET_MIXED_TILING_H

#include "target/mixed/machine.h"
#include TARGET_STAGED

#include "target/mixed/vectors.h"

// ---- the tilings ----
// A tiling is a type. Its object holds the sums of one wave. Its members:
//   THREADS, BLOCKS          the arguments of __launch_bounds__
//   BLOCK_TILES              tiles of weights of a block
//   BLOCK_TOKENS             tokens of a block
//   WAVE_TILES, WAVE_TOKENS  tiles of weights and tiles of tokens of a wave
//   shared<Kblock>           the shared memory (LDS) of a block
//   first_tile, first_token  what the wave begins with, within its block
//   idles                    true if the wave has nothing to multiply
//   multiply                 computes the sums
//   EARLY                    multiply calls await_inputs and let_next_begin itself, once its first
//                            weights are being loaded; otherwise the kernel calls them before
//   THROUGH_CACHE            all loads go through the cache, none through shared memory

// Tokens, and on some machines weights, go through a ring of RING kblocks in shared memory. A block
// has WAVES waves. SPLIT of them have the same WEIGHTS tiles of weights and divide the block's
// tokens, TOKENS tiles for each wave.
template <int WEIGHTS, int TOKENS, int SPLIT, int WAVES, int RING> struct staged {
  static constexpr int THREADS = WAVES * WAVE, BLOCKS = residents(WAVES, WEIGHTS *(TOKENS + 2));
  static constexpr int BLOCK_TILES = WAVES / SPLIT * WEIGHTS, BLOCK_TOKENS = TOKENS * SPLIT * TILE;
  static constexpr int WAVE_TILES = WEIGHTS, WAVE_TOKENS = TOKENS;
  static constexpr bool EARLY = false, THROUGH_CACHE = false;
  template <class Kblock> using shared = ring_of<Kblock, WEIGHTS, TOKENS, SPLIT, WAVES, RING>;
  sums<WEIGHTS, TOKENS> sum;

  static DEVICE_MEMBER int first_tile() {
    return first_tile_of_wave<WEIGHTS, SPLIT>();
  }
  static DEVICE_MEMBER int first_token() {
    return first_token_of_wave<TOKENS, SPLIT>();
  }
  static DEVICE_MEMBER bool idles() {
    return false;
  }
  template <class Kblock, int KBLOCKS, class Tile, class Offset>
  DEVICE_MEMBER void multiply(Tile tile_at, int first_kblock, shared<Kblock> &lds,
                              const char *tokens, Offset offset, int present) {
    product_staged<Kblock, KBLOCKS, WEIGHTS, TOKENS, SPLIT, WAVES, RING>(
        sum, tile_at, first_kblock, lds, tokens, offset, present);
  }
};

// For few tokens: each wave multiplies on its own (product_direct). The block of an expert kernel
// may have more than WAVES waves; the others idle.
template <int WEIGHTS, int TOKENS, int WEIGHTS_AHEAD, int TOKENS_AHEAD, int WAVES> struct direct {
  static constexpr int THREADS = WAVES * WAVE, BLOCKS = residents(WAVES, 16);
  static constexpr int BLOCK_TILES = WAVES * WEIGHTS, BLOCK_TOKENS = TOKENS * TILE;
  static constexpr int WAVE_TILES = WEIGHTS, WAVE_TOKENS = TOKENS;
  static constexpr bool EARLY = false, THROUGH_CACHE = true;
  struct nothing {};
  template <class Kblock> using shared = nothing;
  sums<WEIGHTS, TOKENS> sum;

  static DEVICE_MEMBER int first_tile() {
    return wave_of_block() * WEIGHTS;
  }
  static DEVICE_MEMBER int first_token() {
    return 0;
  }
  static DEVICE_MEMBER bool idles() {
    return wave_of_block() >= WAVES;
  }
  template <class Kblock, int KBLOCKS, class Tile, class Offset>
  DEVICE_MEMBER void multiply(Tile tile_at, int first_kblock, nothing &, const char *tokens,
                              Offset offset, int present) {
    static_assert(KBLOCKS % WEIGHTS_AHEAD == 0 && WEIGHTS_AHEAD % TOKENS_AHEAD == 0,
                  "whole rounds");
    product_direct<Kblock, KBLOCKS, WEIGHTS_AHEAD, TOKENS_AHEAD, WEIGHTS, TOKENS>(
        sum, tile_at, first_kblock, tokens, offset, present);
  }
};

// The numbers of blocks that cover all tiles of weights, and all tokens.
template <class Tiling> constexpr unsigned weight_blocks(int tiles) {
  return (unsigned)((tiles + Tiling::BLOCK_TILES - 1) / Tiling::BLOCK_TILES);
}
template <class Tiling> constexpr unsigned token_blocks(int tokens) {
  return (unsigned)((tokens + Tiling::BLOCK_TOKENS - 1) / Tiling::BLOCK_TOKENS);
}

// ---- the product ----

// Computes the sums of a wave: its tiles of weights by tokens, over KBLOCKS of KBLOCKS_PER_TILE
// kblocks. `first_tile` of TILES is the block's first tile; a tile past the last one is replaced by
// the last. Token t begins at byte offset(t) of `tokens`, t < present. Returns false if the wave
// has no sums.
template <class Kblock, int TILES, int KBLOCKS_PER_TILE, int KBLOCKS, class Tiling, class Offset>
DEVICE bool multiply_tiles(Tiling &tiling, const char *weights, int first_tile, int first_kblock,
                           typename Tiling::template shared<Kblock> &lds, const void *tokens,
                           Offset offset, int present) {
  if (tiling.idles())
    return false;
  const auto tile_at = [&](int i) {
    const int tile = first_tile + i < TILES ? first_tile + i : TILES - 1;
    return weights + (size_t)tile * tile_bytes<Kblock>(KBLOCKS_PER_TILE);
  };
  tiling.template multiply<Kblock, KBLOCKS>(tile_at, first_kblock, lds, (const char *)tokens,
                                            offset, present);
  return true;
}

// ---- the use of its sums ----

// The context of a feature or a token for which a kernel loads nothing.
struct no_context {};

// What a kernel loads to use the sums of a lane: the scale of each feature; weight_context(n), what
// the kernel needs of features n..n+3; and token_context(t), what it needs of token t of the block.
// An EARLY tiling loads all this before its product, hence before await_inputs: the previous step
// must not write it. Other tilings load it after the product.
template <class Kblock, int TILES, int KBLOCKS_PER_TILE, class Tiling, class WeightContext,
          class TokenContext>
struct quad_context {
  const char *weights;
  int first_tile;
  WeightContext weight_context;
  TokenContext token_context;
  decltype(token_context(0)) token[Tiling::WAVE_TOKENS][HELD];
  decltype(weight_context(0)) weight[Tiling::WAVE_TILES];
  float4 scale[Tiling::WAVE_TILES];

  DEVICE_MEMBER quad_context(const char *of_weights, int first, WeightContext of_weight,
                             TokenContext of_token)
      : weights(of_weights), first_tile(first), weight_context(of_weight), token_context(of_token) {
    if (Tiling::EARLY)
      load();
  }
  DEVICE_MEMBER int token_at(int n, int h) const {
    return Tiling::first_token() + n * TILE + token_of_lane(lane_of_wave(), h);
  }
  DEVICE_MEMBER int tile_at(int f) const {
    return first_tile + Tiling::first_tile() + f;
  }
  DEVICE_MEMBER void load() {
#pragma unroll
    for (int n = 0; n < Tiling::WAVE_TOKENS; n++)
#pragma unroll
      for (int h = 0; h < HELD; h++)
        token[n][h] = token_context(token_at(n, h));
#pragma unroll
    for (int f = 0; f < Tiling::WAVE_TILES; f++) {
      const int tile = tile_at(f) < TILES ? tile_at(f) : TILES - 1;
      scale[f] = tile_scales<Kblock>(weights, tile, KBLOCKS_PER_TILE);
      weight[f] = weight_context(tile * TILE + first_column(lane_of_wave()));
    }
  }
};

template <class Kblock, int TILES, int KBLOCKS_PER_TILE, class Tiling, class WeightContext,
          class TokenContext>
DEVICE auto context_of(const Tiling &, const char *weights, int first_tile,
                       WeightContext weight_context, TokenContext token_context) {
  return quad_context<Kblock, TILES, KBLOCKS_PER_TILE, Tiling, WeightContext, TokenContext>(
      weights, first_tile, weight_context, token_context);
}

// Moves the rows of an array to the index before their own, the first row to the end.
template <class T, int N, int M> DEVICE void advance_rows(T (&row)[N][M]) {
#pragma unroll
  for (int j = 0; j < M; j++) {
    const T first = row[0][j];
#pragma unroll
    for (int i = 0; i + 1 < N; i++)
      row[i][j] = row[i + 1][j];
    row[N - 1][j] = first;
  }
}

// Calls use(n, weight_context(n), t, token_context(t), sums) for every quad of the lane: the scaled
// sums of features n..n+3 for token t of the block. Tiles past the last one are left out, tokens
// past the last one are not. With ROLLED_USE the tokens of a tile are a loop: registers have no
// index, so the next token moves to those of the first one.
template <class Kblock, int TILES, int KBLOCKS_PER_TILE, class Tiling, class WeightContext,
          class TokenContext, class Use>
DEVICE void each_quad(
    Tiling &tiling,
    quad_context<Kblock, TILES, KBLOCKS_PER_TILE, Tiling, WeightContext, TokenContext> &context,
    Use use) {
  constexpr int TOKENS = Tiling::WAVE_TOKENS;
  if (!Tiling::EARLY)
    context.load();
#pragma unroll
  for (int f = 0; f < Tiling::WAVE_TILES; f++) {
    if (context.tile_at(f) >= TILES)
      break;
    const float4 scale = context.scale[f];
    const auto use_token = [&](int n, int at) {
#pragma unroll
      for (int h = 0; h < HELD; h++) {
        quad &q = tiling.sum.at[f][at][h];
        use(context.tile_at(f) * TILE + first_column(lane_of_wave()), context.weight[f],
            context.token_at(n, h), context.token[at][h],
            make_float4(q[0] * scale.x, q[1] * scale.y, q[2] * scale.z, q[3] * scale.w));
      }
    };
    if (ROLLED_USE) {
#pragma unroll 1
      for (int n = 0; n < TOKENS; n++) {
        use_token(n, 0);
        advance_rows(tiling.sum.at[f]);
        advance_rows(context.token);
      }
    } else {
#pragma unroll
      for (int n = 0; n < TOKENS; n++)
        use_token(n, n);
    }
  }
}

// ---- expert matrices ----

// True if a block of tiling Highest has room for Tiling, with as many tiles of weights: one launch
// then serves items of either.
template <class Tiling, class Highest, class Kblock> constexpr bool fits() {
  return sizeof(typename Tiling::template shared<Kblock>) <=
             sizeof(typename Highest::template shared<Kblock>) &&
         Tiling::THREADS <= Highest::THREADS && Tiling::BLOCK_TILES == Highest::BLOCK_TILES;
}

// Which block of a grid has which work item and which tiles of weights. Blocks with neighbouring
// numbers run at the same time: they have the same tiles and different items if there are MANY
// items and the machine has ITEMS_FIRST, otherwise the same item and different tiles.
template <bool MANY> struct item_order {
  static constexpr bool ITEMS = MANY && ITEMS_FIRST;
  static DEVICE_MEMBER int item() {
    return (int)(ITEMS ? blockIdx.x : blockIdx.y);
  }
  static DEVICE_MEMBER int weights() {
    return (int)(ITEMS ? blockIdx.y : blockIdx.x);
  }
  static dim3 grid(unsigned weights, int items) {
    return ITEMS ? dim3((unsigned)items, weights) : dim3(weights, (unsigned)items);
  }
};

#endif
