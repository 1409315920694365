// A packed file holds all that a getp needs of a checkpoint, with the weights as its tree stores
// them, so that loading is copying. `getp pack` writes it, and the getp of the same tree reads it
// in place of a checkpoint folder.
//
//   head       the tree and the model that it was packed for, the ids that end a sequence, and a
//              checksum of the head
//   tokenizer  the text of tokenizer.json, or nothing
//   image      at a multiple of 4096 bytes: the packed weights at their offsets in weights.inc,
//   then
//              those that the tree reads in place
//
// Numbers are little-endian. The image has no checksum.
#ifndef GETP_CHECKPOINT_PACKED_H
#define GETP_CHECKPOINT_PACKED_H

#include "base/file.h"
#include "checkpoint/config.h"
#include "checkpoint/stop_ids.h"
#include "checkpoint/weights.h"

// An open packed file. A zeroed one is closed.
struct packed {
  const uint8_t *map;
  size_t bytes;
  int file;
  const char *path;
  const uint8_t *image;  // in the map, aligned to 4096
  struct text tokenizer; // in the map; 0 bytes if the file has none
  struct stop_ids stop;
};

// True if a file begins like a packed file.
bool packed_is(const char *path);

// Opens and maps a packed file; `path` must outlive it. Refuses a file that is cut off, or that was
// packed for another tree, another table or another config.
bool packed_open(struct packed *packed, const char *path, const struct weight_table *table,
                 const struct model_config *config, struct error *err);
void packed_close(struct packed *packed);

// Reads n bytes of the image from `first` on, with all threads. It uses system calls, since
// entering every mapped page into the page table and removing it again takes longer than copying
// it.
bool packed_read(const struct packed *packed, size_t first, size_t n, void *to, struct error *err);

// The content of a packed file.
struct packed_content {
  struct weight_table table;
  const struct model_config *config;
  const struct checkpoint *checkpoint;
  const struct stop_ids *stop;
  struct text tokenizer;
};

// Called after each piece of the weights. If it returns false, packed_write fails with its message.
typedef bool (*packed_watcher)(void *context, size_t written, size_t total, struct error *err);

// Writes PATH.new and renames it to PATH, as base/replace.h does.
bool packed_write(const char *path, const struct packed_content *content, packed_watcher watch,
                  void *context, struct error *err);

#endif
