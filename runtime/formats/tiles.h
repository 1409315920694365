// Matrices in the order in which matrix kernels read them: tiles of 16 features. The host packs
// them (checkpoint/tiles.h), the device multiplies with them (target/mixed/matrix.h), gen/tiles.lua
// counts them.
//
// A feature is one of the N results that a matrix has for a token: its K weights are a row of the
// matrix [N][K]. Each of `matrices` has its features padded with zeros to a multiple of 16 on its
// own, its columns to a multiple of 64. A tile begins with 16 floats, the scales of its rows, each
// a power of two, and goes on with its values:
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
#ifndef GETP_FORMATS_TILES_H
#define GETP_FORMATS_TILES_H

enum {
  TILE = 16,      // features of a tile; also tokens that a matrix instruction takes together
  KBLOCK = 64,    // columns of K between two looks at memory
  TILE_HEAD = 64, // bytes of a tile before its kblocks: a float per feature, its scale
  F16_KBLOCK_BYTES = TILE * KBLOCK * 2,
  MXFP4_KBLOCK_BYTES = TILE * KBLOCK / 2 + TILE * KBLOCK / 32,
};

#endif
