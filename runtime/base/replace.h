// A file that is written beside its place, as PATH.new, and takes it at the end: a failure or a
// kill leaves PATH as it was.
#ifndef GETP_BASE_REPLACE_H
#define GETP_BASE_REPLACE_H

#include "base/error.h"

#include <stddef.h>

struct replacement {
  const char *path;
  char *fresh; // PATH.new; NULL: none was begun
  int file;    // open on it, or -1
};

// Creates PATH.new. Refuses a PATH that exists and is no regular file. replace_end is due either
// way.
bool replace_begin(struct replacement *replacement, const char *path, struct error *err);

// Writes n bytes at an offset of the new file.
bool replace_write(const struct replacement *replacement, const void *bytes, size_t n,
                   size_t offset, struct error *err);

// If `ok`, brings the new file to the disk and renames it to PATH; if not, or if that fails,
// removes it. Returns whether PATH is the new file.
bool replace_end(struct replacement *replacement, bool ok, struct error *err);

#endif
