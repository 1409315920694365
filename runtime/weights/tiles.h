// The pack step: turns matrices of a checkpoint into the tiles of formats/tiles.h.
#ifndef GETP_WEIGHTS_TILES_H
#define GETP_WEIGHTS_TILES_H

#include "formats/tiles.h"
#include "weights/matrices.h"

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
