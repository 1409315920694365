// How the blocks of a matrix kernel tiling the work out, and what they do with the sums. The
// target's headers and matrix.h come first.
#ifndef GETP_TARGET_MIXED_TILING_H
#define GETP_TARGET_MIXED_TILING_H

#include "target/mixed/machine.h"
#include TARGET_STAGED

#include "target/mixed/vectors.h"

// ---- how a block tilings a product out ----
// Each has the sums of a wave for FRAGS tiles of weights and TOKENS tiles of tokens, and says which
// of the block's they are; `shared` is the LDS that it needs. EARLY: its multiply calls
// await_inputs and let_next_begin once weights are on their way, the kernel does not.
// THROUGH_CACHE: all its loads.

// A block of WAVES waves. SPLIT of them tiling the same weights and split the tokens; RING kblocks
// are in LDS.
template <int FRAGS, int TOKENS, int SPLIT, int WAVES, int RING> struct staged {
  static constexpr int THREADS = WAVES * WAVE, BLOCKS = residents(WAVES, FRAGS *(TOKENS + 2));
  static constexpr int WEIGHT_TILES = WAVES / SPLIT * FRAGS;
  static constexpr int TOKEN_ROWS = TOKENS * SPLIT * TILE;
  static constexpr int WIDTH = FRAGS, HEIGHT = TOKENS;
  static constexpr bool EARLY = false, THROUGH_CACHE = false;
  template <class Kblock> using shared = ring_of<Kblock, FRAGS, TOKENS, SPLIT, WAVES, RING>;
  sums<FRAGS, TOKENS> sum;

  static DEVICE_MEMBER int first_tile() {
    return first_tile_of_wave<FRAGS, SPLIT>();
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
    product_staged<Kblock, KBLOCKS, FRAGS, TOKENS, SPLIT, WAVES, RING>(
        sum, tile_at, first_kblock, lds, tokens, offset, present);
  }
};

// Waves on their own, for few tokens; waves of a block past WAVES have nothing to do.
template <int FRAGS, int TOKENS, int DEPTH, int NEAR, int WAVES> struct direct {
  static constexpr int THREADS = WAVES * WAVE, BLOCKS = residents(WAVES, 16);
  static constexpr int WEIGHT_TILES = WAVES * FRAGS, TOKEN_ROWS = TOKENS * TILE;
  static constexpr int WIDTH = FRAGS, HEIGHT = TOKENS;
  static constexpr bool EARLY = false, THROUGH_CACHE = true;
  struct nothing {};
  template <class Kblock> using shared = nothing;
  sums<FRAGS, TOKENS> sum;

  static DEVICE_MEMBER int first_tile() {
    return wave_of_block() * FRAGS;
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
    product_direct<Kblock, KBLOCKS, DEPTH, NEAR, FRAGS, TOKENS>(sum, tile_at, first_kblock, tokens,
                                                                offset, present);
  }
};

// tiling's sums = the product of its tiles of weights, the block's beginning with `first_tile` of
// TILES, and tokens at bytes offset(0) .. offset(present - 1) of `tokens`, over KBLOCKS kblocks of
// all KBLOCKS_PER_TILE. False: this wave has no part in it. A tile past the last stands for the
// last.
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

// What a kernel needs besides the sums of a lane: the scales of the weights' rows, what
// weight_context says of each feature and the three after it, and what token_context says of each
// token of the block. An EARLY tiling loads it before its product, so it must not be what the step
// before wrote; others behind it.
template <class Kblock, int TILES, int KBLOCKS_PER_TILE, class Tiling, class WeightContext,
          class TokenContext>
struct quad_context {
  const char *weights;
  int first_tile;
  WeightContext weight_context;
  TokenContext token_context;
  decltype(token_context(0)) token[Tiling::HEIGHT][HELD];
  decltype(weight_context(0)) weight[Tiling::WIDTH];
  float4 scale[Tiling::WIDTH];

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
    for (int n = 0; n < Tiling::HEIGHT; n++)
#pragma unroll
      for (int h = 0; h < HELD; h++)
        token[n][h] = token_context(token_at(n, h));
#pragma unroll
    for (int f = 0; f < Tiling::WIDTH; f++) {
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

// use(feature of the weights, what is known of it, token of the block, what is known of it, four
// sums of that feature and the next, scaled) for all of the lane's sums but those of tiles past the
// last.
template <class Kblock, int TILES, int KBLOCKS_PER_TILE, class Tiling, class WeightContext,
          class TokenContext, class Use>
DEVICE void each_quad(
    Tiling &tiling,
    quad_context<Kblock, TILES, KBLOCKS_PER_TILE, Tiling, WeightContext, TokenContext> &context,
    Use use) {
  if (!Tiling::EARLY)
    context.load();
#pragma unroll
  for (int f = 0; f < Tiling::WIDTH; f++) {
    if (context.tile_at(f) >= TILES)
      break;
#pragma unroll
    for (int n = 0; n < Tiling::HEIGHT; n++)
#pragma unroll
      for (int h = 0; h < HELD; h++) {
        quad &q = tiling.sum.at[f][n][h];
        const float4 scale = context.scale[f];
        use(context.tile_at(f) * TILE + first_column(lane_of_wave()), context.weight[f],
            context.token_at(n, h), context.token[n][h],
            make_float4(q[0] * scale.x, q[1] * scale.y, q[2] * scale.z, q[3] * scale.w));
      }
  }
}

// A feature or a token that needs nothing loaded.
struct no_context {};

// A kernel has the shared memory of its highest tiling, and so for all.
template <class Tiling, class Highest, class Kblock> constexpr bool fits() {
  return sizeof(typename Tiling::template shared<Kblock>) <=
             sizeof(typename Highest::template shared<Kblock>) &&
         Tiling::THREADS <= Highest::THREADS && Tiling::WEIGHT_TILES == Highest::WEIGHT_TILES;
}

// Blocks of a work item and some weights: of those that run at the same time most tiling the
// weights, or else the item's tokens. MANY: of passes with more than a few rows.
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

// The blocks of a tiling that cover so many tiles of weights, or tokens.
template <class Tiling> constexpr unsigned weight_blocks(int tiles) {
  return (unsigned)((tiles + Tiling::WEIGHT_TILES - 1) / Tiling::WEIGHT_TILES);
}
template <class Tiling> constexpr unsigned token_blocks(int tokens) {
  return (unsigned)((tokens + Tiling::TOKEN_ROWS - 1) / Tiling::TOKEN_ROWS);
}

#endif
