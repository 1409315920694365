// A packed file: all that a getp needs of a checkpoint, the weights as its tree stores them, so
// that warming up is copying. `getp pack` writes it; the getp of the same tree takes it for a
// checkpoint.
//
//   head       who it is for, the ids that end a sequence, a checksum of itself
//   tokenizer  the text of tokenizer.json, or nothing
//   image      from a multiple of 4096 bytes on: the packed tensors at their offsets in
//              weights.inc, behind them those that the tree reads in place
//
// Numbers are little-endian. The image itself has no checksum.
#ifndef GETP_CHECKPOINT_PACKED_H
#define GETP_CHECKPOINT_PACKED_H

#include "base/file.h"
#include "checkpoint/config.h"
#include "checkpoint/stop_ids.h"
#include "checkpoint/weights.h"

// An open file; zeroed is closed.
struct packed {
  const uint8_t *map;
  size_t bytes;
  int file;
  const char *path;      // as it was given
  const uint8_t *image;  // in the map, aligned to 4096
  struct text tokenizer; // in the map; no bytes: none
  struct stop_ids stop;
};

// True if a file begins as packed files do.
bool packed_is(const char *path);

// Opens and maps a packed file; `path` has to stay. Refuses one that is cut off, was packed for
// another tree, or whose model or weights table differ from these.
bool packed_open(struct packed *packed, const char *path, const struct weight_table *table,
                 const struct model_config *config, struct error *err);
void packed_close(struct packed *packed);

// Reads n bytes of the image from `first` on, with all threads. By system calls: mapped pages would
// each have to be entered into the page table and taken out again, which takes longer than copying
// them.
bool packed_read(const struct packed *packed, size_t first, size_t n, void *to, struct error *err);

// What goes into a packed file.
struct packed_content {
  struct weight_table table;
  const struct model_config *config;
  const struct safetensors *checkpoint;
  const struct stop_ids *stop;
  struct text tokenizer;
};

// Called after each piece of the weights; false ends the writing.
typedef bool (*packed_watcher)(void *context, size_t written, size_t total, struct error *err);

// Writes PATH.new and renames it to PATH at the end; a failure leaves PATH as it was, and nothing
// else. Refuses a PATH that is no regular file.
bool packed_write(const char *path, const struct packed_content *content, packed_watcher watch,
                  void *context, struct error *err);

#endif
