// The pack step: turns matrices of a checkpoint into the tiles of formats/tiles.h.
#ifndef GETP_WEIGHTS_TILES_H
#define GETP_WEIGHTS_TILES_H

#include "checkpoint/dtype.h"
#include "formats/tiles.h"

// The matrices of a tensor, as the checkpoint holds them and as they are to be packed.
struct matrices {
  size_t n, features, columns;

  // (n, features, columns) numbers of a float type. For MXFP4: (n, features, columns / 2) bytes,
  // with the code of the even column in the low nibble; columns is then a multiple of 32.
  const uint8_t *data;
  enum dtype dtype;
  bool transposed;       // `data` is (n, columns, features) instead; not for MXFP4
  const uint8_t *scales; // for MXFP4: (n, features, columns / 32)

  // Not 0: the features of each head of d_head are paired (tile_paired_feature). Not for transposed
  // matrices.
  size_t d_head;
  bool woven; // for MXFP4: the tiles are woven
};

// The feature of the checkpoint that comes as number `feature` of the tiles where features are
// paired: within each head, feature i and feature i + d_head / 2, which RoPE rotates together,
// become neighbours.
size_t tile_paired_feature(size_t feature, size_t d_head);

// The number of tiles, and the bytes of one.
size_t tile_count(const struct matrices *matrices);
size_t tile_bytes_f16(size_t columns);
size_t tile_bytes_mxfp4(size_t columns);

// Write tiles [first, first + n) to `out`, with all threads.
void tiles_pack_f16(const struct matrices *matrices, size_t first, size_t n, uint8_t *out);
void tiles_pack_mxfp4(const struct matrices *matrices, size_t first, size_t n, uint8_t *out);

#endif
