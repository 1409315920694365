#include "overwriting.h"

#include "base/path.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// A file to be written. One that does not exist yet is known by its folder and its name.
struct destination {
  const char *flag; // that names it
  char *path;
  bool exists;
  struct stat status, folder;
};

static bool same_file(const struct stat *a, const struct stat *b) {
  return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static const char *name_of(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}

// The destination has `path` from now on; NULL after an error.
static bool find_destination(struct destination *destination, const char *flag, char *path,
                             struct error *err) {
  *destination = (struct destination){.flag = flag, .path = path};
  char *folder = path ? path_folder(path, err) : NULL;
  if (!folder)
    return false;
  destination->exists = stat(path, &destination->status) == 0;
  if (stat(folder, &destination->folder) != 0)
    destination->folder = (struct stat){0}; // opening it will say what is wrong
  free(folder);
  return true;
}

static bool same_destination(const struct destination *a, const struct destination *b) {
  if (a->exists && b->exists)
    return S_ISREG(a->status.st_mode) && same_file(&a->status, &b->status);
  return !a->exists && !b->exists && same_file(&a->folder, &b->folder) &&
         strcmp(name_of(a->path), name_of(b->path)) == 0;
}

static bool refuse(const struct destination *destination, const char *what, struct error *err) {
  return fail(err, "%s: want a file of its own, found %s, which is also %s", destination->flag,
              destination->path, what);
}

// ---- inputs ----

enum { FOLDERS = 2 }; // a checkpoint, and the folders in it

// True if a file is in a folder, by any name. The descriptor is closed.
static bool folder_has(int descriptor, const struct stat *file, int folders) {
  DIR *folder = descriptor >= 0 ? fdopendir(descriptor) : NULL;
  bool has = false;
  if (!folder) {
    if (descriptor >= 0)
      close(descriptor);
    return false;
  }
  for (struct dirent *entry; !has && (entry = readdir(folder));) {
    struct stat status;
    if (fstatat(dirfd(folder), entry->d_name, &status, 0) != 0)
      continue;
    if (S_ISREG(status.st_mode))
      has = same_file(&status, file);
    else if (S_ISDIR(status.st_mode) && folders > 1 && entry->d_name[0] != '.')
      has = folder_has(openat(dirfd(folder), entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC),
                       file, folders - 1);
  }
  closedir(folder);
  return has;
}

// Refuses a destination that is the file `path`, or is in the folder `path`. NULL is no input.
static bool check_input(const struct destination *destination, const char *path, const char *what,
                        struct error *err) {
  struct stat status;
  if (!path || !destination->exists || !S_ISREG(destination->status.st_mode) ||
      stat(path, &status) != 0)
    return true;
  const bool is = S_ISDIR(status.st_mode)
                      ? folder_has(open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC),
                                   &destination->status, FOLDERS)
                      : same_file(&status, &destination->status);
  return !is || refuse(destination, what, err);
}

// The files that may lie beside a .bin, or beside OpenAI's original/.
static bool check_beside(const struct destination *destination, const char *checkpoint,
                         struct error *err) {
  static const char *const NAMES[] = {"tokenizer.json", "generation_config.json"};
  char *folder = path_folder(checkpoint, err);
  bool ok = folder;
  for (size_t i = 0; ok && i < sizeof NAMES / sizeof *NAMES; i++) {
    char *path = path_join(folder, NAMES[i], err);
    ok = path && check_input(destination, path, "one of the checkpoint", err);
    free(path);
  }
  free(folder);
  return ok;
}

static bool check_inputs(const struct destination *destination, const struct options *o,
                         struct error *err) {
  const bool reads_file = o->mode == MODE_PROMPTS || o->mode == MODE_LOGITS;
  return check_input(destination, reads_file ? o->input : NULL, "that of -i", err) &&
         check_input(destination, o->file, "that of -f", err) &&
         check_input(destination, o->tools, "that of --tools", err) &&
         check_input(destination, o->tokenizer, "that of -z", err) &&
         check_input(destination, o->mode == MODE_CHAT ? "/dev/stdin" : NULL, "standard input",
                     err) &&
         check_input(destination, o->checkpoint, "one of the checkpoint", err) &&
         check_beside(destination, o->checkpoint, err);
}

// ---- outputs ----

enum { MOST_OUTPUTS = 3 };

static bool find_outputs(struct destination *destinations, int *n, const struct options *o,
                         struct error *err) {
  const bool writes = o->mode == MODE_PROMPTS || o->mode == MODE_LOGITS || o->mode == MODE_PACK;
  if (writes && !find_destination(&destinations[(*n)++], "-o", path_follow(o->output, err), err))
    return false;
  if (o->mode == MODE_PROMPTS &&
      (!destinations[0].exists || S_ISREG(destinations[0].status.st_mode))) {
    char *journal;
    if (asprintf(&journal, "%s.part", destinations[0].path) < 0)
      return fail(err, "-o: out of memory for a path");
    if (!find_destination(&destinations[(*n)++], "the journal of -o", journal, err))
      return false;
  }
  return !o->trace ||
         find_destination(&destinations[(*n)++], "--trace", path_follow(o->trace, err), err);
}

static bool check_destinations(const struct destination *destinations, int n,
                               const struct options *options, struct error *err) {
  for (int i = 0; i < n; i++) {
    if (!check_inputs(&destinations[i], options, err))
      return false;
    for (int j = 0; j < i; j++) {
      char what[64];
      snprintf(what, sizeof what, "%s%s", destinations[j].flag[0] == '-' ? "that of " : "",
               destinations[j].flag);
      if (same_destination(&destinations[i], &destinations[j]))
        return refuse(&destinations[i], what, err);
    }
  }
  return true;
}

bool check_overwriting(const struct options *options, struct error *err) {
  struct destination destinations[MOST_OUTPUTS] = {0};
  int n = 0;
  const bool ok = find_outputs(destinations, &n, options, err) &&
                  check_destinations(destinations, n, options, err);
  for (int i = 0; i < n; i++)
    free(destinations[i].path);
  return ok;
}
