// The weights of a tree, from either kind of file: a checkpoint folder, whose tensors are converted
// while they are read, or a packed file, which holds them as the tree stores them. The engine needs
// to know neither format.
#ifndef GETP_WEIGHTS_WEIGHT_SOURCE_H
#define GETP_WEIGHTS_WEIGHT_SOURCE_H

#include "checkpoint/checkpoint.h"
#include "weights/packed.h"
#include "weights/weights.h"

struct weight_source {
  struct weight_table table;
  const struct checkpoint *checkpoint; // NULL: the weights are in `packed`
  const struct packed *packed;
};

// The bytes of the packed weights: table.packed_bytes, and after them the mapped weights that the
// checkpoint has in another dtype, or flipped. Names a tensor of a checkpoint that is missing or
// not as its spec says.
bool weight_source_bytes(const struct weight_source *source, size_t *bytes, struct error *err);

// True if the tree reads all weights where the packed file is mapped: no memory is allocated for
// them, and nothing is copied.
bool weight_source_is_mapped(const struct weight_source *source);

// Fills in the address of each weight of the table: in `packed`, which is memory for the packed
// weights, or, if the tree reads the weight in place, in the map of the source. `packed` is NULL if
// it reads all of them so.
bool weight_source_locate(const struct weight_source *source, const uint8_t *packed,
                          const uint8_t **weight, struct error *err);

// A piece of the packed weights. A zeroed one is before the first.
struct weight_piece {
  size_t offset, bytes; // in the packed weights

  // Unused for a packed file: the weight that it belongs to, and where that begins; the bytes of
  // the converted weights up to and including it.
  struct weight_view view;
  size_t begin, converted;
};

// Moves on to the next piece, of at most `most` bytes. After the last piece comes one of 0 bytes.
// Refuses a weight of which not even one granule fits into `most` bytes.
bool weight_source_next(const struct weight_source *source, struct weight_piece *piece, size_t most,
                        struct error *err);

// Reads a piece to `to`, with all threads. Of weights in place it only brings the pages into
// memory.
bool weight_source_read(const struct weight_source *source, const struct weight_piece *piece,
                        void *to, struct error *err);

#endif
