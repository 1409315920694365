// Products of weights in tiles with 16-bit tokens, sums in FP32: what the matrix kernels of
// precision `mixed` are made of, on the primitives of the target's header, which comes first.
//
// A matrix instruction multiplies a fragment of weights, 16 rows by 16 columns, with a fragment of
// 16 tokens. A lane holds HELD parts of each, 4 consecutive columns of one row; of the sums it
// holds, for HELD tokens, 4 consecutive rows (a quad). feature_of_lane, token_of_lane and
// first_column say which. So the sums of a lane are, as columns, what it holds of a fragment of
// tokens: the result of one product can be the operand of the next without leaving the registers.
//
// Every sum runs over the columns in the same order, whatever the tile: the result for a token does
// not depend on how many others there are, or where it stands among them.
#ifndef GETP_TARGET_MIXED_MATRIX_H
#define GETP_TARGET_MIXED_MATRIX_H

#include "formats/tiles.h"
#include "target/mixed/machine.h"

constexpr int OCTETS = KBLOCK / 8; // 16 bytes each, of a token

DEVICE int wave_of_block() {
  return uniform((int)threadIdx.x / WAVE);
}

// A block's waves that tiling its tiles of weights, so many for each, and those that split its
// tokens.
template <int FRAGS, int SPLIT> DEVICE int first_tile_of_wave() {
  return wave_of_block() / SPLIT * FRAGS;
}
template <int TOKENS, int SPLIT> DEVICE int first_token_of_wave() {
  return wave_of_block() % SPLIT * TOKENS * TILE;
}

// ---- weights ----

// One kblock of a tile as it comes from memory, and how to make fragments of it. Tile: 64 bytes
// with the scale of each row, then its kblocks.
struct f16_kblock {
  static constexpr int BYTES = F16_KBLOCK_BYTES;
  fragments half[2]; // columns 0..31, 32..63

  DEVICE_MEMBER void load(const char *tile, int kblock) {
    for (int s = 0; s < 2; s++)
      half[s].load(tile + TILE_HEAD + kblock * BYTES + s * BYTES / 2, TILE * 16,
                   [](int h) { return (uint32_t)feature_of_lane(lane_of_wave(), h) * 16; });
  }
  template <int S> DEVICE_MEMBER fragments expand() const {
    return half[S];
  }
};

// Eight e2m1 codes in the order that the pack step leaves them in: under this mask, as they are,
// shifted by 8, and so again with the bits reversed, each half is sign, exponent and mantissa of an
// f16, 2^-14 times the code's value. `scale` has 2^14 times the scale of the columns in both
// halves.
DEVICE uint4 expand_codes(uint32_t codes, uint32_t scale) {
  constexpr uint32_t MASK = 0x8e008e00u;
  const uint32_t back = reverse_bits(codes);
  return make_uint4(multiply_halves(codes & MASK, scale), multiply_halves(codes << 8 & MASK, scale),
                    multiply_halves(back & MASK, scale), multiply_halves(back << 8 & MASK, scale));
}

struct mxfp4_kblock {
  static constexpr int BYTES = MXFP4_KBLOCK_BYTES;
  uint2 codes[HELD];
  uint32_t scales[HELD]; // bytes: columns 0..31, 32..63

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
  template <int S> DEVICE_MEMBER fragments expand() const {
    fragments both;
    for (int h = 0; h < HELD; h++)
      both.set(h, expand_codes(S ? codes[h].y : codes[h].x, upper_bytes<S>(scales[h])));
    return both;
  }
};

template <class Kblock> constexpr __device__ size_t tile_bytes(int kblocks) {
  return TILE_HEAD + (size_t)kblocks * Kblock::BYTES;
}

// The scales of the four rows of a tile whose sums a lane holds.
template <class Kblock> DEVICE float4 tile_scales(const char *weights, int tile, int kblocks) {
  const float4 *scales = (const float4 *)(weights + tile * tile_bytes<Kblock>(kblocks));
  return scales[first_column(lane_of_wave()) / 4];
}

// Combines over the lanes that hold parts of one token.
template <class Combine> DEVICE float across_columns(float value, Combine combine) {
  value = combine(value, __shfl_xor(value, COLUMN_STEP));
  return combine(value, __shfl_xor(value, 2 * COLUMN_STEP));
}

// ---- sums ----

// The sums of FRAGS fragments of weights and TOKENS fragments of tokens.
template <int FRAGS, int TOKENS> struct sums {
  quad at[FRAGS][TOKENS][HELD];
  DEVICE_MEMBER void clear() {
    for (int f = 0; f < FRAGS; f++)
      for (int n = 0; n < TOKENS; n++)
        for (int h = 0; h < HELD; h++)
          for (int i = 0; i < 4; i++)
            at[f][n][h][i] = 0;
  }
};

// sums += weights x tokens over a kblock; load(half, tile) are fragments of tokens. What the next
// step needs is asked for before this step multiplies.
template <class Kblock, int FRAGS, int TOKENS, class Load>
DEVICE void multiply_kblock(sums<FRAGS, TOKENS> &sum, const Kblock (&kblock)[FRAGS], Load load) {
  fragments weights[FRAGS], tokens, next = load(0, 0);
#pragma unroll
  for (int i = 0; i < 2 * TOKENS; i++) {
    tokens = next;
    if (i + 1 < 2 * TOKENS)
      next = load((i + 1) / TOKENS, (i + 1) % TOKENS);
    keep_order();
    if (i % TOKENS == 0)
#pragma unroll
      for (int f = 0; f < FRAGS; f++)
        weights[f] = i == 0 ? kblock[f].template expand<0>() : kblock[f].template expand<1>();
#pragma unroll
    for (int part = 0; part < 2; part++)
#pragma unroll
      for (int f = 0; f < FRAGS; f++)
        multiply(sum.at[f][i % TOKENS], weights[f].part[part], tokens.part[part]);
  }
}

// sums = weights x tokens over KBLOCKS kblocks from `first_kblock` on, for few tokens: all straight
// from memory, no wave waits for another. Token t begins at byte offset(t) of `tokens`, t <
// present; the sums of others mean nothing. Weights are asked for DEPTH kblocks ahead, tokens,
// which other waves need too and have brought near, NEAR kblocks. The loop goes DEPTH kblocks at a
// time, so that places in them are constants of the loads.
template <class Kblock, int KBLOCKS, int DEPTH, int NEAR, int FRAGS, int TOKENS, class Tile,
          class Offset>
DEVICE void product_direct(sums<FRAGS, TOKENS> &sum, Tile tile_at, int first_kblock,
                           const char *tokens, Offset offset, int present) {
  static_assert(KBLOCKS % DEPTH == 0 && DEPTH % NEAR == 0, "whole rounds");
  const int lane = lane_of_wave();
  const char *tile[FRAGS], *columns = tokens + first_kblock * KBLOCK * 2;
  uint32_t from[TOKENS][HELD];
  Kblock kblock[DEPTH][FRAGS];
  fragments token[NEAR][2][TOKENS];
  const auto load_weights = [&](int slot) {
#pragma unroll
    for (int f = 0; f < FRAGS; f++)
      kblock[slot][f].load(tile[f], slot);
  };
  const auto load_tokens = [&](int u) {
#pragma unroll
    for (int s = 0; s < 2; s++)
#pragma unroll
      for (int n = 0; n < TOKENS; n++)
        token[u % NEAR][s][n].load(columns + u * KBLOCK * 2 + s * KBLOCK, 16,
                                   [&](int h) { return from[n][h]; });
  };
  const auto use = [&](int slot) {
    multiply_kblock(sum, kblock[slot], [&](int s, int n) { return token[slot % NEAR][s][n]; });
    keep_order();
  };
#pragma unroll
  for (int f = 0; f < FRAGS; f++)
    tile[f] = tile_at(wave_of_block() * FRAGS + f) + (size_t)first_kblock * Kblock::BYTES;
#pragma unroll
  for (int n = 0; n < TOKENS; n++)
#pragma unroll
    for (int h = 0; h < HELD; h++) {
      const int t = n * TILE + token_of_lane(lane, h);
      from[n][h] = offset(t < present ? t : present - 1);
    }
  sum.clear();
#pragma unroll
  for (int d = 0; d < DEPTH; d++) {
    load_weights(d);
    if (d < NEAR)
      load_tokens(d);
  }
#pragma unroll 1
  for (int u = DEPTH; u < KBLOCKS; u += DEPTH) {
#pragma unroll
    for (int f = 0; f < FRAGS; f++)
      tile[f] += DEPTH * Kblock::BYTES;
#pragma unroll
    for (int d = 0; d < DEPTH; d++) {
      use(d);
      load_weights(d);
      load_tokens(d + NEAR);
      keep_order();
    }
    columns += DEPTH * KBLOCK * 2;
  }
#pragma unroll
  for (int d = 0; d < DEPTH; d++) {
    use(d);
    if (d + NEAR < DEPTH)
      load_tokens(d + NEAR);
  }
}

#endif
