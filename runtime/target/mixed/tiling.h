// How the blocks of a matrix kernel share the work out, and what they do with the sums. The
// target's headers and matrix.h come first.
#ifndef GETP_TARGET_MIXED_TILING_H
#define GETP_TARGET_MIXED_TILING_H

#include "target/mixed/machine.h"
#include TARGET_STAGED

#include "target/mixed/vectors.h"

// ---- how a block shares a product out ----
// Each has the sums of a wave for FRAGS tiles of weights and TOKENS tiles of tokens, and says which
// of the block's they are; `shared` is the LDS that it needs. EARLY: its multiply calls
// await_inputs and let_next_begin once weights are on their way, the kernel does not.
// THROUGH_CACHE: all its loads.

// A block of WAVES waves. SPLIT of them share the same weights and split the tokens; RING units are
// in LDS.
template <int FRAGS, int TOKENS, int SPLIT, int WAVES, int RING> struct staged {
  static constexpr int THREADS = WAVES * WAVE, BLOCKS = residents(WAVES, FRAGS *(TOKENS + 2));
  static constexpr int WEIGHT_TILES = WAVES / SPLIT * FRAGS;
  static constexpr int TOKEN_ROWS = TOKENS * SPLIT * TILE;
  static constexpr int WIDTH = FRAGS, HEIGHT = TOKENS;
  static constexpr bool EARLY = false, THROUGH_CACHE = false;
  template <class Unit> using shared = stage_of<Unit, FRAGS, TOKENS, SPLIT, WAVES, RING>;
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
  template <class Unit, int UNITS, class Tile, class Row>
  DEVICE_MEMBER void multiply(Tile tile_at, int first_unit, shared<Unit> &stage, const char *tokens,
                              Row row, int present) {
    product_staged<Unit, UNITS, FRAGS, TOKENS, SPLIT, WAVES, RING>(sum, tile_at, first_unit, stage,
                                                                   tokens, row, present);
  }
};

// Waves on their own, for few tokens; waves of a block past WAVES have nothing to do.
template <int FRAGS, int TOKENS, int DEPTH, int NEAR, int WAVES> struct direct {
  static constexpr int THREADS = WAVES * WAVE, BLOCKS = residents(WAVES, 16);
  static constexpr int WEIGHT_TILES = WAVES * FRAGS, TOKEN_ROWS = TOKENS * TILE;
  static constexpr int WIDTH = FRAGS, HEIGHT = TOKENS;
  static constexpr bool EARLY = false, THROUGH_CACHE = true;
  struct nothing {};
  template <class Unit> using shared = nothing;
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
  template <class Unit, int UNITS, class Tile, class Row>
  DEVICE_MEMBER void multiply(Tile tile_at, int first_unit, nothing &, const char *tokens, Row row,
                              int present) {
    product_direct<Unit, UNITS, DEPTH, NEAR, FRAGS, TOKENS>(sum, tile_at, first_unit, tokens, row,
                                                            present);
  }
};

// share's sums = the product of its tiles of weights, the block's beginning with `first_tile` of
// TILES, and tokens at bytes row(0) .. row(present - 1) of `tokens`, over UNITS units of all
// UNITS_A_TILE. False: this wave has no part in it. A tile past the last stands for the last.
template <class Unit, int TILES, int UNITS_A_TILE, int UNITS, class Share, class Row>
DEVICE bool multiply_tiles(Share &share, const char *weights, int first_tile, int first_unit,
                           typename Share::template shared<Unit> &stage, const void *tokens,
                           Row row, int present) {
  if (share.idles())
    return false;
  const auto tile_at = [&](int i) {
    const int tile = first_tile + i < TILES ? first_tile + i : TILES - 1;
    return weights + (size_t)tile * tile_bytes<Unit>(UNITS_A_TILE);
  };
  share.template multiply<Unit, UNITS>(tile_at, first_unit, stage, (const char *)tokens, row,
                                       present);
  return true;
}

// What a kernel needs besides the sums of a lane: the scales of the weights' rows, what row_of says
// of each row and the three behind it, and what token_of says of each token of the block. An EARLY
// share loads it before its product, so it must not be what the step before wrote; others behind
// it.
template <class Unit, int TILES, int UNITS_A_TILE, class Share, class RowOf, class TokenOf>
struct quad_context {
  const char *weights;
  int first_tile;
  RowOf row_of;
  TokenOf token_of;
  decltype(token_of(0)) token[Share::HEIGHT][HELD];
  decltype(row_of(0)) row[Share::WIDTH];
  float4 scale[Share::WIDTH];

  DEVICE_MEMBER quad_context(const char *of_weights, int first, RowOf of_row, TokenOf of_token)
      : weights(of_weights), first_tile(first), row_of(of_row), token_of(of_token) {
    if (Share::EARLY)
      load();
  }
  DEVICE_MEMBER int token_at(int n, int h) const {
    return Share::first_token() + n * TILE + token_row(lane_of_wave(), h);
  }
  DEVICE_MEMBER int tile_at(int f) const {
    return first_tile + Share::first_tile() + f;
  }
  DEVICE_MEMBER void load() {
#pragma unroll
    for (int n = 0; n < Share::HEIGHT; n++)
#pragma unroll
      for (int h = 0; h < HELD; h++)
        token[n][h] = token_of(token_at(n, h));
#pragma unroll
    for (int f = 0; f < Share::WIDTH; f++) {
      const int tile = tile_at(f) < TILES ? tile_at(f) : TILES - 1;
      scale[f] = tile_scales<Unit>(weights, tile, UNITS_A_TILE);
      row[f] = row_of(tile * TILE + first_column(lane_of_wave()));
    }
  }
};

template <class Unit, int TILES, int UNITS_A_TILE, class Share, class RowOf, class TokenOf>
DEVICE auto context_of(const Share &, const char *weights, int first_tile, RowOf row_of,
                       TokenOf token_of) {
  return quad_context<Unit, TILES, UNITS_A_TILE, Share, RowOf, TokenOf>(weights, first_tile, row_of,
                                                                        token_of);
}

// take(row of the weights, what is known of it, token of the block, what is known of it, four sums
// of that row and the next, scaled) for all of the lane's sums but those of tiles past the last.
template <class Unit, int TILES, int UNITS_A_TILE, class Share, class RowOf, class TokenOf,
          class Take>
DEVICE void each_quad(Share &share,
                      quad_context<Unit, TILES, UNITS_A_TILE, Share, RowOf, TokenOf> &context,
                      Take take) {
  if (!Share::EARLY)
    context.load();
#pragma unroll
  for (int f = 0; f < Share::WIDTH; f++) {
    if (context.tile_at(f) >= TILES)
      break;
#pragma unroll
    for (int n = 0; n < Share::HEIGHT; n++)
#pragma unroll
      for (int h = 0; h < HELD; h++) {
        quad &q = share.sum.at[f][n][h];
        const float4 scale = context.scale[f];
        take(context.tile_at(f) * TILE + first_column(lane_of_wave()), context.row[f],
             context.token_at(n, h), context.token[n][h],
             make_float4(q[0] * scale.x, q[1] * scale.y, q[2] * scale.z, q[3] * scale.w));
      }
  }
}

// Of a row or a token of which there is nothing to load.
struct no_context {};

// A kernel has the shared memory of its highest share, and so for all.
template <class Share, class Highest, class Unit> constexpr bool fits() {
  return sizeof(typename Share::template shared<Unit>) <=
             sizeof(typename Highest::template shared<Unit>) &&
         Share::THREADS <= Highest::THREADS && Share::WEIGHT_TILES == Highest::WEIGHT_TILES;
}

// Blocks of a work item and some weights: of those that run at the same time most share the
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

// The blocks of a share that cover so many tiles of weights, or tokens.
template <class Share> constexpr unsigned weight_blocks(int tiles) {
  return (unsigned)((tiles + Share::WEIGHT_TILES - 1) / Share::WEIGHT_TILES);
}
template <class Share> constexpr unsigned token_blocks(int tokens) {
  return (unsigned)((tokens + Share::TOKEN_ROWS - 1) / Share::TOKEN_ROWS);
}

#endif
