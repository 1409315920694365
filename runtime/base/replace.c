#include "base/replace.h"

#include "base/path.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

static bool fail_on(const struct replacement *replacement, struct error *err) {
  return fail(err, "%s: %s", replacement->path, strerror(errno));
}

// ---- a file that is written straight ----

// The number of the descriptor if a path is an open file of this process; or -1.
static int own_descriptor(const char *path) {
  struct error ignored;
  char *end, self[PATH_MAX], real[PATH_MAX];
  const char *slash = strrchr(path, '/');
  const char *name = slash ? slash + 1 : path;
  char *folder = path_folder(path, &ignored);
  const bool known = folder && realpath("/proc/self", self) && realpath(folder, real);
  free(folder);
  const size_t n = known ? strlen(self) : 0, whole = known ? strlen(real) : 0;
  if (!known || strncmp(real, self, n) != 0 || whole < n + 3 ||
      strcmp(real + whole - 3, "/fd") != 0)
    return -1;
  const long number = strtol(name, &end, 10);
  return *name && !*end && number >= 0 && number <= INT_MAX ? (int)number : -1;
}

// A descriptor of the process is duplicated, so that what is written comes after what others wrote
// there. Opening it anew would begin at its first byte.
static bool open_straight(struct replacement *replacement, struct error *err) {
  const char *path = replacement->target;
  const int own = path_is_open_file(path) ? own_descriptor(path) : -1;
  replacement->straight = true;
  if (own >= 0)
    replacement->file = fcntl(own, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  else
    replacement->file = TEMP_FAILURE_RETRY(open(path, O_WRONLY | O_TRUNC | O_CLOEXEC | O_NOCTTY));
  if (replacement->file < 0)
    return fail_on(replacement, err);
  return (fcntl(replacement->file, F_GETFL) & O_ACCMODE) != O_RDONLY
             ? true
             : fail(err, "%s: want it open for writing, found it open for reading",
                    replacement->path);
}

static bool check_offsets(struct replacement *replacement, struct error *err) {
  replacement->first = lseek(replacement->file, 0, SEEK_CUR);
  return replacement->first >= 0 && !(fcntl(replacement->file, F_GETFL) & O_APPEND)
             ? true
             : fail(err,
                    "%s: want a file that can be written in any order, found one that is written "
                    "from its beginning to its end",
                    replacement->path);
}

// ---- a new file ----

// Another name each time, in the folder of the file that is replaced.
static char *random_name(const struct replacement *replacement, struct error *err) {
  uint64_t number = 0;
  char *name;
  const char *slash = strrchr(replacement->target, '/');
  const char *base = slash ? slash + 1 : replacement->target;
  if (getrandom(&number, sizeof number, GRND_NONBLOCK) != sizeof number)
    number = (uint64_t)getpid();
  if (asprintf(&name, "%.*s.%.200s.%016llx.new", (int)(base - replacement->target),
               replacement->target, base, (unsigned long long)number) >= 0)
    return name;
  fail(err, "%s: out of memory for the name of its new file", replacement->path);
  return NULL;
}

static bool open_named(struct replacement *replacement, mode_t mode, struct error *err) {
  do {
    free(replacement->fresh);
    replacement->fresh = random_name(replacement, err);
    if (!replacement->fresh)
      return false;
    replacement->file = TEMP_FAILURE_RETRY(
        open(replacement->fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode));
  } while (replacement->file < 0 && errno == EEXIST);
  if (replacement->file >= 0)
    return true;
  fail_on(replacement, err);
  free(replacement->fresh);
  replacement->fresh = NULL;
  return false;
}

// Gives the new file the owner and the mode of the old one. Only root may give files away; others
// keep the group if it is one of theirs.
static bool keep_mode(const struct replacement *replacement, const struct stat *old,
                      struct error *err) {
  struct stat fresh;
  if (fstat(replacement->file, &fresh) != 0)
    return fail_on(replacement, err);
  const bool other = fresh.st_uid != old->st_uid || fresh.st_gid != old->st_gid;
  if (other && fchown(replacement->file, old->st_uid, old->st_gid) != 0 &&
      fchown(replacement->file, fresh.st_uid, old->st_gid) != 0 && errno != EPERM)
    return fail_on(replacement, err);
  return fchmod(replacement->file, old->st_mode & 0777) == 0 || fail_on(replacement, err);
}

// Opens a file without a name, of which a kill leaves nothing. It gets a name through /proc.
static bool open_fresh(struct replacement *replacement, const struct stat *old, struct error *err) {
  char *folder = path_folder(replacement->target, err);
  if (!folder)
    return false;
  const mode_t mode = old ? 0600 : 0666;
  replacement->file =
      access("/proc/self/fd", X_OK) != 0
          ? -1
          : TEMP_FAILURE_RETRY(open(folder, O_TMPFILE | O_WRONLY | O_CLOEXEC, mode));
  free(folder);
  if (replacement->file < 0 && !open_named(replacement, mode, err))
    return false;
  return !old || keep_mode(replacement, old, err);
}

static bool begin(struct replacement *replacement, const char *path, bool in_order,
                  struct error *err) {
  struct stat status;
  *replacement = (struct replacement){.path = path, .file = -1};
  replacement->target = path_follow(path, err);
  if (!replacement->target)
    return false;
  const bool exists = stat(replacement->target, &status) == 0;
  if (exists && S_ISDIR(status.st_mode))
    return fail(err, "%s: want a file, found a folder", path);
  if (exists && !in_order && S_ISFIFO(status.st_mode))
    return fail(err, "%s: want a file that can be written in any order, found a pipe", path);
  if (path_is_open_file(replacement->target) || (exists && !S_ISREG(status.st_mode)))
    return open_straight(replacement, err) && (in_order || check_offsets(replacement, err));
  return open_fresh(replacement, exists ? &status : NULL, err);
}

bool replace_begin(struct replacement *replacement, const char *path, struct error *err) {
  return begin(replacement, path, false, err);
}

bool replace_begin_in_order(struct replacement *replacement, const char *path, struct error *err) {
  return begin(replacement, path, true, err);
}

// ---- writing ----

bool replace_reserve(const struct replacement *replacement, size_t n, struct error *err) {
  if (replacement->straight)
    return true;
  if (ftruncate(replacement->file, (off_t)n) == 0 &&
      (TEMP_FAILURE_RETRY(fallocate(replacement->file, 0, 0, (off_t)n)) == 0 || errno != ENOSPC))
    return true;
  return fail(err, "%s: cannot reserve %zu bytes: %s", replacement->path, n, strerror(errno));
}

bool replace_write(const struct replacement *replacement, const void *bytes, size_t n,
                   size_t offset, struct error *err) {
  for (size_t done = 0; done < n;) {
    const off_t at = replacement->first + (off_t)(offset + done);
    const ssize_t got =
        TEMP_FAILURE_RETRY(pwrite(replacement->file, (const char *)bytes + done, n - done, at));
    if (got <= 0)
      return fail(err, "%s: %s", replacement->path, got ? strerror(errno) : "no space left");
    done += (size_t)got;
  }
  return true;
}

// Returns less than n after an error, as a stream's function does.
static ssize_t write_next(void *cookie, const char *bytes, size_t n) {
  const struct replacement *replacement = cookie;
  size_t done = 0;
  while (done < n) {
    const ssize_t got = TEMP_FAILURE_RETRY(write(replacement->file, bytes + done, n - done));
    if (got <= 0)
      break;
    done += (size_t)got;
  }
  return (ssize_t)done;
}

FILE *replace_stream(struct replacement *replacement, struct error *err) {
  FILE *stream = fopencookie(replacement, "w", (cookie_io_functions_t){.write = write_next});
  if (!stream)
    fail(err, "%s: out of memory for a stream", replacement->path);
  return stream;
}

// ---- the end ----

static bool link_fresh(struct replacement *replacement, struct error *err) {
  char open_file[64];
  snprintf(open_file, sizeof open_file, "/proc/self/fd/%d", replacement->file);
  for (;;) {
    char *name = random_name(replacement, err);
    if (!name)
      return false;
    if (linkat(AT_FDCWD, open_file, AT_FDCWD, name, AT_SYMLINK_FOLLOW) == 0) {
      replacement->fresh = name;
      return true;
    }
    free(name);
    if (errno != EEXIST)
      return fail_on(replacement, err);
  }
}

// After a loss of power, the name is that of the new file only if its folder was synced, too. A
// folder that may not be read, or a file system that syncs none, is left to itself.
static bool sync_folder(const struct replacement *replacement, struct error *err) {
  char *folder = path_folder(replacement->target, err);
  if (!folder)
    return false;
  const int file = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  free(folder);
  const bool ok = file < 0 || TEMP_FAILURE_RETRY(fsync(file)) == 0 || errno == EINVAL ||
                  fail(err, "%s: cannot sync its folder: %s", replacement->path, strerror(errno));
  if (file >= 0)
    close(file);
  return ok;
}

static bool finish_fresh(struct replacement *replacement, struct error *err) {
  if (TEMP_FAILURE_RETRY(fsync(replacement->file)) != 0)
    return fail_on(replacement, err);
  if (!replacement->fresh && !link_fresh(replacement, err))
    return false;
  if (rename(replacement->fresh, replacement->target) != 0)
    return fail_on(replacement, err);
  free(replacement->fresh);
  replacement->fresh = NULL;
  return sync_folder(replacement, err);
}

bool replace_end(struct replacement *replacement, bool ok, struct error *err) {
  if (replacement->file >= 0) {
    if (ok && !replacement->straight)
      ok = finish_fresh(replacement, err);
    if (ok && replacement->straight)
      (void)lseek(replacement->file, 0, SEEK_END); // others may go on there
    if (close(replacement->file) != 0 && errno != EINTR && ok)
      ok = fail_on(replacement, err);
  }
  if (replacement->fresh)
    unlink(replacement->fresh);
  free(replacement->fresh);
  free(replacement->target);
  *replacement = (struct replacement){.file = -1};
  return ok;
}
