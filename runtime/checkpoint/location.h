// What lies at the path that a user names as the checkpoint, and where its other files are.
#ifndef GETP_CHECKPOINT_LOCATION_H
#define GETP_CHECKPOINT_LOCATION_H

#include "base/error.h"

struct location {
  bool is_bin;  // a file, see checkpoint/bin.h; false: a folder with config.json and safetensors
  char *folder; // which holds the checkpoint
  char *beside; // another folder that may hold its tokenizer.json and the like, or NULL
};

// Finds out what lies at `path`. A folder without safetensors whose folder `original` has some
// stands for that folder. Refuses by name what is known to be something else; that it is a packed
// file the caller must have excluded. The caller calls location_free, even after a failure.
bool location_find(struct location *location, const char *path, struct error *err);
void location_free(struct location *location);

// The path of a file: in the folder, or in the one beside it if only that has such a file. The
// caller frees it. NULL with a message when memory runs out or a folder cannot be searched.
char *location_file(const struct location *location, const char *name, struct error *err);

#endif
