// What the pack steps (weights/tiles.h, weights/panels.h) read.
#ifndef GETP_WEIGHTS_MATRICES_H
#define GETP_WEIGHTS_MATRICES_H

#include "checkpoint/dtype.h"

// The matrices of a tensor, as the checkpoint holds them and as they are to be packed.
struct matrices {
  size_t n, features, columns;

  // (n, features, columns) numbers of a float type. For MXFP4: (n, features, columns / 2) bytes,
  // with the code of the even column in the low nibble; columns is then a multiple of 32.
  const uint8_t *data;
  enum dtype dtype;
  bool transposed;       // `data` is (n, columns, features) instead; not for MXFP4
  const uint8_t *scales; // for MXFP4: (n, features, columns / 32)

  // For tiles alone. d_head is not 0: the features of each head of d_head are paired
  // (tile_paired_feature), not in transposed matrices. woven: those of MXFP4 are woven tiles.
  size_t d_head;
  bool woven;
};

#endif
