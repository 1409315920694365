// Writes a file as a whole. The new file has no name until it is complete and synced to the disk;
// then it is renamed to PATH. After a failure or a kill, PATH is as it was before. If PATH is a
// link, the file to which it leads is replaced. The new file has the mode of the old one, and its
// owner where that is allowed.
//
// A device, a pipe, or an open file such as /dev/stdout cannot be replaced: it is written straight.
#ifndef GETP_BASE_REPLACE_H
#define GETP_BASE_REPLACE_H

#include "base/error.h"

#include <stddef.h>
#include <stdio.h>
#include <sys/types.h>

struct replacement {
  const char *path;
  char *target;  // where the links at PATH lead
  char *fresh;   // the name of the new file, on file systems that have no files without a name
  int file;      // the new file, or what is written straight; or -1
  bool straight; // `file` is what is at PATH
  off_t first;   // where byte 0 is in `file`
};

// Opens a new file to be written at any offset; `path` must outlive the replacement. Refuses a
// folder, and a pipe or a terminal, which have no offsets. The caller must call replace_end even
// after a failure.
bool replace_begin(struct replacement *replacement, const char *path, struct error *err);

// The same for a file that is written from its beginning to its end, by replace_stream. Refuses a
// folder only.
bool replace_begin_in_order(struct replacement *replacement, const char *path, struct error *err);

// Reserves n bytes, so that a full disk is found before the work. Not every file system can do it.
bool replace_reserve(const struct replacement *replacement, size_t n, struct error *err);

// Writes n bytes at an offset. What no write reaches is zero.
bool replace_write(const struct replacement *replacement, const void *bytes, size_t n,
                   size_t offset, struct error *err);

// A stream on the new file. Its writes are repeated when a signal interrupts them. The caller
// closes it before replace_end. NULL with a message when memory runs out.
FILE *replace_stream(struct replacement *replacement, struct error *err);

// If `ok`, makes the new file PATH. Otherwise, or if that fails, nothing of it stays. Returns true
// if PATH is the new file; err is untouched if `ok` was false.
bool replace_end(struct replacement *replacement, bool ok, struct error *err);

#endif
