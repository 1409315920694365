// Matrices in the order in which matrix kernels read them: tiles of 16 rows.
//
// Each of `matrices` has its rows padded with zeros to a multiple of 16 on its own, its columns to
// a multiple of 64. A tile begins with 16 floats, the scales of its rows, each a power of two, and
// goes on with its values:
//
// F16: for each 32 columns 1024 bytes, [p in 0..3][row] of 8 halves, columns 8p..8p+7 of the 32.
//   scale = 2^(e - 14) for 2^e <= the largest finite |w| of the row < 2^(e + 1), but at least
//   2^-126; half = w / scale, to nearest even. So a BF16 within 2^28 of its row's largest is held
//   exactly, and as a normal number. An infinity or a NaN stays one. The scale of a row without a
//   finite number but zero is 1.
// MXFP4: for each 64 columns 544 bytes. First [p in 0..3][row][s in 0..1] of 4 bytes, the codes of
//   columns 32s + 8p + 0..7, whose bits are in the order that makes f16 of them: in
//     q & M, (q << 8) & M, reversed(q) & M, (reversed(q) << 8) & M,   M = 0x8e008e00,
//   the halves are columns 0 (low), 1 (high), 2, 3, ... 7, each 2^-14 times the code's value. Then
//   [row][s] of 1 byte, the upper byte of the f16 2^(E - 15), E = 30 + group's scale - the largest
//   scale of the row; 0, and so zero weights, if E < 1. Row scale = 2^(largest - 128).
//   The scale 255 is a NaN (OCP Microscaling Formats 1.0, 5.4.1): it stays one and is never the
//   largest.
// A row of padding has the scale 1.
#ifndef GETP_CHECKPOINT_TILES_H
#define GETP_CHECKPOINT_TILES_H

#include "checkpoint/safetensors.h"

enum { TILE_ROWS = 16 };

// The matrices of a checkpoint's tensor, [matrices, rows, columns].
struct tile_source {
  size_t matrices, rows, columns;
  // Not 0: row 2i of a head of the tiles is row i of the checkpoint's head, row 2i + 1 is row
  // i + head_dim / 2. Not of a transposed source.
  size_t head_dim;
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
size_t tile_paired_row(size_t row, size_t head_dim);

size_t tile_count(const struct tile_source *source);
size_t tile_bytes_f16(size_t columns);
size_t tile_bytes_mxfp4(size_t columns);

// Write tiles [first, first + n) to `out`, with all threads.
void tiles_pack_f16(const struct tile_source *source, size_t first, size_t n, uint8_t *out);
void tiles_pack_mxfp4(const struct tile_source *source, size_t first, size_t n, uint8_t *out);

#endif
