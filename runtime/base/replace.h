// Replaces a file as a whole: writes PATH.new, syncs it to the disk, and renames it to PATH. After
// a failure or a kill, PATH is as it was before.
#ifndef GETP_BASE_REPLACE_H
#define GETP_BASE_REPLACE_H

#include "base/error.h"

#include <stddef.h>

struct replacement {
  const char *path;
  char *fresh; // PATH.new
  int file;    // the open PATH.new, or -1
};

// Creates PATH.new; `path` must outlive the replacement. Refuses a PATH that exists and is not a
// regular file. The caller must call replace_end even after a failure.
bool replace_begin(struct replacement *replacement, const char *path, struct error *err);

// Writes n bytes at an offset of PATH.new. What no write reaches is zero.
bool replace_write(const struct replacement *replacement, const void *bytes, size_t n,
                   size_t offset, struct error *err);

// If `ok`, syncs PATH.new and renames it to PATH. Otherwise, or if that fails, removes PATH.new.
// Returns true if PATH is the new file; err is untouched if `ok` was false.
bool replace_end(struct replacement *replacement, bool ok, struct error *err);

#endif
