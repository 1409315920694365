// Writes the files of a checkpoint into a new or empty folder, and removes them if something fails.
#ifndef CHECKPOINT_FILES_H
#define CHECKPOINT_FILES_H

#include "base/file.h"
#include "tensors.h"

// The output folder, and what to undo in it.
struct folder {
  const char *path;
  bool fresh;   // we made the folder
  char **files; // (n) paths of the files that we made
  size_t n;
};

// Opens an empty folder, or makes it; its parent must exist. Nothing is overwritten: a folder that
// holds anything is an error.
bool folder_open(struct folder *folder, const char *path, struct error *err);

// Frees the folder; unless `ok`, removes what was made.
void folder_close(struct folder *folder, bool ok);

bool write_file(struct folder *folder, const char *name, struct text text, struct error *err);

// Writes the safetensors of all shards, their index if there are several, and
// generation_config.json. At most one chunk per thread is in memory.
bool write_checkpoint(struct folder *folder, const struct plan *plan, struct error *err);

#endif
