// A packed file holds all that a getp needs of a checkpoint, with the weights as its tree stores
// them: a GPU gets them by copies, and the host reads them where the file is mapped. `getp pack`
// writes it, and the getp of the same tree reads it in place of a checkpoint folder.
//
//   head       the tree and the model that it was packed for, the ids that end a sequence, the
//              length and a checksum of what follows, and a checksum of the head
//   tokenizer  the text of tokenizer.json, or nothing
//   image      at a multiple of 4096 bytes: the packed weights at their offsets in weights.inc,
//              then those that the tree reads in place
//
// Numbers are little-endian. Loading does not read the whole file, so it does not compare the
// checksum of the content with the content; packed_verify does.
#ifndef GETP_WEIGHTS_PACKED_H
#define GETP_WEIGHTS_PACKED_H

#include "base/file.h"
#include "checkpoint/config.h"
#include "checkpoint/stop_ids.h"
#include "weights/weights.h"

// An open packed file. A zeroed one is closed.
struct packed {
  const uint8_t *map;
  size_t bytes;
  int file;
  const char *path;
  const char *tree;      // in the map
  const uint8_t *image;  // in the map, aligned to 4096
  struct text tokenizer; // in the map; 0 bytes if the file has none
  struct stop_ids stop;
};

// True if a file begins like a packed file.
bool packed_is(const char *path);

// Opens and maps a packed file; `path` must outlive it. Refuses a file that is cut off or has a
// damaged head, that was packed for another tree, another table or another config, and a stop id
// outside of the vocabulary.
bool packed_open(struct packed *packed, const char *path, const struct weight_table *table,
                 const struct model_config *config, struct error *err);

// The same for a file of any tree, whose weights nobody will read. Its stop ids can be any numbers.
bool packed_open_any(struct packed *packed, const char *path, struct error *err);

void packed_close(struct packed *packed);

// Called after each piece of a long piece of work, with the bytes done so far. If it returns false,
// the work fails with its message.
typedef bool (*packed_watcher)(void *context, size_t done, size_t total, struct error *err);

// Reads the whole file, with all threads, and compares the checksum of its content with that in its
// head. `watch` may be NULL.
bool packed_verify(const struct packed *packed, packed_watcher watch, void *context,
                   struct error *err);

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

// Writes the file at `path` as base/replace.h does. The watcher gets bytes of weights.
bool packed_write(const char *path, const struct packed_content *content, packed_watcher watch,
                  void *context, struct error *err);

#endif
