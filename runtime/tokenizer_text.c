#include "tokenizer_text.h"

#include "checkpoint/location.h"
#include "tokenizer/tokenizer.h"
#include "weights/packed.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static bool read_folder(struct tokenizer_text *found, const char *path, struct error *err) {
  struct location location;
  char *where = NULL;
  if (location_find(&location, path, err))
    where = location_file(&location, "tokenizer.json", err);
  location_free(&location);
  return tokenizer_text_read_file(found, where, err);
}

static bool copy_packed(struct tokenizer_text *found, const struct packed *packed,
                        struct error *err) {
  const struct text *text = &packed->tokenizer;
  if (text->n == 0)
    return fail(err, "%s: want a tokenizer.json in it, found none: name another with -z",
                packed->path);
  found->where = strdup(packed->path);
  found->text.bytes = malloc(text->n);
  if (!found->where || !found->text.bytes)
    return fail(err, "%s: out of memory for its tokenizer", packed->path);
  memcpy(found->text.bytes, text->bytes, text->n);
  found->text.n = text->n;
  return true;
}

static bool read_packed(struct tokenizer_text *found, const char *path, struct error *err) {
  struct packed packed = {0};
  const bool ok = packed_open_any(&packed, path, err) && copy_packed(found, &packed, err);
  packed_close(&packed);
  return ok;
}

bool tokenizer_text_read_file(struct tokenizer_text *found, char *where, struct error *err) {
  *found = (struct tokenizer_text){.where = where};
  return where && text_read_regular(&found->text, where, TOKENIZER_MAX_BYTES, err);
}

bool tokenizer_text_read(struct tokenizer_text *found, const char *path, struct error *err) {
  struct stat status;
  *found = (struct tokenizer_text){0};
  if (stat(path, &status) == 0 && S_ISDIR(status.st_mode))
    return read_folder(found, path, err);
  if (packed_is(path))
    return read_packed(found, path, err);
  char *where = strdup(path);
  return where ? tokenizer_text_read_file(found, where, err)
               : fail(err, "%s: out of memory for the path", path);
}

void tokenizer_text_free(struct tokenizer_text *found) {
  free(found->where);
  free(found->text.bytes);
  *found = (struct tokenizer_text){0};
}
