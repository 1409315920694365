// How a block of several warps multiplies on sm_90: weights and tokens go through a ring in shared
// memory, several kblocks ahead, by copies that need no registers.
#ifndef GETP_TARGET_SM_90_STAGED_H
#define GETP_TARGET_SM_90_STAGED_H

#include "target/sm_90/machine.h"

#include "target/mixed/matrix.h"

constexpr int TOKEN_PAD = 1; // octets: threads that copy the octets of a row meet no bank twice

// Fragments out of shared memory, where octet o of row r is at `from` + o * stride + offset(r):
// four matrices of eight rows and eight columns at a time, rows offset(0..7) and offset(8..15) of
// octets 2j and 2j + 1.
template <class Offset>
DEVICE void load_matrices(half4 (&part)[HELD], bool rows_first, const char *from, int stride,
                          Offset offset) {
  const int lane = lane_of_wave(), matrix = lane / 8;
  const int half = rows_first ? matrix % 2 : matrix / 2,
            octet = rows_first ? matrix / 2 : matrix % 2;
  uint32_t got[4];
  load_matrices_x4(got, from + octet * stride + offset(lane % 8 + half * 8));
  for (int h = 0; h < HELD; h++)
    part[h] = bits_as<half4>(rows_first ? make_uint2(got[h], got[h + 2])
                                        : make_uint2(got[2 * h], got[2 * h + 1]));
}

// A kblock of a tile in shared memory, where no eight lanes that read together meet a bank twice.
template <class Kblock> struct shared_kblock;

template <> struct shared_kblock<f16_kblock> {
  static constexpr int GROUP = TILE * 16 + 32, BYTES = 2 * 4 * GROUP;
  const char *at;

  DEVICE_MEMBER void open(const char *from) {
    at = from;
  }
  static DEVICE_MEMBER int row_at(int row) {
    return row * 16 + row / 8 * 32;
  }
  // Where 16 bytes of the kblock go.
  static DEVICE_MEMBER int place(int chunk) {
    return chunk / TILE * GROUP + row_at(chunk % TILE);
  }
  template <int S> DEVICE_MEMBER fragments expand() const {
    fragments both;
    // row i of matrix h is feature_of_lane of the lanes 4 i
    for (int j = 0; j < 2; j++)
      load_matrices(both.part[j], false, at + (S * 4 + j * 2) * GROUP, GROUP,
                    [](int i) { return row_at(feature_of_lane(i % 8 * 4, i / 8)); });
    return both;
  }
};

template <> struct shared_kblock<mxfp4_kblock> {
  static constexpr int GROUP = TILE * 8, SCALES = 4 * GROUP + 80, BYTES = SCALES + TILE * 2;
  uint2 codes[HELD];
  uint32_t scales[HELD];

  static DEVICE_MEMBER int group_at(int p) {
    return p * GROUP + p % 2 * 16 + p / 2 * 64;
  }
  static DEVICE_MEMBER int place(int chunk) {
    return chunk < 32 ? group_at(chunk / 8) + chunk % 8 * 16 : SCALES + (chunk - 32) * 16;
  }
  DEVICE_MEMBER void open(const char *from) {
    const int lane = lane_of_wave();
    for (int h = 0; h < HELD; h++) {
      const int row = feature_of_lane(lane, h);
      codes[h] = *(const uint2 *)(from + group_at(first_column(lane) / 4) + row * 8);
      scales[h] = *(const uint16_t *)(from + SCALES + row * 2);
    }
  }
  template <int S> DEVICE_MEMBER fragments expand() const {
    fragments both;
    for (int h = 0; h < HELD; h++)
      both.set(h, expand_codes(S ? codes[h].y : codes[h].x, upper_bytes<S>(scales[h])));
    return both;
  }
};

template <class Kblock, int TILES, int TOKENS> struct ring_slot {
  char weights[TILES][shared_kblock<Kblock>::BYTES];
  uint4 octet[OCTETS][TOKENS + TOKEN_PAD];
};

// The ring of a block of WAVES warps: a kblock that is multiplied, one that is looked at ahead, and
// those on their way.
template <class Kblock, int FRAGS, int TOKENS, int SPLIT, int WAVES, int RING> struct ring_of {
  static constexpr int TILES = WAVES / SPLIT * FRAGS;
  static_assert(RING >= 4, "a kblock on its way while two are read and one is written");
  ring_slot<Kblock, TILES, TOKENS * SPLIT * TILE> slot[RING];
};

// What a thread copies of each kblock: pieces of 16 bytes of the block's weights and tokens.
template <class Kblock, int FRAGS, int TOKENS, int SPLIT, int WAVES> struct kblock_copy {
  static constexpr int THREADS = WAVES * WAVE, TILES = WAVES / SPLIT * FRAGS;
  static constexpr int CHUNKS = Kblock::BYTES / 16, WEIGHTS = TILES * CHUNKS;
  static constexpr int ROWS = THREADS / OCTETS, TOKEN_COPIES = TOKENS * SPLIT * TILE / ROWS;
  static constexpr int WEIGHT_COPIES = (WEIGHTS + THREADS - 1) / THREADS;
  static_assert(TOKEN_COPIES * ROWS == TOKENS * SPLIT * TILE, "every token has a thread");
  uint32_t weight_from[WEIGHT_COPIES], token_from[TOKEN_COPIES]; // bytes
  int tokens_here;

  static DEVICE_MEMBER int token_at(int i) {
    return (int)threadIdx.x / OCTETS + i * ROWS;
  }

  template <class Tile, class Offset>
  DEVICE_MEMBER void plan(const char *first, Tile tile_at, Offset offset, int present) {
#pragma unroll
    for (int i = 0; i < WEIGHT_COPIES; i++) {
      const int piece = (int)threadIdx.x + i * THREADS;
      if (piece < WEIGHTS)
        weight_from[i] =
            (uint32_t)(tile_at(piece / CHUNKS) - first) + TILE_HEAD + piece % CHUNKS * 16;
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
      if (piece < WEIGHTS)
        copy_async_16(&slot.weights[piece / CHUNKS][shared_kblock<Kblock>::place(piece % CHUNKS)],
                      weights + weight_from[i] + kblock * Kblock::BYTES);
    }
#pragma unroll
    for (int i = 0; i < TOKEN_COPIES; i++)
      if (token_at(i) < tokens_here)
        copy_async_shared_16(&slot.octet[threadIdx.x % OCTETS][token_at(i)],
                             tokens + token_from[i] + kblock * KBLOCK * 2);
  }
};

// sums = weights x tokens over KBLOCKS kblocks from `first_kblock` on. The block's tile i of
// weights is tile_at(i), its token t begins at byte offset(t) of `tokens`, t < present; the sums of
// others mean nothing.
template <class Kblock, int KBLOCKS, int FRAGS, int TOKENS, int SPLIT, int WAVES, int RING,
          class Tile, class Offset>
DEVICE void product_staged(sums<FRAGS, TOKENS> &sum, Tile tile_at, int first_kblock,
                           ring_of<Kblock, FRAGS, TOKENS, SPLIT, WAVES, RING> &lds,
                           const char *tokens, Offset offset, int present) {
  const char *weights = tile_at(0);
  kblock_copy<Kblock, FRAGS, TOKENS, SPLIT, WAVES> copy;
  shared_kblock<Kblock> kblock[FRAGS];
  fragments half[2][FRAGS], token;
  const auto open = [&](int u) {
#pragma unroll
    for (int f = 0; f < FRAGS; f++)
      kblock[f].open(lds.slot[u % RING].weights[first_tile_of_wave<FRAGS, SPLIT>() + f]);
#pragma unroll
    for (int f = 0; f < FRAGS; f++)
      half[0][f] = kblock[f].template expand<0>();
  };
  const auto load_tokens = [&](int u, int s, int n) {
    fragments both;
    for (int j = 0; j < 2; j++)
      load_matrices(both.part[j], true,
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
    __syncthreads(); // the next kblock is there for all, and nobody reads the slot of the kblock
                     // before
    if (u + RING - 1 < KBLOCKS)
      copy.start(lds.slot[(u + RING - 1) % RING], weights, tokens, first_kblock + u + RING - 1);
    commit_copies();
#pragma unroll
    for (int i = 0; i < 2 * TOKENS; i++) {
      const fragments now = token;
      token = i + 1 < 2 * TOKENS ? load_tokens(u, (i + 1) / TOKENS, (i + 1) % TOKENS)
                                 : load_tokens(u + 1, 0, 0);
#pragma unroll
      for (int part = 0; part < 2; part++)
#pragma unroll
        for (int f = 0; f < FRAGS; f++)
          multiply(sum.at[f][i % TOKENS], half[i / TOKENS][f].part[part], now.part[part]);
      // What the other half needs is made while this one multiplies.
      if (i == TOKENS / 2)
#pragma unroll
        for (int f = 0; f < FRAGS; f++)
          half[1][f] = kblock[f].template expand<1>();
      if (i == TOKENS + TOKENS / 2)
        open(u + 1);
    }
  }
}

// ---- a warp on its own, for few tokens ----

// A value that is known when its type is.
template <bool VALUE> struct constant { static constexpr bool value = VALUE; };

// A ring of rounds, ROUND kblocks each, of one tile of weights and ROWS tokens.
template <class Kblock, int ROWS, int ROUND, int RING> struct stream_of {
  static constexpr int WIDTH = ROWS > 1 ? ROWS + TOKEN_PAD : 1;
  struct {
    char weights[ROUND][shared_kblock<Kblock>::BYTES];
    uint4 octet[ROUND * OCTETS][WIDTH];
  } slot[RING];
};

// What a lane copies of each round: where 16 bytes of it come from and go to.
template <class Kblock, int ROWS, int ROUND, int RING> struct round_copy {
  static constexpr int CHUNKS = Kblock::BYTES / 16, WEIGHTS = ROUND * CHUNKS;
  static constexpr int COLUMNS = ROUND * OCTETS, TOKENS = ROWS * COLUMNS;
  static constexpr int WEIGHT_COPIES = (WEIGHTS + WAVE - 1) / WAVE;
  static constexpr int TOKEN_COPIES = (TOKENS + WAVE - 1) / WAVE;
  const char *weights, *token[TOKEN_COPIES];
  int weight_offset[WEIGHT_COPIES]; // bytes in a slot's weights
  int tokens_here;

  static DEVICE_MEMBER int piece(int i) {
    return lane_of_wave() + i * WAVE;
  }
  // From the first kblock on.
  DEVICE_MEMBER void plan_weights(const char *first_kblock) {
    weights = first_kblock + lane_of_wave() * 16;
#pragma unroll
    for (int i = 0; i < WEIGHT_COPIES; i++)
      weight_offset[i] = piece(i) / CHUNKS * shared_kblock<Kblock>::BYTES +
                         shared_kblock<Kblock>::place(piece(i) % CHUNKS);
  }
  template <class Offset>
  DEVICE_MEMBER void plan_tokens(const char *tokens, Offset offset, int present) {
#pragma unroll
    for (int i = 0; i < TOKEN_COPIES; i++) {
      const int t = piece(i) / COLUMNS;
      token[i] = tokens + offset(ROWS > 1 && t < present ? t : 0) + piece(i) % COLUMNS * 16;
    }
    tokens_here = ROWS == 1 || present > ROWS ? ROWS : present; // a single one is always there
  }
  // Start the copies of the round that is so many ahead.
  DEVICE_MEMBER void start_weights(stream_of<Kblock, ROWS, ROUND, RING> &ring, int to,
                                   int ahead) const {
#pragma unroll
    for (int i = 0; i < WEIGHT_COPIES; i++)
      if ((i + 1) * WAVE <= WEIGHTS || piece(i) < WEIGHTS)
        copy_async_16((char *)ring.slot[to].weights + weight_offset[i],
                      weights + ahead * WEIGHTS * 16 + i * WAVE * 16);
  }
  DEVICE_MEMBER void start_tokens(stream_of<Kblock, ROWS, ROUND, RING> &ring, int to,
                                  int ahead) const {
    auto &slot = ring.slot[to];
#pragma unroll
    for (int i = 0; i < TOKEN_COPIES; i++)
      if (piece(i) / COLUMNS < tokens_here)
        copy_async_shared_16(&slot.octet[piece(i) % COLUMNS][piece(i) / COLUMNS],
                             token[i] + ahead * COLUMNS * 16);
  }
  DEVICE_MEMBER void advance() {
    weights += WEIGHTS * 16;
#pragma unroll
    for (int i = 0; i < TOKEN_COPIES; i++)
      token[i] += COLUMNS * 16;
  }
};

// The tokens of a kblock as fragments, and the sums that they make with a tile of weights.
template <int ROWS> struct few_tokens {
  fragments half[2];

  template <class Slot> DEVICE_MEMBER void load(const Slot &slot, int kblock) {
#pragma unroll
    for (int s = 0; s < 2; s++)
      for (int j = 0; j < 2; j++)
        load_matrices(half[s].part[j], true,
                      (const char *)slot.octet[kblock * OCTETS + s * 4 + j * 2],
                      sizeof slot.octet[0], [](int i) { return i * 16; });
  }
  struct running {
    quad sum[HELD];
    DEVICE_MEMBER void multiply(const fragments &weights, const few_tokens &tokens, int s, int j) {
      ::multiply(sum, weights.part[j], tokens.half[s].part[j]);
    }
    DEVICE_MEMBER quad of(int h) const {
      return sum[h];
    }
  };
};

template <> struct few_tokens<1> {
  uint32_t octet[OCTETS]; // two columns of each

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
      multiply_token(sum, weights.part[j],
                     make_uint2(tokens.octet[s * 4 + j * 2], tokens.octet[s * 4 + j * 2 + 1]));
    }
    DEVICE_MEMBER quad of(int) const {
      return quad_of_token(sum);
    }
  };
};

// A kblock as fragments.
template <int ROWS> struct kblock_fragments {
  fragments weights[2];
  few_tokens<ROWS> tokens;

  template <class Kblock, int ROUND, int RING>
  DEVICE_MEMBER void load(const stream_of<Kblock, ROWS, ROUND, RING> &ring, int slot, int kblock) {
    const auto &from = ring.slot[slot];
    shared_kblock<Kblock> each;
    each.open(from.weights[kblock]);
    weights[0] = each.template expand<0>();
    weights[1] = each.template expand<1>();
    tokens.load(from, kblock);
  }
};

// sums = weights x tokens over KBLOCKS kblocks from `first_kblock` on, for a tile of weights and up
// to ROWS tokens, as product_staged has them, by one warp: its chain of sums is what takes the
// time, so that everything for it is there a kblock ahead, and memory is asked RING rounds ahead.
template <class Kblock, int KBLOCKS, int ROWS, int ROUND, int RING, class Tile, class Offset>
DEVICE void product_streamed(sums<1, 1> &sum, Tile tile_at, int first_kblock,
                             stream_of<Kblock, ROWS, ROUND, RING> &ring, const char *tokens,
                             Offset offset, int present) {
  static_assert(KBLOCKS % ROUND == 0 && RING >= 2, "whole rounds, one on its way");
  constexpr int ROUNDS = KBLOCKS / ROUND;
  round_copy<Kblock, ROWS, ROUND, RING> copy;
  kblock_fragments<ROWS> now, next;
  typename few_tokens<ROWS>::running running = {};
  int slot = 0;
  // A round; `asks`: for one more in its place.
  const auto multiply_round = [&](auto asks) {
#pragma unroll
    for (int u = 0; u < ROUND; u++) {
      now = next;
      if (u + 1 < ROUND) {
        next.load(ring, slot, u + 1);
      } else {
        wait_for_copies_but<RING - 2>();
        __syncthreads(); // the next round is there for all lanes, and none reads this one any more
        if (decltype(asks)::value) {
          copy.start_weights(ring, slot, RING);
          copy.start_tokens(ring, slot, RING);
          copy.advance();
        }
        commit_copies();
        slot = slot + 1 < RING ? slot + 1 : 0;
        next.load(ring, slot, 0); // behind the last round: what is there, for nothing
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
  for (int r = 0; r < RING; r++) { // the first group is of all weights so far
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

// How a block of one warp tilings a product out (tilings.h); twelve on a multiprocessor leave a
// lane 168 registers, more tokens need more.
template <int ROWS, int ROUND, int RING> struct streamed {
  static constexpr int THREADS = WAVE, BLOCKS = ROWS > 1 ? 8 : 12;
  static constexpr int WEIGHT_TILES = 1, TOKEN_ROWS = ROWS, WIDTH = 1, HEIGHT = 1;
  static constexpr bool EARLY = true, THROUGH_CACHE = false;
  template <class Kblock> using shared = stream_of<Kblock, ROWS, ROUND, RING>;
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

// What a kernel has in shared memory for its tilings.
#define TILING_LDS(Tiling, Kblock, name)                                                           \
  HIP_DYNAMIC_SHARED(uint4, dynamic_bytes)                                                         \
  auto &name = *(typename Tiling::template shared<Kblock> *)dynamic_bytes

// Starts a kernel of a tiling on a grid of blocks.
#define LAUNCH_TILING(pass, kernel, Tiling, Kblock, grid, ...)                                     \
  LAUNCH_EARLY(kernel, Tiling::THROUGH_CACHE ? DRIVERS_CHOICE : MOST_SHARED, grid,                 \
               dim3((unsigned)Tiling::THREADS), sizeof(typename Tiling::template shared<Kblock>),  \
               (hipStream_t)(pass)->stream, __VA_ARGS__)

#endif
