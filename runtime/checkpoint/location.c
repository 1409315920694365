#include "checkpoint/location.h"

#include "base/file.h"
#include "base/json.h"
#include "base/path.h"
#include "checkpoint/bin.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// OpenAI publishes its own layout in this folder of the repository.
static const char ORIGINAL[] = "original";

// ---- folders ----

static bool ends_in(const char *text, const char *end) {
  const size_t n = strlen(text), m = strlen(end);
  return n >= m && strcmp(text + n - m, end) == 0;
}

static bool has_safetensors(const char *folder) {
  bool found = false;
  DIR *entries = opendir(folder);
  if (!entries)
    return false;
  for (const struct dirent *entry; !found && (entry = readdir(entries));)
    found =
        ends_in(entry->d_name, ".safetensors") || ends_in(entry->d_name, ".safetensors.index.json");
  closedir(entries);
  return found;
}

// True if the last name of a path is `original`.
static bool is_named_original(const char *path) {
  size_t n = strlen(path);
  while (n > 1 && path[n - 1] == '/')
    n--;
  const size_t m = strlen(ORIGINAL);
  return n >= m && strncmp(path + n - m, ORIGINAL, m) == 0 && (n == m || path[n - m - 1] == '/');
}

static bool find_folder(struct location *location, const char *path, struct error *err) {
  char *inner = path_join(path, ORIGINAL, err);
  if (!inner)
    return false;
  if (!has_safetensors(path) && has_safetensors(inner)) {
    location->folder = inner;
    location->beside = strdup(path);
    return location->beside || fail(err, "%s: out of memory for the path", path);
  }
  free(inner);
  location->folder = strdup(path);
  if (!location->folder)
    return fail(err, "%s: out of memory for the path", path);
  if (is_named_original(path))
    location->beside = path_join(path, "..", err);
  return location->beside || !is_named_original(path);
}

// ---- files ----

enum { START_BYTES = 64 };

struct start {
  uint8_t bytes[START_BYTES];
  size_t n;
};

static bool read_start(struct start *start, const char *path, struct error *err) {
  const int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  const ssize_t got = file < 0 ? -1 : read(file, start->bytes, sizeof start->bytes);
  const int problem = errno;
  if (file >= 0)
    close(file);
  if (got < 0)
    return fail(err, "%s: %s", path, strerror(problem));
  start->n = (size_t)got;
  return true;
}

// A safetensors file begins with the length of its header, which is an object.
static bool is_safetensors(const struct start *start) {
  return start->n > 8 && start->bytes[8] == '{' && memcmp(start->bytes + 5, "\0\0\0", 3) == 0;
}

// What files of other kinds begin with, and what to do about each.
static const struct {
  const char *magic;
  size_t n;
  const char *found;
} OTHERS[] = {
    {"GPT-OSS v1.0", 13,
     "the model.bin of OpenAI's Metal program, which has other weights: take the folder original/ "
     "of the same model, or its Hugging Face folder"},
    {"GGUF", 4, "a GGUF file of llama.cpp: take the Hugging Face folder that it was made from"},
    {"PK\3\4", 4, "a zip file as torch.save writes it: take the safetensors of the same model"},
    {"\x80\2", 2, "a pickle as torch.save writes it: take the safetensors of the same model"},
    {"\x80\3", 2, "a pickle as torch.save writes it: take the safetensors of the same model"},
    {"\x80\4", 2, "a pickle as torch.save writes it: take the safetensors of the same model"},
    {"{", 1, "a JSON file: name the folder that it lies in"},
    {"[", 1, "a JSON file: name the folder that it lies in"},
};

static const char *name_kind(const struct start *start) {
  for (size_t i = 0; i < sizeof OTHERS / sizeof *OTHERS; i++)
    if (start->n >= OTHERS[i].n && memcmp(start->bytes, OTHERS[i].magic, OTHERS[i].n) == 0)
      return OTHERS[i].found;
  return is_safetensors(start) ? "a safetensors file: name the folder that it lies in"
                               : "a file of another kind";
}

static bool find_file(struct location *location, const char *path, struct error *err) {
  struct start start;
  char *copy = strdup(path); // dirname changes its argument
  location->folder = copy ? strdup(dirname(copy)) : NULL;
  free(copy);
  if (!location->folder)
    return fail(err, "%s: out of memory for the path", path);
  if (!lfs_check(path, err) || !read_start(&start, path, err))
    return false;
  location->is_bin = bin_is(start.bytes, start.n);
  if (location->is_bin)
    return true;
  return fail(err,
              "%s: want a checkpoint folder, a file of `getp pack` or an exporter's .bin, found %s",
              path, name_kind(&start));
}

bool location_find(struct location *location, const char *path, struct error *err) {
  struct stat status;
  *location = (struct location){0};
  if (stat(path, &status) != 0)
    return fail(err, "%s: %s", path, strerror(errno));
  if (S_ISDIR(status.st_mode))
    return find_folder(location, path, err);
  return S_ISREG(status.st_mode)
             ? find_file(location, path, err)
             : fail(err, "%s: want a folder or a regular file, found something else", path);
}

void location_free(struct location *location) {
  free(location->folder);
  free(location->beside);
  *location = (struct location){0};
}

char *location_file(const struct location *location, const char *name, struct error *err) {
  bool here, beside = false;
  if (!json_file_exists(&here, location->folder, name, err) ||
      (location->beside && !json_file_exists(&beside, location->beside, name, err)))
    return NULL;
  return path_join(!here && beside ? location->beside : location->folder, name, err);
}
