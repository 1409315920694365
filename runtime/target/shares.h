// How the blocks of a matrix kernel share the work out, and what they do with the sums. The target's headers
// and matrix.h come first.
#ifndef GETP_TARGET_SHARES_H
#define GETP_TARGET_SHARES_H

// ---- how a block shares a product out ----
// Each has the sums of a wave for FRAGS tiles of weights and TOKENS tiles of tokens, and says which of the
// block's they are; `shared` is the LDS that it needs.

// A block of several waves. SPLIT of them share the same weights and split the tokens.
template <int FRAGS, int TOKENS, int SPLIT> struct staged {
  static constexpr int THREADS = MATRIX_BLOCK, BLOCKS = residents(MATRIX_BLOCK / WAVE);
  static constexpr int WEIGHT_TILES = THREADS / WAVE / SPLIT * FRAGS;
  static constexpr int TOKEN_ROWS = TOKENS * SPLIT * TILE;
  static constexpr int WIDTH = FRAGS, HEIGHT = TOKENS;
  template <class Unit> using shared = stage_of<Unit, FRAGS, TOKENS, SPLIT>;
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
  DEVICE_MEMBER void multiply(Tile tile_at, int first_unit, shared<Unit> &stage, const char *tokens, Row row) {
    product_staged<Unit, UNITS, FRAGS, TOKENS, SPLIT>(sum, tile_at, first_unit, stage, tokens, row);
  }
};

// Waves on their own, for few tokens; waves of a block past WAVES have nothing to do.
template <int FRAGS, int TOKENS, int DEPTH, int WAVES> struct direct {
  static constexpr int THREADS = WAVES * WAVE, BLOCKS = residents(WAVES);
  static constexpr int WEIGHT_TILES = WAVES * FRAGS, TOKEN_ROWS = TOKENS * TILE;
  static constexpr int WIDTH = FRAGS, HEIGHT = TOKENS;
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
  DEVICE_MEMBER void multiply(Tile tile_at, int first_unit, nothing &, const char *tokens, Row row) {
    product_direct<Unit, UNITS, DEPTH, FRAGS, TOKENS>(sum, tile_at, first_unit, tokens, row);
  }
};

// share's sums = the product of its tiles of weights, the block's beginning with `first_tile` of TILES, and
// tokens at bytes row(0), row(1), ... of `tokens`, over UNITS units of all UNITS_A_TILE. False: this wave has no part in it. A tile
// past the last stands for the last.
template <class Unit, int TILES, int UNITS_A_TILE, int UNITS, class Share, class Row>
DEVICE bool multiply_tiles(Share &share, const char *weights, int first_tile, int first_unit,
                           typename Share::template shared<Unit> &stage, const void *tokens, Row row) {
  if (share.idles())
    return false;
  const auto tile_at = [&](int i) {
    const int tile = first_tile + i < TILES ? first_tile + i : TILES - 1;
    return weights + (size_t)tile * tile_bytes<Unit>(UNITS_A_TILE);
  };
  share.template multiply<Unit, UNITS>(tile_at, first_unit, stage, (const char *)tokens, row);
  return true;
}

// take(row of the weights, token of the block, four sums of that row and the next, scaled) for all of the
// lane's sums but those of tiles past the last.
template <class Unit, int TILES, int UNITS_A_TILE, class Share, class Take>
DEVICE void each_quad(Share &share, const char *weights, int first_tile, Take take) {
  const int first = first_tile + share.first_tile(), column = first_column(lane_of_wave());
#pragma unroll
  for (int f = 0; f < Share::WIDTH; f++) {
    if (first + f >= TILES)
      break;
    const float4 scale = tile_scales<Unit>(weights, first + f, UNITS_A_TILE);
#pragma unroll
    for (int n = 0; n < Share::HEIGHT; n++)
#pragma unroll
      for (int h = 0; h < HELD; h++) {
        quad &q = share.sum.at[f][n][h];
        take((first + f) * TILE + column, share.first_token() + n * TILE + token_row(lane_of_wave(), h),
             make_float4(q[0] * scale.x, q[1] * scale.y, q[2] * scale.z, q[3] * scale.w));
      }
  }
}

// Starts a kernel of a share on a grid that covers TILES tiles of weights, `rows` rows of blocks and `depth` layers.
#define LAUNCH_GRID(pass, kernel, Share, Unit, tiles, rows, depth, ...)                            \
  do {                                                                                             \
    allow_dynamic_bytes(kernel, DYNAMIC_BYTES(Share, Unit));                                       \
    hipLaunchKernelGGL(kernel,                                                                     \
                       dim3((unsigned)(((tiles) + Share::WEIGHT_TILES - 1) / Share::WEIGHT_TILES), \
                            (unsigned)(rows), (unsigned)(depth)),                                  \
                       dim3(Share::THREADS), DYNAMIC_BYTES(Share, Unit),                           \
                       (hipStream_t)(pass)->stream, __VA_ARGS__);                                  \
  } while (0)

// The same for tokens in their order.
#define LAUNCH_TILES(pass, kernel, Share, Unit, tiles, tokens, depth, ...)                         \
  LAUNCH_GRID(pass, kernel, Share, Unit, tiles,                                                    \
              ((tokens) + Share::TOKEN_ROWS - 1) / Share::TOKEN_ROWS, depth, __VA_ARGS__)

#endif
