#include "base/json.h"

#include "base/file.h"
#include "base/path.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

bool json_file_exists(const char *directory, const char *name) {
  struct error ignored;
  struct stat status;
  char *path = path_join(directory, name, &ignored);
  bool exists = path && !stat(path, &status);
  free(path);
  return exists;
}

json_t *json_read(const char *path, struct error *err) {
  struct text text;
  json_error_t detail;
  if (!lfs_check(path, err) || !text_read(&text, path, err))
    return NULL;
  bool has_nul = text.n && memchr(text.bytes, 0, text.n); // jansson overlooks one after a number
  json_t *root = has_nul ? NULL : json_loadb(text.bytes, text.n, JSON_REJECT_DUPLICATES, &detail);
  free(text.bytes);
  if (has_nul)
    fail(err, "%s: want JSON, found a byte 0", path);
  else if (!root)
    fail(err, "%s:%d: want JSON, found an error: %s", path, detail.line, detail.text);
  return root;
}

static bool read_root(struct json_file *file, struct error *err) {
  struct stat status;
  if (stat(file->path, &status))
    return fail(err, "%s: %s", file->path, strerror(errno));
  if (!S_ISREG(status.st_mode))
    return fail(err, "%s: want a regular file, found something else", file->path);
  file->root = json_read(file->path, err);
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
