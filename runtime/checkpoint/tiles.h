// The pack step: matrices of a checkpoint to the tiles of formats/tiles.h.
#ifndef GETP_CHECKPOINT_TILES_H
#define GETP_CHECKPOINT_TILES_H

#include "checkpoint/dtype.h"
#include "formats/tiles.h"

// The matrices of a checkpoint's tensor, [matrices, rows, columns].
struct tile_source {
  size_t matrices, features, columns;
  // Not 0: row 2i of a head of the tiles is row i of the checkpoint's head, row 2i + 1 is row
  // i + d_head / 2. Not of a transposed source.
  size_t d_head;
  // Values of a float type; or MXFP4 codes, [matrices, rows, columns / 2], columns a multiple of
  // 32, the even column in the low nibble.
  const uint8_t *data;
  enum dtype dtype;
  // Of MXFP4: a code word has two columns out of each eight of its 32, 8i + 2p and 8i + 2p + 1 for
  // i in 0..3, in place of 8p..8p+7: what a lane of an NVIDIA matrix instruction needs.
  bool woven;
  bool transposed;       // values are [matrices, columns, rows]
  const uint8_t *scales; // of MXFP4: [matrices, rows, columns / 32]
};

// The row of its tensor that comes at place `row` when rows are paired within heads.
size_t tile_paired_feature(size_t row, size_t d_head);

size_t tile_count(const struct tile_source *source);
size_t tile_bytes_f16(size_t columns);
size_t tile_bytes_mxfp4(size_t columns);

// Write tiles [first, first + n) to `out`, with all threads.
void tiles_pack_f16(const struct tile_source *source, size_t first, size_t n, uint8_t *out);
void tiles_pack_mxfp4(const struct tile_source *source, size_t first, size_t n, uint8_t *out);

#endif
