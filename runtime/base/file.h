// Reads whole files into memory.
#ifndef GETP_BASE_FILE_H
#define GETP_BASE_FILE_H

#include "base/error.h"

#include <stddef.h>

// n bytes. After those of a file comes a NUL. Free with free(text.bytes).
struct text {
  char *bytes;
  size_t n;
};

enum { TEXT_MAX_BYTES = 1 << 30 };

// Reads a file or a pipe to its end, but refuses one of more than `most` bytes, which may have no
// end at all, as /dev/zero. A failure leaves *text empty.
bool text_read_at_most(struct text *text, const char *path, size_t most, struct error *err);

// The same with at most TEXT_MAX_BYTES.
bool text_read(struct text *text, const char *path, struct error *err);

// The same, but refuses what is not a regular file or a link to one, and never waits for a pipe.
bool text_read_regular(struct text *text, const char *path, size_t most, struct error *err);

// Finds out if there is a file of that name, even if it cannot be read or is a link to nothing.
// Fails if that cannot be found out.
bool file_exists(bool *exists, const char *path, struct error *err);

// Refuses a pointer of git-lfs: the few lines that a clone made without git-lfs has in place of a
// large file. A file that cannot be read passes, since whoever reads it next says why.
bool lfs_check(const char *path, struct error *err);

#endif
