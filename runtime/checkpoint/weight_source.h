// The weights of a tree, from whichever file holds them: a checkpoint's tensors, converted as they
// are read, or the image of a packed file. Whoever loads them needs to know neither format.
#ifndef GETP_CHECKPOINT_WEIGHT_SOURCE_H
#define GETP_CHECKPOINT_WEIGHT_SOURCE_H

#include "checkpoint/packed.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/weights.h"

struct weight_source {
  struct weight_table table;
  const struct safetensors *checkpoint; // NULL: the packed file
  const struct packed *packed;
};

// weight[i] = where tensor i of the table will be: in `packed`, memory of table.packed_bytes, or,
// if the tree reads it in place, in the source's map. Refuses, by name, a tensor of a checkpoint
// that is missing or not as the table has it.
bool weight_source_locate(const struct weight_source *source, const uint8_t *packed,
                          const uint8_t **weight, struct error *err);

// How far the packed weights have been read; zeroed is the beginning.
struct weight_cursor {
  int next;                // the tensor after the one that is being read
  size_t offset;           // of a checkpoint's: read so far of it; of a packed file's: of the image
  struct weight_view view; // the tensor that is being read; its spec is NULL before the first
};

// Bytes of the packed weights.
struct weight_piece {
  size_t offset, bytes;
};

// The next piece, of at most `most` bytes; of no bytes when all have been read. Fails if not even a
// granule of a tensor fits.
bool weight_source_next(const struct weight_source *source, struct weight_cursor *cursor,
                        size_t most, struct weight_piece *piece, struct error *err);

// Reads the piece that weight_source_next has just given.
bool weight_source_read(const struct weight_source *source, const struct weight_cursor *cursor,
                        const struct weight_piece *piece, void *to, struct error *err);

#endif
