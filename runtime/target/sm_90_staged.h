// How a block of several warps multiplies on sm_90: weights and tokens go through a ring in shared memory,
// several units ahead, by copies that need no registers.
#ifndef GETP_TARGET_SM_90_STAGED_H
#define GETP_TARGET_SM_90_STAGED_H

constexpr int RING = 4;      // units in the ring
constexpr int TOKEN_PAD = 1; // octets: threads that copy the octets of a row meet no bank twice

// Fragments out of shared memory, where octet o of row r is at `from` + o * stride + row(r): four matrices of eight
// rows and eight columns at a time, rows row(0..7) and row(8..15) of octets 2j and 2j + 1.
template <class Row> DEVICE void load_matrices(half4 (&part)[HELD], bool rows_first, const char *from, int stride, Row row) {
  const int lane = lane_of_wave(), matrix = lane / 8;
  const int half = rows_first ? matrix % 2 : matrix / 2, octet = rows_first ? matrix / 2 : matrix % 2;
  uint32_t got[4];
  load_matrices_x4(got, from + octet * stride + row(lane % 8 + half * 8));
  for (int h = 0; h < HELD; h++)
    part[h] = bits_as<half4>(rows_first ? make_uint2(got[h], got[h + 2]) : make_uint2(got[2 * h], got[2 * h + 1]));
}

// A unit of a tile in shared memory, where no eight lanes that read together meet a bank twice.
template <class Unit> struct shared_unit;

template <> struct shared_unit<f16_unit> {
  static constexpr int GROUP = TILE * 16 + 32, BYTES = 2 * 4 * GROUP;
  const char *at;

  DEVICE_MEMBER void open(const char *from) {
    at = from;
  }
  static DEVICE_MEMBER int row_at(int row) {
    return row * 16 + row / 8 * 32;
  }
  // Where 16 bytes of the unit go.
  static DEVICE_MEMBER int place(int chunk) {
    return chunk / TILE * GROUP + row_at(chunk % TILE);
  }
  template <int S> DEVICE_MEMBER fragments expand() const {
    fragments both;
    // row i of matrix h is weight_row of the lanes 4 i
    for (int j = 0; j < 2; j++)
      load_matrices(both.part[j], false, at + (S * 4 + j * 2) * GROUP, GROUP,
                    [](int i) { return row_at(weight_row(i % 8 * 4, i / 8)); });
    return both;
  }
};

template <> struct shared_unit<mxfp4_unit> {
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
      const int row = weight_row(lane, h);
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

template <class Unit, int TILES, int TOKENS> struct ring_slot {
  char weights[TILES][shared_unit<Unit>::BYTES];
  uint4 octet[OCTETS][TOKENS + TOKEN_PAD];
};

template <class Unit, int FRAGS, int TOKENS, int SPLIT> struct stage_of {
  static constexpr int TILES = MATRIX_BLOCK / WAVE / SPLIT * FRAGS;
  ring_slot<Unit, TILES, TOKENS * SPLIT * TILE> slot[RING];
};

// What a thread copies of each unit: pieces of 16 bytes of the block's weights and tokens.
template <class Unit, int FRAGS, int TOKENS, int SPLIT> struct unit_copy {
  using stage = stage_of<Unit, FRAGS, TOKENS, SPLIT>;
  static constexpr int CHUNKS = Unit::BYTES / 16, WEIGHTS = stage::TILES * CHUNKS;
  static constexpr int ROWS = MATRIX_BLOCK / OCTETS, TOKEN_COPIES = TOKENS * SPLIT * TILE / ROWS;
  static constexpr int WEIGHT_COPIES = (WEIGHTS + MATRIX_BLOCK - 1) / MATRIX_BLOCK;
  uint32_t weight_from[WEIGHT_COPIES], token_from[TOKEN_COPIES]; // bytes

  template <class Tile, class Row> DEVICE_MEMBER void plan(const char *first, Tile tile_at, Row row) {
#pragma unroll
    for (int i = 0; i < WEIGHT_COPIES; i++) {
      const int piece = (int)threadIdx.x + i * MATRIX_BLOCK;
      if (piece < WEIGHTS)
        weight_from[i] = (uint32_t)(tile_at(piece / CHUNKS) - first) + TILE_HEAD + piece % CHUNKS * 16;
    }
#pragma unroll
    for (int i = 0; i < TOKEN_COPIES; i++)
      token_from[i] = row((int)threadIdx.x / OCTETS + i * ROWS) + threadIdx.x % OCTETS * 16;
  }
  DEVICE_MEMBER void start(ring_slot<Unit, stage::TILES, TOKENS * SPLIT * TILE> &slot, const char *weights,
                           const char *tokens, int unit) const {
#pragma unroll
    for (int i = 0; i < WEIGHT_COPIES; i++) {
      const int piece = (int)threadIdx.x + i * MATRIX_BLOCK;
      if (piece < WEIGHTS)
        copy_async_16(&slot.weights[piece / CHUNKS][shared_unit<Unit>::place(piece % CHUNKS)],
                      weights + weight_from[i] + unit * Unit::BYTES);
    }
#pragma unroll
    for (int i = 0; i < TOKEN_COPIES; i++)
      copy_async_16(&slot.octet[threadIdx.x % OCTETS][(int)threadIdx.x / OCTETS + i * ROWS],
                    tokens + token_from[i] + unit * UNIT * 2);
  }
};

// sums = weights x tokens over UNITS units from `first_unit` on. The block's tile i of weights is tile_at(i), its
// token t begins at byte row(t) of `tokens`.
template <class Unit, int UNITS, int FRAGS, int TOKENS, int SPLIT, class Tile, class Row>
DEVICE void product_staged(sums<FRAGS, TOKENS> &sum, Tile tile_at, int first_unit,
                           stage_of<Unit, FRAGS, TOKENS, SPLIT> &stage, const char *tokens, Row row) {
  const int first_token = first_token_of_wave<TOKENS, SPLIT>();
  const char *weights = tile_at(0);
  unit_copy<Unit, FRAGS, TOKENS, SPLIT> copy;
  copy.plan(weights, tile_at, row);
  sum.clear();
#pragma unroll
  for (int u = 0; u < RING - 1; u++) {
    if (u < UNITS)
      copy.start(stage.slot[u], weights, tokens, first_unit + u);
    commit_copies();
  }
#pragma unroll 1
  for (int u = 0; u < UNITS; u++) {
    wait_for_copies_but<RING - 2>();
    __syncthreads(); // the unit is there for all, and nobody reads the slot of the unit before
    if (u + RING - 1 < UNITS)
      copy.start(stage.slot[(u + RING - 1) % RING], weights, tokens, first_unit + u + RING - 1);
    commit_copies();
    const auto &slot = stage.slot[u % RING];
    shared_unit<Unit> unit[FRAGS];
#pragma unroll
    for (int f = 0; f < FRAGS; f++)
      unit[f].open(slot.weights[first_tile_of_wave<FRAGS, SPLIT>() + f]);
    multiply_unit(sum, unit, [&](int s, int n) {
      fragments both;
      for (int j = 0; j < 2; j++)
        load_matrices(both.part[j], true, (const char *)&slot.octet[s * 4 + j * 2][first_token + n * TILE],
                      sizeof slot.octet[0], [](int i) { return i * 16; });
      return both;
    });
  }
}

// What a kernel has in shared memory for its shares, and the bytes that its launch asks for.
#define SHARED_STAGE(Share, Unit, name)                                                            \
  HIP_DYNAMIC_SHARED(uint4, dynamic_bytes)                                                         \
  auto &name = *(typename Share::template shared<Unit> *)dynamic_bytes
#define DYNAMIC_BYTES(Share, Unit) ((int)sizeof(typename Share::template shared<Unit>))

#endif
