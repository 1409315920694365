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
struct place {
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

// The place has `path` from now on; NULL after an error.
static bool find_place(struct place *place, const char *flag, char *path, struct error *err) {
  *place = (struct place){.flag = flag, .path = path};
  char *folder = path ? path_folder(path, err) : NULL;
  if (!folder)
    return false;
  place->exists = stat(path, &place->status) == 0;
  if (stat(folder, &place->folder) != 0)
    place->folder = (struct stat){0}; // opening it will say what is wrong
  free(folder);
  return true;
}

static bool same_place(const struct place *a, const struct place *b) {
  if (a->exists && b->exists)
    return S_ISREG(a->status.st_mode) && same_file(&a->status, &b->status);
  return !a->exists && !b->exists && same_file(&a->folder, &b->folder) &&
         strcmp(name_of(a->path), name_of(b->path)) == 0;
}

static bool refuse(const struct place *place, const char *what, struct error *err) {
  return fail(err, "%s: want a file of its own, found %s, which is also %s", place->flag,
              place->path, what);
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

// Refuses a place that is the file `path`, or is in the folder `path`. NULL is no input.
static bool check_input(const struct place *place, const char *path, const char *what,
                        struct error *err) {
  struct stat status;
  if (!path || !place->exists || !S_ISREG(place->status.st_mode) || stat(path, &status) != 0)
    return true;
  const bool is =
      S_ISDIR(status.st_mode)
          ? folder_has(open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), &place->status, FOLDERS)
          : same_file(&status, &place->status);
  return !is || refuse(place, what, err);
}

static bool check_inputs(const struct place *place, const struct options *o, struct error *err) {
  const bool reads_file = o->mode == MODE_PROMPTS || o->mode == MODE_LOGITS;
  return check_input(place, reads_file ? o->input : NULL, "that of -i", err) &&
         check_input(place, o->file, "that of -f", err) &&
         check_input(place, o->tools, "that of --tools", err) &&
         check_input(place, o->tokenizer, "that of -z", err) &&
         check_input(place, o->mode == MODE_CHAT ? "/dev/stdin" : NULL, "standard input", err) &&
         check_input(place, o->checkpoint, "of the checkpoint", err);
}

// ---- outputs ----

enum { MOST_OUTPUTS = 3 };

static bool find_outputs(struct place *places, int *n, const struct options *o, struct error *err) {
  const bool writes = o->mode == MODE_PROMPTS || o->mode == MODE_LOGITS || o->mode == MODE_PACK;
  if (writes && !find_place(&places[(*n)++], "-o", path_follow(o->output, err), err))
    return false;
  if (o->mode == MODE_PROMPTS && (!places[0].exists || S_ISREG(places[0].status.st_mode))) {
    char *journal;
    if (asprintf(&journal, "%s.part", places[0].path) < 0)
      return fail(err, "-o: out of memory for a path");
    if (!find_place(&places[(*n)++], "the journal of -o", journal, err))
      return false;
  }
  return !o->trace || find_place(&places[(*n)++], "--trace", path_follow(o->trace, err), err);
}

static bool check_places(const struct place *places, int n, const struct options *options,
                         struct error *err) {
  for (int i = 0; i < n; i++) {
    if (!check_inputs(&places[i], options, err))
      return false;
    for (int j = 0; j < i; j++) {
      char what[64];
      snprintf(what, sizeof what, "%s%s", places[j].flag[0] == '-' ? "that of " : "",
               places[j].flag);
      if (same_place(&places[i], &places[j]))
        return refuse(&places[i], what, err);
    }
  }
  return true;
}

bool check_overwriting(const struct options *options, struct error *err) {
  struct place places[MOST_OUTPUTS] = {0};
  int n = 0;
  const bool ok = find_outputs(places, &n, options, err) && check_places(places, n, options, err);
  for (int i = 0; i < n; i++)
    free(places[i].path);
  return ok;
}
