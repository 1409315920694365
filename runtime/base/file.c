#include "base/file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Grows the buffer until the file ends: it may be a pipe.
static bool read_all(struct text *text, FILE *file, const char *path, struct error *err) {
  size_t capacity = 1 << 16;
  for (;;) {
    char *grown = realloc(text->bytes, capacity);
    if (!grown)
      return fail(err, "%s: out of memory after %zu bytes", path, text->n);
    text->bytes = grown;
    const size_t room = capacity - 1 - text->n;
    const size_t got = fread(text->bytes + text->n, 1, room, file);
    text->n += got;
    text->bytes[text->n] = 0;
    if (ferror(file))
      return fail(err, "%s: %s", path, strerror(errno));
    if (got < room)
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
