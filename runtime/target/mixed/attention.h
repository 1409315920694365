// Attention with matrix instructions: the softmax over a sequence's keys, block by block, without
// storing the scores (online softmax: Milakov and Gimelshein 2018; FlashAttention: Dao et al.
// 2022).
//
// A block of threads has one KV head and one group of rows. A token here is a row and one of the
// query heads of that KV head: up to TILE tokens, the columns of one matrix instruction. The waves
// take the blocks of keys in turn. Each wave has a state per token; their merge is the result.
// Queries come scaled, so that the weight of key t is p_t = 2^(q . k_t - base).
//
// SPANS spans (32 columns) hold a query or a key, D_TILES tiles the elements of a value. The layout
// of the KV cache is that of a tree's kv.h.
#ifndef GETP_TARGET_MIXED_ATTENTION_H
#define GETP_TARGET_MIXED_ATTENTION_H

#include "target/mixed/machine.h"

#include "target/mixed/matrix.h"

constexpr int KEYS = 2 * TILE; // positions of a block of the KV cache: KV_BLOCK of kv.h

// The greatest p of a wave is 2^HEADROOM: small ones stay clear of the subnormal halves.
static const float HEADROOM = 14;

// ---- keys and values ----

// The keys and values of KEYS positions as fragments: two tiles of keys, D_TILES tiles of values.
// Line r of key tile j is key 8 (r / 4) + 4 j + r % 4: then a lane's scores lie in its registers as
// the product with the values needs p.
//
// The functions of Keys say how a kernel sees the cache. key(block) and value(block) are the
// offsets in a head's region of the first key and the first value of a block. mask(score, key,
// last) is the score of the key at position `key` for a token at position `last`, or -INFINITY if
// the token does not see that key.
template <class Keys, int SPANS, int D_TILES> struct kv_block {
  uint4 key[2][SPANS][HELD], value[D_TILES][HELD];

  DEVICE_MEMBER void load(const uint16_t *region, uint32_t block) {
    constexpr int WIDTH = SPANS * 32;
    const int lane = lane_of_wave(), column = first_column(lane) * 2;
    const uint16_t *keys = region + Keys::key(block), *values = region + Keys::value(block);
#pragma unroll
    for (int h = 0; h < HELD; h++) {
      const int line = feature_of_lane(lane, h);
      const uint32_t key_at = (uint32_t)((line / 4 * 8 + line % 4) * WIDTH + column) * 2,
                     value_at = (uint32_t)(line * KEYS + column) * 2;
#pragma unroll
      for (int j = 0; j < 2; j++)
#pragma unroll
        for (int s = 0; s < SPANS; s++)
          key[j][s][h] = *(const uint4 *)((const char *)(keys + j * 4 * WIDTH + s * 32) +
                                          offset_of_lane(key_at));
#pragma unroll
      for (int d = 0; d < D_TILES; d++)
        value[d][h] =
            *(const uint4 *)((const char *)(values + d * TILE * KEYS) + offset_of_lane(value_at));
    }
  }
};

// ---- the state of a wave ----

// The softmax of a lane's tokens over the keys that the wave has seen: the base (the greatest score
// less HEADROOM), the sum of p, and the sum of p times the values.
template <int D_TILES> struct state {
  float base[HELD], total[HELD];
  quad mix[D_TILES][HELD];
};

// score[j] = the products of the lane's tokens with the keys of tile j.
template <class Keys, int SPANS, int D_TILES>
DEVICE void multiply_keys(quad (&score)[2][HELD], const fragments (&query)[SPANS],
                          const kv_block<Keys, SPANS, D_TILES> &kv) {
  fragments keys;
#pragma unroll
  for (int j = 0; j < 2; j++) {
#pragma unroll
    for (int h = 0; h < HELD; h++)
      for (int i = 0; i < 4; i++)
        score[j][h][i] = 0;
#pragma unroll
    for (int s = 0; s < SPANS; s++) {
#pragma unroll
      for (int h = 0; h < HELD; h++)
        keys.set(h, kv.key[j][s][h]);
      multiply(score[j], keys.fragment[0], query[s].fragment[0]);
      multiply(score[j], keys.fragment[1], query[s].fragment[1]);
    }
  }
}

// Adds a block of keys, the first of them at `position`, to a state. last[h] is the position of the
// lane's h-th token.
template <class Keys, int SPANS, int D_TILES>
DEVICE void attend(state<D_TILES> &state, const fragments (&query)[SPANS],
                   const kv_block<Keys, SPANS, D_TILES> &kv, int position,
                   const int (&last)[HELD]) {
  quad score[2][HELD];
  fragments values, p;
  float shrink[HELD];
  const int column = first_column(lane_of_wave());
  multiply_keys(score, query, kv);
#pragma unroll
  for (int h = 0; h < HELD; h++) {
    float base = state.base[h] + HEADROOM, e[2][4];
#pragma unroll
    for (int j = 0; j < 2; j++)
      for (int i = 0; i < 4; i++) {
        const int key = position + column * 2 + j * 4 + i;
        e[j][i] = Keys::mask(score[j][h][i], key, last[h]);
        base = fmaxf(base, e[j][i]);
      }
    base = across_columns(base, [](float a, float b) { return fmaxf(a, b); }) - HEADROOM;
    shrink[h] = power_of_two(state.base[h] - base);
    state.base[h] = base;
    state.total[h] *= shrink[h];
#pragma unroll
    for (int j = 0; j < 2; j++)
      for (int i = 0; i < 4; i++)
        state.total[h] += e[j][i] = power_of_two(e[j][i] - base);
    p.set(h, make_uint4(to_halves(e[0][0], e[0][1]), to_halves(e[0][2], e[0][3]),
                        to_halves(e[1][0], e[1][1]), to_halves(e[1][2], e[1][3])));
  }
#pragma unroll
  for (int d = 0; d < D_TILES; d++) {
#pragma unroll
    for (int h = 0; h < HELD; h++) {
      for (int i = 0; i < 4; i++)
        state.mix[d][h][i] *= shrink[h];
      values.set(h, kv.value[d][h]);
    }
    multiply(state.mix[d], values.fragment[0], p.fragment[0]);
    multiply(state.mix[d], values.fragment[1], p.fragment[1]);
  }
}

// ---- the states of all waves ----

// The states of a block's waves, in shared memory.
template <int WAVES, int D_TILES> struct wave_states {
  float base[WAVES][TILE], total[WAVES][TILE], mix[WAVES][TILE][D_TILES * TILE];
};

// Stores the state of the calling wave. The other waves may read it after a barrier.
template <int WAVES, int D_TILES>
DEVICE void publish_state(wave_states<WAVES, D_TILES> &all, const state<D_TILES> &state) {
  const int lane = lane_of_wave(), wave = wave_of_block();
#pragma unroll
  for (int h = 0; h < HELD; h++) {
    const int token = token_of_lane(lane, h);
    const float total = across_columns(state.total[h], [](float a, float b) { return a + b; });
    if (first_column(lane) == 0) {
      all.base[wave][token] = state.base[h];
      all.total[wave][token] = total;
    }
#pragma unroll
    for (int d = 0; d < D_TILES; d++) {
      quad q = state.mix[d][h];
      *(float4 *)&all.mix[wave][token][d * TILE + first_column(lane)] =
          make_float4(q[0], q[1], q[2], q[3]);
    }
  }
}

// ---- parts ----

// What attention in parts stores for one row and one part of its keys, for each head: the sum of p
// times the values, then the base and the sum of p. gen/ops_fused.lua counts its floats.
template <int N_HEADS, int D_HEAD> struct part_state {
  float mix[N_HEADS][D_HEAD];
  float2 base[N_HEADS]; // x: the base, y: the sum of p
};

#endif
