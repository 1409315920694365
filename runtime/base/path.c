#include "base/path.h"

#include <errno.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

enum { MAX_LINKS = 40 }; // as the kernel follows

char *path_join(const char *directory, const char *name, struct error *err) {
  size_t size = strlen(directory) + strlen(name) + 2;
  char *path = malloc(size);
  if (path)
    snprintf(path, size, "%s/%s", directory, name);
  else
    fail(err, "%s/%s: out of memory for the path", directory, name);
  return path;
}

char *path_folder(const char *path, struct error *err) {
  const char *slash = strrchr(path, '/');
  const size_t n = slash == path ? 1 : slash ? (size_t)(slash - path) : 0;
  char *folder = slash ? strndup(path, n) : strdup(".");
  if (!folder)
    fail(err, "%s: out of memory for a path", path);
  return folder;
}

bool path_is_open_file(const char *path) {
  struct error ignored;
  struct statfs system;
  char *folder = path_folder(path, &ignored);
  const bool is = folder && statfs(folder, &system) == 0 && system.f_type == PROC_SUPER_MAGIC;
  free(folder);
  return is;
}

// Reads the link at `path`: *next is where it leads, or NULL if it is no link.
static bool read_link(const char *path, char **next, struct error *err) {
  char link[PATH_MAX];
  const ssize_t n = readlink(path, link, sizeof link - 1);
  *next = NULL;
  if (n < 0)
    return true;
  link[n] = 0;
  if (*link == '/' || !strchr(path, '/')) {
    *next = strdup(link);
    return *next ? true : fail(err, "%s: out of memory for a path", path);
  }
  char *folder = path_folder(path, err);
  *next = folder ? path_join(folder, link, err) : NULL;
  free(folder);
  return *next != NULL;
}

char *path_follow(const char *path, struct error *err) {
  char *at = strdup(path), *next = NULL;
  bool ok = at || fail(err, "%s: out of memory for a path", path);
  for (int links = 0; ok && !path_is_open_file(at); links++) {
    ok = read_link(at, &next, err);
    if (!ok || !next)
      break;
    free(at);
    at = next;
    if (links == MAX_LINKS)
      ok = fail(err, "%s: %s", path, strerror(ELOOP));
  }
  if (ok)
    return at;
  free(at);
  return NULL;
}
