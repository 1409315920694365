// Products of weights in tiles with 16-bit tokens, summed in FP32. The matrix kernels of precision
// `mixed` are built from them.
//
// A matrix instruction multiplies a fragment of weights (16 features by 16 columns) with a fragment
// of tokens (16 tokens by 16 columns). Of each, a lane holds 4 consecutive columns of HELD features
// or tokens. Of the sums it holds one quad for each of its HELD tokens: 4 consecutive features.
// feature_of_lane, token_of_lane and first_column say which ones. A quad of sums thus lies in a
// lane as 4 columns of a token do: the result of one product can be the operand of the next
// without leaving the registers.
//
// Two fragments lie side by side in memory: 32 columns, called a span. A kblock has two spans.
//
// Every sum runs over the columns in the same order, whatever the tiling. The result for a token
// depends neither on the number of other tokens nor on its position among them.
#ifndef GETP_TARGET_MIXED_MATRIX_H
#define GETP_TARGET_MIXED_MATRIX_H

#include "formats/tiles.h"
#include "target/mixed/machine.h"

constexpr int OCTETS = KBLOCK / 8; // of a token in a kblock; an octet is 8 halves, 16 bytes

DEVICE int wave_of_block() {
  return uniform((int)threadIdx.x / WAVE);
}

// What the calling wave begins with, within its block. SPLIT waves have the same WEIGHTS tiles of
// weights and divide the block's tokens, TOKENS tiles for each wave.
template <int WEIGHTS, int SPLIT> DEVICE int first_tile_of_wave() {
  return wave_of_block() / SPLIT * WEIGHTS;
}
template <int TOKENS, int SPLIT> DEVICE int first_token_of_wave() {
  return wave_of_block() % SPLIT * TOKENS * TILE;
}

// ---- weights ----

// One kblock of a tile as it lies in memory, and how it becomes fragments. A tile begins with the
// scales of its features (TILE_HEAD bytes); its kblocks follow.
struct f16_kblock {
  static constexpr int BYTES = F16_KBLOCK_BYTES, PARTS = 2; // PARTS: calls of load_part
  fragments span[2];                                        // columns 0..31, 32..63

  DEVICE_MEMBER void load_part(int s, const char *tile, int kblock) {
    span[s].load(tile + TILE_HEAD + kblock * BYTES + s * BYTES / 2, TILE * 16,
                 [](int h) { return (uint32_t)feature_of_lane(lane_of_wave(), h) * 16; });
  }
  DEVICE_MEMBER void load(const char *tile, int kblock) {
    for (int s = 0; s < PARTS; s++)
      load_part(s, tile, kblock);
  }
  template <int SPAN> DEVICE_MEMBER fragments expand() const {
    return span[SPAN];
  }
};

// Eight e2m1 codes, in the order of formats/tiles.h, as halves times 2^-14.
// MASK selects the sign, exponent and mantissa of two halves: from the codes, from the codes
// shifted by 8, and from both again with the bits reversed. Both halves of `scale` hold 2^14 times
// the scale of the columns.
DEVICE uint4 expand_codes(uint32_t codes, uint32_t scale) {
  constexpr uint32_t MASK = 0x8e008e00u;
  const uint32_t back = reverse_bits(codes);
  return make_uint4(multiply_halves(codes & MASK, scale), multiply_halves(codes << 8 & MASK, scale),
                    multiply_halves(back & MASK, scale), multiply_halves(back << 8 & MASK, scale));
}

struct mxfp4_kblock {
  static constexpr int BYTES = MXFP4_KBLOCK_BYTES, PARTS = 1;
  uint2 codes[HELD];
  uint32_t scales[HELD]; // one byte per span

  DEVICE_MEMBER void load(const char *tile, int kblock) {
    const int lane = lane_of_wave();
    const char *from = tile + TILE_HEAD + kblock * BYTES;
    for (int h = 0; h < HELD; h++) {
      const uint32_t feature = (uint32_t)feature_of_lane(lane, h);
      codes[h] =
          *(const uint2 *)(from +
                           offset_of_lane(((uint32_t)first_column(lane) / 4 * TILE + feature) * 8));
      scales[h] = *(const uint16_t *)(from + TILE * KBLOCK / 2 + offset_of_lane(feature * 2));
    }
  }
  DEVICE_MEMBER void load_part(int, const char *tile, int kblock) {
    load(tile, kblock);
  }
  template <int SPAN> DEVICE_MEMBER fragments expand() const {
    fragments both;
    for (int h = 0; h < HELD; h++)
      both.set(h, expand_codes(SPAN ? codes[h].y : codes[h].x, upper_bytes<SPAN>(scales[h])));
    return both;
  }
};

template <class Kblock> constexpr __device__ size_t tile_bytes(int kblocks) {
  return TILE_HEAD + (size_t)kblocks * Kblock::BYTES;
}

// The scales of the four features of a tile whose sums the lane holds.
template <class Kblock> DEVICE float4 tile_scales(const char *weights, int tile, int kblocks) {
  const float4 *scales = (const float4 *)(weights + tile * tile_bytes<Kblock>(kblocks));
  return scales[first_column(lane_of_wave()) / 4];
}

// Combines the values of the lanes that hold columns of the same token.
template <class Combine> DEVICE float across_columns(float value, Combine combine) {
  value = combine(value, __shfl_xor(value, COLUMN_STEP));
  return combine(value, __shfl_xor(value, 2 * COLUMN_STEP));
}

// ---- sums ----

// The sums of a wave: WEIGHTS tiles of weights by TOKENS tiles of tokens.
template <int WEIGHTS, int TOKENS> struct sums {
  quad at[WEIGHTS][TOKENS][HELD];
  DEVICE_MEMBER void clear() {
    for (int f = 0; f < WEIGHTS; f++)
      for (int n = 0; n < TOKENS; n++)
        for (int h = 0; h < HELD; h++)
          for (int i = 0; i < 4; i++)
            at[f][n][h][i] = 0;
  }
};

// sums += weights x tokens over one kblock; load(span, tile) returns fragments of tokens. The
// fragments of the next round are loaded before this round multiplies. begin(i) is called before
// round i of 2 TOKENS: what it loads from memory does not come in one burst.
template <class Kblock, int WEIGHTS, int TOKENS, class Load, class Begin>
DEVICE void multiply_kblock(sums<WEIGHTS, TOKENS> &sum, const Kblock (&kblock)[WEIGHTS], Load load,
                            Begin begin) {
  fragments weights[WEIGHTS], tokens, next = load(0, 0);
#pragma unroll
  for (int i = 0; i < 2 * TOKENS; i++) {
    tokens = next;
    if (i + 1 < 2 * TOKENS)
      next = load((i + 1) / TOKENS, (i + 1) % TOKENS);
    begin(i);
    keep_order();
    if (i % TOKENS == 0)
#pragma unroll
      for (int f = 0; f < WEIGHTS; f++)
        weights[f] = i == 0 ? kblock[f].template expand<0>() : kblock[f].template expand<1>();
#pragma unroll
    for (int j = 0; j < 2; j++)
#pragma unroll
      for (int f = 0; f < WEIGHTS; f++)
        multiply(sum.at[f][i % TOKENS], weights[f].fragment[j], tokens.fragment[j]);
  }
}

// The same when nothing else is loaded meanwhile.
template <class Kblock, int WEIGHTS, int TOKENS, class Load>
DEVICE void multiply_kblock(sums<WEIGHTS, TOKENS> &sum, const Kblock (&kblock)[WEIGHTS],
                            Load load) {
  multiply_kblock(sum, kblock, load, [](int) {});
}

// sums = weights x tokens over KBLOCKS kblocks from `first_kblock` on, for few tokens: everything
// comes straight from memory, and no wave waits for another. Token t begins at byte offset(t) of
// `tokens`, t < present; the sums of other tokens are meaningless. Weights are loaded WEIGHTS_AHEAD
// kblocks before they are multiplied. Tokens are loaded TOKENS_AHEAD kblocks before: other waves
// read them too, so that the cache has them. The loop advances by WEIGHTS_AHEAD kblocks, so that
// the offsets of its loads are constants.
template <class Kblock, int KBLOCKS, int WEIGHTS_AHEAD, int TOKENS_AHEAD, int WEIGHTS, int TOKENS,
          class Tile, class Offset>
DEVICE void product_direct(sums<WEIGHTS, TOKENS> &sum, Tile tile_at, int first_kblock,
                           const char *tokens, Offset offset, int present) {
  const int lane = lane_of_wave();
  const char *tile[WEIGHTS], *columns = tokens + first_kblock * KBLOCK * 2;
  uint32_t from[TOKENS][HELD];
  Kblock kblock[WEIGHTS_AHEAD][WEIGHTS];
  fragments token[TOKENS_AHEAD][2][TOKENS];
  const auto load_weights = [&](int u) {
#pragma unroll
    for (int f = 0; f < WEIGHTS; f++)
      kblock[u][f].load(tile[f], u);
  };
  const auto load_tokens = [&](int u) {
#pragma unroll
    for (int s = 0; s < 2; s++)
#pragma unroll
      for (int n = 0; n < TOKENS; n++)
        token[u % TOKENS_AHEAD][s][n].load(columns + u * KBLOCK * 2 + s * KBLOCK, 16,
                                           [&](int h) { return from[n][h]; });
  };
  const auto use = [&](int u) {
    multiply_kblock(sum, kblock[u], [&](int s, int n) { return token[u % TOKENS_AHEAD][s][n]; });
    keep_order();
  };
#pragma unroll
  for (int f = 0; f < WEIGHTS; f++)
    tile[f] = tile_at(wave_of_block() * WEIGHTS + f) + (size_t)first_kblock * Kblock::BYTES;
#pragma unroll
  for (int n = 0; n < TOKENS; n++)
#pragma unroll
    for (int h = 0; h < HELD; h++) {
      const int t = n * TILE + token_of_lane(lane, h);
      from[n][h] = offset(t < present ? t : present - 1);
    }
  sum.clear();
#pragma unroll
  for (int d = 0; d < WEIGHTS_AHEAD; d++) {
    load_weights(d);
    if (d < TOKENS_AHEAD)
      load_tokens(d);
  }
#pragma unroll 1
  for (int u = WEIGHTS_AHEAD; u < KBLOCKS; u += WEIGHTS_AHEAD) {
#pragma unroll
    for (int f = 0; f < WEIGHTS; f++)
      tile[f] += WEIGHTS_AHEAD * Kblock::BYTES;
#pragma unroll
    for (int d = 0; d < WEIGHTS_AHEAD; d++) {
      use(d);
      load_weights(d);
      load_tokens(d + TOKENS_AHEAD);
      keep_order();
    }
    columns += WEIGHTS_AHEAD * KBLOCK * 2;
  }
#pragma unroll
  for (int d = 0; d < WEIGHTS_AHEAD; d++) {
    use(d);
    if (d + TOKENS_AHEAD < WEIGHTS_AHEAD)
      load_tokens(d + TOKENS_AHEAD);
  }
}

#endif
