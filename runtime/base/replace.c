#include "base/replace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool replace_begin(struct replacement *replacement, const char *path, struct error *err) {
  struct stat status;
  *replacement = (struct replacement){.path = path, .file = -1};
  if (stat(path, &status) == 0 && !S_ISREG(status.st_mode))
    return fail(err, "%s: want a regular file, found something else", path);
  if (asprintf(&replacement->fresh, "%s.new", path) < 0) {
    replacement->fresh = NULL;
    return fail(err, "%s: out of memory for the path of its new file", path);
  }
  replacement->file = open(replacement->fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  return replacement->file >= 0 || fail(err, "%s: %s", replacement->fresh, strerror(errno));
}

bool replace_write(const struct replacement *replacement, const void *bytes, size_t n,
                   size_t offset, struct error *err) {
  for (size_t done = 0; done < n;) {
    const ssize_t got =
        pwrite(replacement->file, (const char *)bytes + done, n - done, (off_t)(offset + done));
    if (got > 0)
      done += (size_t)got;
    else if (got == 0 || errno != EINTR)
      return fail(err, "%s: %s", replacement->fresh, got ? strerror(errno) : "no space left");
  }
  return true;
}

bool replace_end(struct replacement *replacement, bool ok, struct error *err) {
  const char *fresh = replacement->fresh;
  if (replacement->file >= 0) {
    if (ok && fsync(replacement->file) != 0)
      ok = fail(err, "%s: %s", fresh, strerror(errno));
    if (close(replacement->file) != 0 && ok)
      ok = fail(err, "%s: %s", fresh, strerror(errno));
    if (ok && rename(fresh, replacement->path) != 0)
      ok = fail(err, "%s: %s", replacement->path, strerror(errno));
    if (!ok)
      unlink(fresh);
  }
  free(replacement->fresh);
  *replacement = (struct replacement){.file = -1};
  return ok;
}
