// The weights of a tree, from either kind of file: a checkpoint folder, whose tensors are converted
// while they are read, or a packed file, which holds them as the tree stores them. The engine needs
// to know neither format.
#ifndef GETP_CHECKPOINT_WEIGHT_SOURCE_H
#define GETP_CHECKPOINT_WEIGHT_SOURCE_H

#include "checkpoint/checkpoint.h"
#include "checkpoint/packed.h"
#include "checkpoint/weights.h"

struct weight_source {
  struct weight_table table;
  const struct checkpoint *checkpoint; // NULL: the weights are in `packed`
  const struct packed *packed;
};

// Fills in the address of each weight of the table: in `packed`, which is memory of
// table.packed_bytes, or, if the tree reads the weight in place, in the map of the source. Names a
// tensor of a checkpoint that is missing or not as its spec says.
bool weight_source_locate(const struct weight_source *source, const uint8_t *packed,
                          const uint8_t **weight, struct error *err);

// A piece of the packed weights. A zeroed one is before the first.
struct weight_piece {
  size_t offset, bytes;    // in the packed weights
  struct weight_view view; // the weight that it belongs to; unused for a packed file
};

// Moves on to the next piece, of at most `most` bytes. After the last piece comes one of 0 bytes.
// Refuses a weight of which not even one granule fits into `most` bytes.
bool weight_source_next(const struct weight_source *source, struct weight_piece *piece, size_t most,
                        struct error *err);

// Reads a piece to `to`, with all threads.
bool weight_source_read(const struct weight_source *source, const struct weight_piece *piece,
                        void *to, struct error *err);

#endif
