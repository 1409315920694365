// The products of blocks of warps on sm_90. Weights and tokens go through a ring in shared memory,
// several kblocks ahead, by asynchronous copies that need no registers.
#ifndef GETP_TARGET_SM_90_STAGED_H
#define GETP_TARGET_SM_90_STAGED_H

#include "target/sm_90/machine.h"

#include "target/mixed/matrix.h"

// Octets of padding after those of all tokens at the same columns: the threads that copy the octets
// of one token to shared memory then use different banks.
constexpr int TOKEN_PAD = 1;

// Loads a fragment from shared memory, where octet o of feature or token r is at `from` + o *
// stride
// + offset(r). One instruction loads four matrices of 8 by 8: features offset(0..7) and
// offset(8..15) of octets 0 and 1. rows_first: the order of the registers that the instruction
// wants for tokens.
template <class Offset>
DEVICE void load_matrices(half4 (&fragment)[HELD], bool rows_first, const char *from, int stride,
                          Offset offset) {
  const int lane = lane_of_wave(), matrix = lane / 8;
  const int eight = rows_first ? matrix % 2 : matrix / 2,
            octet = rows_first ? matrix / 2 : matrix % 2;
  uint32_t got[4];
  load_matrices_x4(got, from + octet * stride + offset(lane % 8 + eight * 8));
  for (int h = 0; h < HELD; h++)
    fragment[h] = bits_as<half4>(rows_first ? make_uint2(got[h], got[h + 2])
                                            : make_uint2(got[2 * h], got[2 * h + 1]));
}

// A kblock of a tile in shared memory. It is padded so that eight lanes that read together use
// different banks. offset_of_piece(i) is where the i-th 16 bytes of the kblock go.
template <class Kblock> struct shared_kblock;

template <> struct shared_kblock<f16_kblock> {
  static constexpr int OCTET_STRIDE = TILE * 16 + 32, BYTES = 2 * 4 * OCTET_STRIDE;
  const char *at;

  DEVICE_MEMBER void open(const char *from) {
    at = from;
  }
  static DEVICE_MEMBER int offset_of_feature(int feature) {
    return feature * 16 + feature / 8 * 32;
  }
  static DEVICE_MEMBER int offset_of_piece(int piece) {
    return piece / TILE * OCTET_STRIDE + offset_of_feature(piece % TILE);
  }
  template <int SPAN> DEVICE_MEMBER fragments expand() const {
    fragments both;
    // Line i % 8 of matrix i / 8 is the feature that lane 4 (i % 8) holds.
    for (int j = 0; j < 2; j++)
      load_matrices(both.fragment[j], false, at + (SPAN * 4 + j * 2) * OCTET_STRIDE, OCTET_STRIDE,
                    [](int i) { return offset_of_feature(feature_of_lane(i % 8 * 4, i / 8)); });
    return both;
  }
};

template <> struct shared_kblock<mxfp4_kblock> {
  static constexpr int CODES = TILE * 8, SCALES = 4 * CODES + 80, BYTES = SCALES + TILE * 2;
  uint2 codes[HELD];
  uint32_t scales[HELD];

  // Where the codes of columns 8 p .. 8 p + 7 of both spans are.
  static DEVICE_MEMBER int offset_of_codes(int p) {
    return p * CODES + p % 2 * 16 + p / 2 * 64;
  }
  static DEVICE_MEMBER int offset_of_piece(int piece) {
    return piece < 32 ? offset_of_codes(piece / 8) + piece % 8 * 16 : SCALES + (piece - 32) * 16;
  }
  DEVICE_MEMBER void open(const char *from) {
    const int lane = lane_of_wave();
    for (int h = 0; h < HELD; h++) {
      const int feature = feature_of_lane(lane, h);
      codes[h] = *(const uint2 *)(from + offset_of_codes(first_column(lane) / 4) + feature * 8);
      scales[h] = *(const uint16_t *)(from + SCALES + feature * 2);
    }
  }
  template <int SPAN> DEVICE_MEMBER fragments expand() const {
    fragments both;
    for (int h = 0; h < HELD; h++)
      both.set(h, expand_codes(SPAN ? codes[h].y : codes[h].x, upper_bytes<SPAN>(scales[h])));
    return both;
  }
};

// ---- blocks of several warps ----

template <class Kblock, int TILES, int TOKENS> struct ring_slot {
  char weights[TILES][shared_kblock<Kblock>::BYTES];
  uint4 octet[OCTETS][TOKENS + TOKEN_PAD];
};

// The ring of a block: one kblock is multiplied, the next one is already being read, the others are
// being copied.
template <class Kblock, int WEIGHTS, int TOKENS, int SPLIT, int WAVES, int RING> struct ring_of {
  static constexpr int TILES = WAVES / SPLIT * WEIGHTS;
  static_assert(RING >= 4, "two kblocks are read, one is being copied, one is overwritten");
  ring_slot<Kblock, TILES, TOKENS * SPLIT * TILE> slot[RING];
};

// The pieces of 16 bytes that one thread copies of each kblock of the block's weights and tokens.
template <class Kblock, int WEIGHTS, int TOKENS, int SPLIT, int WAVES> struct kblock_copy {
  static constexpr int THREADS = WAVES * WAVE, TILES = WAVES / SPLIT * WEIGHTS;
  static constexpr int TILE_PIECES = Kblock::BYTES / 16, WEIGHT_PIECES = TILES * TILE_PIECES;
  static constexpr int WEIGHT_COPIES = (WEIGHT_PIECES + THREADS - 1) / THREADS;
  // A round of copies brings one octet of each of ROUND tokens.
  static constexpr int ROUND = THREADS / OCTETS, TOKEN_COPIES = TOKENS * SPLIT * TILE / ROUND;
  static_assert(TOKEN_COPIES * ROUND == TOKENS * SPLIT * TILE,
                "every thread copies the same amount");
  uint32_t weight_from[WEIGHT_COPIES], token_from[TOKEN_COPIES]; // byte offsets
  int tokens_here;

  static DEVICE_MEMBER int token_at(int i) {
    return (int)threadIdx.x / OCTETS + i * ROUND;
  }

  template <class Tile, class Offset>
  DEVICE_MEMBER void plan(const char *first, Tile tile_at, Offset offset, int present) {
#pragma unroll
    for (int i = 0; i < WEIGHT_COPIES; i++) {
      const int piece = (int)threadIdx.x + i * THREADS;
      if (piece < WEIGHT_PIECES)
        weight_from[i] =
            (uint32_t)(tile_at(piece / TILE_PIECES) - first) + TILE_HEAD + piece % TILE_PIECES * 16;
    }
#pragma unroll
    for (int i = 0; i < TOKEN_COPIES; i++)
      token_from[i] = offset(token_at(i) < present ? token_at(i) : 0) + threadIdx.x % OCTETS * 16;
    tokens_here = present;
  }
  DEVICE_MEMBER void start(ring_slot<Kblock, TILES, TOKENS * SPLIT * TILE> &slot,
                           const char *weights, const char *tokens, int kblock) const {
#pragma unroll
    for (int i = 0; i < WEIGHT_COPIES; i++) {
      const int piece = (int)threadIdx.x + i * THREADS;
      if (piece < WEIGHT_PIECES)
        copy_async_16(&slot.weights[piece / TILE_PIECES]
                                   [shared_kblock<Kblock>::offset_of_piece(piece % TILE_PIECES)],
                      weights + weight_from[i] + kblock * Kblock::BYTES);
    }
#pragma unroll
    for (int i = 0; i < TOKEN_COPIES; i++)
      if (token_at(i) < tokens_here)
        copy_async_shared_16(&slot.octet[threadIdx.x % OCTETS][token_at(i)],
                             tokens + token_from[i] + kblock * KBLOCK * 2);
  }
};

// sums = weights x tokens over KBLOCKS kblocks from `first_kblock` on. Tile i of the block's
// weights is tile_at(i). Token t of the block begins at byte offset(t) of `tokens`, t < present;
// the sums of other tokens are meaningless.
template <class Kblock, int KBLOCKS, int WEIGHTS, int TOKENS, int SPLIT, int WAVES, int RING,
          class Tile, class Offset>
DEVICE void product_staged(sums<WEIGHTS, TOKENS> &sum, Tile tile_at, int first_kblock,
                           ring_of<Kblock, WEIGHTS, TOKENS, SPLIT, WAVES, RING> &lds,
                           const char *tokens, Offset offset, int present) {
  const char *weights = tile_at(0);
  kblock_copy<Kblock, WEIGHTS, TOKENS, SPLIT, WAVES> copy;
  shared_kblock<Kblock> kblock[WEIGHTS];
  fragments span[2][WEIGHTS], token;
  const auto open = [&](int u) {
#pragma unroll
    for (int f = 0; f < WEIGHTS; f++)
      kblock[f].open(lds.slot[u % RING].weights[first_tile_of_wave<WEIGHTS, SPLIT>() + f]);
#pragma unroll
    for (int f = 0; f < WEIGHTS; f++)
      span[0][f] = kblock[f].template expand<0>();
  };
  const auto load_tokens = [&](int u, int s, int n) {
    fragments both;
    for (int j = 0; j < 2; j++)
      load_matrices(both.fragment[j], true,
                    (const char *)&lds.slot[u % RING]
                        .octet[s * 4 + j * 2][first_token_of_wave<TOKENS, SPLIT>() + n * TILE],
                    sizeof lds.slot[0].octet[0], [](int i) { return i * 16; });
    return both;
  };
  copy.plan(weights, tile_at, offset, present);
  sum.clear();
#pragma unroll
  for (int u = 0; u < RING - 1; u++) {
    if (u < KBLOCKS)
      copy.start(lds.slot[u], weights, tokens, first_kblock + u);
    commit_copies();
  }
  wait_for_copies_but<RING - 2>();
  __syncthreads();
  open(0);
  token = load_tokens(0, 0, 0);
#pragma unroll 1
  for (int u = 0; u < KBLOCKS; u++) {
    wait_for_copies_but<RING - 3>();
    __syncthreads(); // the next kblock is visible, and the slot of the previous one is free
    if (u + RING - 1 < KBLOCKS)
      copy.start(lds.slot[(u + RING - 1) % RING], weights, tokens, first_kblock + u + RING - 1);
    commit_copies();
#pragma unroll
    for (int i = 0; i < 2 * TOKENS; i++) {
      const fragments now = token;
      token = i + 1 < 2 * TOKENS ? load_tokens(u, (i + 1) / TOKENS, (i + 1) % TOKENS)
                                 : load_tokens(u + 1, 0, 0);
#pragma unroll
      for (int j = 0; j < 2; j++)
#pragma unroll
        for (int f = 0; f < WEIGHTS; f++)
          multiply(sum.at[f][i % TOKENS], span[i / TOKENS][f].fragment[j], now.fragment[j]);
      // The weights of the other span are expanded while this one multiplies.
      if (i == TOKENS / 2)
#pragma unroll
        for (int f = 0; f < WEIGHTS; f++)
          span[1][f] = kblock[f].template expand<1>();
      if (i == TOKENS + TOKENS / 2)
        open(u + 1);
    }
  }
}

// ---- one warp on its own, for few tokens ----

// A constant as a type, for a generic lambda.
template <bool VALUE> struct constant { static constexpr bool value = VALUE; };

// A ring of RING rounds. A round is ROUND kblocks of one tile of weights and of CAPACITY tokens.
template <class Kblock, int CAPACITY, int ROUND, int RING> struct stream_of {
  static constexpr int WIDTH = CAPACITY > 1 ? CAPACITY + TOKEN_PAD : 1;
  struct {
    char weights[ROUND][shared_kblock<Kblock>::BYTES];
    uint4 octet[ROUND * OCTETS][WIDTH];
  } slot[RING];
};

// The pieces of 16 bytes that one lane copies of each round.
template <class Kblock, int CAPACITY, int ROUND, int RING> struct round_copy {
  static constexpr int TILE_PIECES = Kblock::BYTES / 16, WEIGHT_PIECES = ROUND * TILE_PIECES;
  static constexpr int ROUND_OCTETS = ROUND * OCTETS, TOKEN_PIECES = CAPACITY * ROUND_OCTETS;
  static constexpr int WEIGHT_COPIES = (WEIGHT_PIECES + WAVE - 1) / WAVE;
  static constexpr int TOKEN_COPIES = (TOKEN_PIECES + WAVE - 1) / WAVE;
  const char *weights, *token[TOKEN_COPIES];
  int weight_offset[WEIGHT_COPIES]; // bytes in a slot's weights
  int tokens_here;

  static DEVICE_MEMBER int piece(int i) {
    return lane_of_wave() + i * WAVE;
  }
  DEVICE_MEMBER void plan_weights(const char *first_kblock) {
    weights = first_kblock + lane_of_wave() * 16;
#pragma unroll
    for (int i = 0; i < WEIGHT_COPIES; i++)
      weight_offset[i] = piece(i) / TILE_PIECES * shared_kblock<Kblock>::BYTES +
                         shared_kblock<Kblock>::offset_of_piece(piece(i) % TILE_PIECES);
  }
  template <class Offset>
  DEVICE_MEMBER void plan_tokens(const char *tokens, Offset offset, int present) {
#pragma unroll
    for (int i = 0; i < TOKEN_COPIES; i++) {
      const int t = piece(i) / ROUND_OCTETS;
      token[i] =
          tokens + offset(CAPACITY > 1 && t < present ? t : 0) + piece(i) % ROUND_OCTETS * 16;
    }
    // A single token is always present.
    tokens_here = CAPACITY == 1 || present > CAPACITY ? CAPACITY : present;
  }
  // Start to copy the round that is `ahead` rounds after the current one, to a slot of the ring.
  DEVICE_MEMBER void start_weights(stream_of<Kblock, CAPACITY, ROUND, RING> &ring, int slot,
                                   int ahead) const {
#pragma unroll
    for (int i = 0; i < WEIGHT_COPIES; i++)
      if ((i + 1) * WAVE <= WEIGHT_PIECES || piece(i) < WEIGHT_PIECES)
        copy_async_16((char *)ring.slot[slot].weights + weight_offset[i],
                      weights + ahead * WEIGHT_PIECES * 16 + i * WAVE * 16);
  }
  DEVICE_MEMBER void start_tokens(stream_of<Kblock, CAPACITY, ROUND, RING> &ring, int slot,
                                  int ahead) const {
    auto &to = ring.slot[slot];
#pragma unroll
    for (int i = 0; i < TOKEN_COPIES; i++)
      if (piece(i) / ROUND_OCTETS < tokens_here)
        copy_async_shared_16(&to.octet[piece(i) % ROUND_OCTETS][piece(i) / ROUND_OCTETS],
                             token[i] + ahead * ROUND_OCTETS * 16);
  }
  // Makes the next round the current one.
  DEVICE_MEMBER void advance() {
    weights += WEIGHT_PIECES * 16;
#pragma unroll
    for (int i = 0; i < TOKEN_COPIES; i++)
      token[i] += ROUND_OCTETS * 16;
  }
};

// The tokens of a kblock as fragments, and the running sums of a tile of weights with them.
template <int CAPACITY> struct few_tokens {
  fragments span[2];

  template <class Slot> DEVICE_MEMBER void load(const Slot &slot, int kblock) {
#pragma unroll
    for (int s = 0; s < 2; s++)
      for (int j = 0; j < 2; j++)
        load_matrices(span[s].fragment[j], true,
                      (const char *)slot.octet[kblock * OCTETS + s * 4 + j * 2],
                      sizeof slot.octet[0], [](int i) { return i * 16; });
  }
  struct running {
    quad sum[HELD];
    DEVICE_MEMBER void multiply(const fragments &weights, const few_tokens &tokens, int s, int j) {
      ::multiply(sum, weights.fragment[j], tokens.span[s].fragment[j]);
    }
    DEVICE_MEMBER quad of(int h) const {
      return sum[h];
    }
  };
};

template <> struct few_tokens<1> {
  uint32_t octet[OCTETS]; // the lane's two columns of each octet

  template <class Slot> DEVICE_MEMBER void load(const Slot &slot, int kblock) {
    const int matrix = lane_of_wave() / 8;
#pragma unroll
    for (int s = 0; s < 2; s++) {
      uint32_t got[4];
      load_matrices_x4(got, slot.octet[kblock * OCTETS + s * 4 + matrix]);
      for (int m = 0; m < 4; m++)
        octet[s * 4 + m] = got[m];
    }
  }
  struct running {
    float sum[4];
    DEVICE_MEMBER void multiply(const fragments &weights, const few_tokens &tokens, int s, int j) {
      multiply_token(sum, weights.fragment[j],
                     make_uint2(tokens.octet[s * 4 + j * 2], tokens.octet[s * 4 + j * 2 + 1]));
    }
    DEVICE_MEMBER quad of(int) const {
      return quad_of_token(sum);
    }
  };
};

// The weights and tokens of one kblock as fragments.
template <int CAPACITY> struct kblock_fragments {
  fragments weights[2];
  few_tokens<CAPACITY> tokens;

  template <class Kblock, int ROUND, int RING>
  DEVICE_MEMBER void load(const stream_of<Kblock, CAPACITY, ROUND, RING> &ring, int slot,
                          int kblock) {
    const auto &from = ring.slot[slot];
    shared_kblock<Kblock> each;
    each.open(from.weights[kblock]);
    weights[0] = each.template expand<0>();
    weights[1] = each.template expand<1>();
    tokens.load(from, kblock);
  }
};

// sums = weights x tokens over KBLOCKS kblocks from `first_kblock` on, for one tile of weights and
// up to CAPACITY tokens, by one warp; the other parameters are those of product_staged. The chain
// of additions takes most of the time. Its operands are therefore loaded from the ring one kblock
// ahead, and the ring from memory RING rounds ahead.
template <class Kblock, int KBLOCKS, int CAPACITY, int ROUND, int RING, class Tile, class Offset>
DEVICE void product_streamed(sums<1, 1> &sum, Tile tile_at, int first_kblock,
                             stream_of<Kblock, CAPACITY, ROUND, RING> &ring, const char *tokens,
                             Offset offset, int present) {
  static_assert(KBLOCKS % ROUND == 0 && RING >= 2, "whole rounds, one of them being copied");
  constexpr int ROUNDS = KBLOCKS / ROUND;
  round_copy<Kblock, CAPACITY, ROUND, RING> copy;
  kblock_fragments<CAPACITY> now, next;
  typename few_tokens<CAPACITY>::running running = {};
  int slot = 0;
  // Multiplies a round. `refill`: starts to copy another one to its slot.
  const auto multiply_round = [&](auto refill) {
#pragma unroll
    for (int u = 0; u < ROUND; u++) {
      now = next;
      if (u + 1 < ROUND) {
        next.load(ring, slot, u + 1);
      } else {
        wait_for_copies_but<RING - 2>();
        __syncthreads(); // all lanes see the next round now, and none reads this one any more
        if (decltype(refill)::value) {
          copy.start_weights(ring, slot, RING);
          copy.start_tokens(ring, slot, RING);
          copy.advance();
        }
        commit_copies();
        slot = slot + 1 < RING ? slot + 1 : 0;
        next.load(ring, slot, 0); // after the last round this loads what is there; nothing uses it
      }
#pragma unroll
      for (int i = 0; i < 4; i++)
        running.multiply(now.weights[i / 2], now.tokens, i / 2, i % 2);
    }
  };
  copy.plan_weights(tile_at(0) + TILE_HEAD + first_kblock * Kblock::BYTES);
#pragma unroll
  for (int r = 0; r < RING && r < ROUNDS; r++)
    copy.start_weights(ring, r, r);
  await_inputs();
  let_next_begin();
  copy.plan_tokens(tokens + first_kblock * KBLOCK * 2, offset, present);
#pragma unroll
  for (int r = 0; r < RING;
       r++) { // the first committed copies hold the weights of all these rounds
    if (r < ROUNDS)
      copy.start_tokens(ring, r, r);
    commit_copies();
  }
  wait_for_copies_but<RING - 1>();
  __syncthreads();
  next.load(ring, 0, 0);
#pragma unroll 1
  for (int r = RING; r < ROUNDS; r++)
    multiply_round(constant<true>());
#pragma unroll 1
  for (int r = 0; r < (RING < ROUNDS ? RING : ROUNDS); r++)
    multiply_round(constant<false>());
#pragma unroll
  for (int h = 0; h < HELD; h++)
    sum.at[0][0][h] = running.of(h);
}

// A tiling (target/mixed/tiling.h) whose block is one warp with one tile of weights and up to
// CAPACITY tokens. Twelve blocks on a multiprocessor leave a lane 168 registers, enough for one
// token; more tokens need more.
template <int CAPACITY, int ROUND, int RING> struct streamed {
  static constexpr int THREADS = WAVE, BLOCKS = CAPACITY > 1 ? 8 : 12;
  static constexpr int BLOCK_TILES = 1, BLOCK_TOKENS = CAPACITY, WAVE_TILES = 1, WAVE_TOKENS = 1;
  static constexpr bool EARLY = true, THROUGH_CACHE = false;
  template <class Kblock> using shared = stream_of<Kblock, CAPACITY, ROUND, RING>;
  sums<1, 1> sum;

  static DEVICE_MEMBER int first_tile() {
    return 0;
  }
  static DEVICE_MEMBER int first_token() {
    return 0;
  }
  static DEVICE_MEMBER bool idles() {
    return false;
  }
  template <class Kblock, int KBLOCKS, class Tile, class Offset>
  DEVICE_MEMBER void multiply(Tile tile_at, int first_kblock, shared<Kblock> &ring,
                              const char *tokens, Offset offset, int present) {
    product_streamed<Kblock, KBLOCKS>(sum, tile_at, first_kblock, ring, tokens, offset, present);
  }
};

// ---- launches ----

// Declares `name`, the shared memory that a kernel needs for its tiling.
#define TILING_LDS(Tiling, Kblock, name)                                                           \
  HIP_DYNAMIC_SHARED(uint4, dynamic_bytes)                                                         \
  auto &name = *(typename Tiling::template shared<Kblock> *)dynamic_bytes

// Launches a kernel of a tiling on a grid of blocks, on the stream of the pass.
#define LAUNCH_TILING(pass, kernel, Tiling, Kblock, grid, ...)                                     \
  LAUNCH_EARLY(kernel, Tiling::THROUGH_CACHE ? DRIVERS_CHOICE : MOST_SHARED, grid,                 \
               dim3((unsigned)Tiling::THREADS), sizeof(typename Tiling::template shared<Kblock>),  \
               (hipStream_t)(pass)->stream, __VA_ARGS__)

#endif
