#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// Makes the buffer larger: nobody knows the length of a pipe. It never needs more than `most` bytes
// of text, one more to see that there are too many, and a NUL.
static bool grow(struct text *text, size_t *capacity, size_t most, const char *path,
                 struct error *err) {
  const size_t wanted = *capacity ? 2 * *capacity : 1 << 16;
  const size_t bytes = wanted < most + 2 ? wanted : most + 2;
  char *grown = realloc(text->bytes, bytes);
  if (!grown)
    return fail(err, "%s: out of memory for %zu bytes", path, bytes);
  text->bytes = grown;
  *capacity = bytes;
  return true;
}

static bool read_all(struct text *text, int file, const char *path, size_t most,
                     struct error *err) {
  size_t capacity = 0;
  for (;;) {
    if (text->n + 1 >= capacity && !grow(text, &capacity, most, path, err))
      return false;
    const ssize_t got =
        TEMP_FAILURE_RETRY(read(file, text->bytes + text->n, capacity - 1 - text->n));
    if (got < 0)
      return fail(err, "%s: %s", path, strerror(errno));
    text->n += (size_t)got;
    text->bytes[text->n] = 0;
    if (got == 0)
      return true;
    if (text->n > most)
      return fail(err, "%s: want at most %zu bytes, found more", path, most);
  }
}

bool text_read_at_most(struct text *text, const char *path, size_t most, struct error *err) {
  *text = (struct text){0};
  const int file = TEMP_FAILURE_RETRY(open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY));
  if (file < 0)
    return fail(err, "%s: %s", path, strerror(errno));
  const bool ok = read_all(text, file, path, most, err);
  close(file);
  if (!ok) {
    free(text->bytes);
    *text = (struct text){0};
  }
  return ok;
}

bool text_read(struct text *text, const char *path, struct error *err) {
  return text_read_at_most(text, path, TEXT_MAX_BYTES, err);
}

// Fails with the reason why a file cannot be opened.
static bool fail_open(const char *path, int problem, struct error *err) {
  struct stat status;
  if (problem == ENOENT && lstat(path, &status) == 0)
    return fail(err, "%s: want a regular file, found a link to nothing", path);
  return fail(err, "%s: %s", path, strerror(problem));
}

static bool read_regular(struct text *text, int file, const char *path, size_t most,
                         struct error *err) {
  struct stat status;
  if (fstat(file, &status) != 0)
    return fail(err, "%s: %s", path, strerror(errno));
  if (!S_ISREG(status.st_mode))
    return fail(err, "%s: want a regular file, found something else", path);
  if ((uintmax_t)status.st_size > most)
    return fail(err, "%s: want at most %zu bytes, found %jd", path, most, (intmax_t)status.st_size);
  return read_all(text, file, path, most, err);
}

bool text_read_regular(struct text *text, const char *path, size_t most, struct error *err) {
  *text = (struct text){0};
  if (!lfs_check(path, err))
    return false;
  const int file = TEMP_FAILURE_RETRY(open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (file < 0)
    return fail_open(path, errno, err);
  const bool ok = read_regular(text, file, path, most, err);
  close(file);
  if (!ok) {
    free(text->bytes);
    *text = (struct text){0};
  }
  return ok;
}

bool file_exists(bool *exists, const char *path, struct error *err) {
  struct stat status;
  *exists = lstat(path, &status) == 0;
  return *exists || errno == ENOENT ? true : fail(err, "%s: %s", path, strerror(errno));
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
