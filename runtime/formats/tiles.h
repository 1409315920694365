// Tiles: the order in which packed matrices lie in memory. The host packs them
// (weights/tiles.c), matrix kernels multiply with them (target/mixed/matrix.h), and
// gen/tiles.lua counts their bytes.
//
// A matrix W[N][K] has N features of K weights each; a feature is one of the N results for a token,
// a column is an index along K. A tile holds all columns of 16 consecutive features. The matrices
// of a tensor follow one another. Each is padded with zeros on its own: N to a multiple of 16, K to
// a multiple of 64.
//
//   tile     scale[feature] kblock kblock ...    16 floats, then 64 columns per kblock
//   kblock   F16:    half[s][p][feature][c]      2 x 4 x 16 x 8 halves, 2048 bytes
//            MXFP4:  word[p][feature][s]         4 x 16 x 2 words of 4 bytes, 8 codes each
//                    group_scale[feature][s]     16 x 2 bytes, 544 with the words
//
// Column 32s + 8p + c of a kblock is half[s][p][.][c], or code c of word[p][.][s]. In woven tiles,
// which suit the matrix instructions of NVIDIA GPUs, word p of 32 columns has the columns 8i + 2p
// and 8i + 2p + 1 as codes 2i and 2i + 1, for i in 0..3.
//
// A weight is its half, or its code times its group scale, times the scale of its feature. The
// scale of a feature is a power of two; that of a padding feature is 1.
//
// F16. Let 2^e <= the largest finite |w| of the feature < 2^(e + 1). The scale is 2^(e - 14), but
// at least 2^-126. A half is w / scale, rounded to nearest even. So a BF16 within 2^28 of the
// largest is held exactly, and as a normal half. An infinity stays an infinity, a NaN stays a NaN.
// A feature with no finite number except zeros has the scale 1.
//
// MXFP4. The bits of a word q are in the order from which a kernel makes f16 with few instructions:
//     q & M    (q << 8) & M    reversed(q) & M    (reversed(q) << 8) & M        M = 0x8e008e00
// have the codes 0 and 1, 2 and 3, 4 and 5, 6 and 7 in their low and high half, as an f16 that is
// 2^-14 times the value of the code. A group scale is the upper byte of the f16 2^(E - 15), where
// E = 30 + scale of the group in the checkpoint - largest such scale of the feature. If E < 1, it
// is 0 and the weights of the group become zeros. The scale of a feature is 2^(largest - 128). The
// scale 255 of a group is a NaN (OCP Microscaling Formats 1.0, 5.4.1); it stays one and is never
// the largest.
#ifndef GETP_FORMATS_TILES_H
#define GETP_FORMATS_TILES_H

enum {
  TILE = 16,      // features of a tile, and tokens of a matrix instruction
  KBLOCK = 64,    // columns of a kblock
  TILE_HEAD = 64, // bytes of the scales of a tile, before its kblocks
  F16_KBLOCK_BYTES = TILE * KBLOCK * 2,
  MXFP4_KBLOCK_BYTES = TILE * KBLOCK / 2 + TILE * KBLOCK / 32,
};

#endif
