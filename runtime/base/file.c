#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// The file may be a pipe, whose length nobody knows, so the buffer grows until the end is reached.
static bool read_all(struct text *text, FILE *file, const char *path, struct error *err) {
  size_t capacity = 1 << 16;
  for (;;) {
    char *grown = realloc(text->bytes, capacity);
    if (!grown)
      return fail(err, "%s: out of memory for %zu bytes", path, capacity);
    text->bytes = grown;
    const size_t want = capacity - 1 - text->n;
    const size_t got = fread(text->bytes + text->n, 1, want, file);
    text->n += got;
    text->bytes[text->n] = 0;
    if (ferror(file))
      return fail(err, "%s: %s", path, strerror(errno));
    if (got < want)
      return true;
    capacity *= 2;
  }
}

bool text_read(struct text *text, const char *path, struct error *err) {
  *text = (struct text){0};
  FILE *file = fopen(path, "rb");
  if (!file)
    return fail(err, "%s: %s", path, strerror(errno));
  const bool ok = read_all(text, file, path, err);
  fclose(file);
  if (!ok) {
    free(text->bytes);
    *text = (struct text){0};
  }
  return ok;
}

// Only a regular file is read: a pipe would lose what is read here.
bool lfs_check(const char *path, struct error *err) {
  static const char POINTER[] = "version https://git-lfs.github.com/spec/v1";
  enum { LENGTH = sizeof POINTER - 1 };
  char begin[LENGTH];
  struct stat status;
  const int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0)
    return true;
  const bool is = fstat(file, &status) == 0 && S_ISREG(status.st_mode) &&
                  read(file, begin, LENGTH) == LENGTH && memcmp(begin, POINTER, LENGTH) == 0;
  close(file);
  return !is || fail(err,
                     "%s: want the file itself, found a git-lfs pointer to it: run `git lfs pull` "
                     "in its folder",
                     path);
}
