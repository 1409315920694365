#include "base/json.h"

#include "base/file.h"
#include "base/path.h"

#include <stdlib.h>
#include <string.h>

bool json_file_exists(bool *exists, const char *directory, const char *name, struct error *err) {
  char *path = path_join(directory, name, err);
  const bool ok = path && file_exists(exists, path, err);
  free(path);
  return ok;
}

static json_t *parse(const struct text *text, const char *path, struct error *err) {
  json_error_t detail;
  const bool has_nul = memchr(text->bytes, 0, text->n); // jansson overlooks one after a number
  json_t *root = has_nul ? NULL : json_loadb(text->bytes, text->n, JSON_REJECT_DUPLICATES, &detail);
  if (has_nul)
    fail(err, "%s: want JSON, found a byte 0", path);
  else if (!root)
    fail(err, "%s:%d: want JSON, found an error: %s", path, detail.line, detail.text);
  return root;
}

json_t *json_read(const char *path, struct error *err) {
  struct text text;
  if (!lfs_check(path, err) || !text_read_at_most(&text, path, JSON_MAX_BYTES, err))
    return NULL;
  json_t *root = parse(&text, path, err);
  free(text.bytes);
  return root;
}

static bool read_root(struct json_file *file, struct error *err) {
  struct text text;
  if (!text_read_regular(&text, file->path, JSON_MAX_BYTES, err))
    return false;
  file->root = parse(&text, file->path, err);
  free(text.bytes);
  if (!file->root)
    return false;
  if (!json_is_object(file->root))
    return fail(err, "%s: want a JSON object, found an array", file->path);
  return true;
}

bool json_file_open(struct json_file *file, const char *directory, const char *name,
                    struct error *err) {
  *file = (struct json_file){.path = path_join(directory, name, err)};
  if (file->path && read_root(file, err))
    return true;
  json_file_close(file);
  return false;
}

void json_file_close(struct json_file *file) {
  json_decref(file->root);
  free(file->path);
  *file = (struct json_file){0};
}

bool json_refuse(const char *path, const char *key, const char *want, const json_t *found,
                 struct error *err) {
  char *text = found ? json_dumps(found, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
  const char *shown = text ? text : found ? "a value" : "nothing";
  const char *cut = strlen(shown) > 80 ? "..." : "";
  fail(err, "%s: %.200s: want %s, found %.80s%s", path, key, want, shown, cut);
  free(text);
  return false;
}
