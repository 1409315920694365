// Matrices to pack, their tiles, and what a kernel would read from the tiles.
#ifndef GETP_TESTS_TILES_SUPPORT_H
#define GETP_TESTS_TILES_SUPPORT_H

#include "support.h"
#include "weights/tiles.h"

enum { GUARD = 0xa5 }; // the byte after everything that is packed

// Matrices with memory of their own, and their tiles.
struct packed_tiles {
  struct matrices matrices;
  uint8_t *data, *scales, *tiles;
  size_t width; // bytes of a number; 0 for MXFP4
  size_t n, tile_bytes;
  uint64_t state; // of the random numbers
};

// Allocates data, scales and tiles for matrices of numbers of `width` bytes, or of MXFP4 for 0.
struct packed_tiles make_tiles(struct matrices matrices, size_t width);
void free_tiles(struct packed_tiles *t);
uint8_t *allocate(size_t bytes);

// Fill in random numbers of all magnitudes that weights have, or random codes whose scales are
// within `spread` of the largest of the feature, which is at most `largest`.
void fill_floats(struct packed_tiles *t);
void fill_codes(struct packed_tiles *t, uint32_t largest, uint32_t spread);
void set_number(struct packed_tiles *t, size_t index, float value);

// Pack all tiles, or n of them to `out`.
void pack(struct packed_tiles *t);
void pack_some(const struct packed_tiles *t, size_t first, size_t n, uint8_t *out);

// All numbers of the matrices.
size_t numbers_of(const struct matrices *matrices);

// What a kernel reads from a tile: a scale, a half, a number of the matrix.
double feature_scale(const uint8_t *tile, size_t feature);
uint16_t tile_half(const uint8_t *tile, size_t feature, size_t column);
double unpacked(const struct packed_tiles *t, size_t matrix, size_t feature, size_t column);

// The number in the checkpoint.
double original(const struct packed_tiles *t, size_t matrix, size_t feature, size_t column);

// Assert that two numbers are equal, -0 and NaN included; that all tiles hold what they should, and
// zeros as padding.
void assert_number(double got, double want);
void assert_tiles(const struct packed_tiles *t);

#endif
