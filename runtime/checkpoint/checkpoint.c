#include "checkpoint/checkpoint.h"

#include "checkpoint/bin.h"
#include "checkpoint/location.h"
#include "checkpoint/original.h"
#include "checkpoint/safetensors.h"

#include <stdlib.h>
#include <string.h>

// A tensor of another layout under HF's name.
struct renamed {
  char name[ORIGINAL_NAME_BYTES];
  struct tensor tensor;
};

struct checkpoint {
  enum checkpoint_kind kind;
  char *path; // as the user gave it
  struct location location;
  struct model_config config;
  struct safetensors *files; // NULL for a .bin
  struct bin *bin;
  struct renamed *renamed; // (n_renamed) sorted by name; not for CHECKPOINT_HF
  size_t n_renamed;
};

bool checkpoint_config(struct model_config *config, const char *path, struct error *err) {
  struct location location;
  bool ok = location_find(&location, path, err);
  if (ok && !location.is_bin)
    ok = model_config_read(config, location.folder, err);
  else if (ok)
    ok = bin_config(config, path, err);
  location_free(&location);
  return ok;
}

bool checkpoint_is_for(const char *path, const struct model_config *generated,
                       const struct model_config *config, struct error *err) {
  struct location location;
  struct error ignored;
  const bool is_bin = location_find(&location, path, &ignored) && location.is_bin;
  location_free(&location);
  return model_config_same(generated, config, is_bin ? path : NULL, err);
}

// The tensor of a name of the original layout.
static const struct tensor *find_stored(const struct checkpoint *checkpoint, const char *name) {
  return checkpoint->bin ? bin_find(checkpoint->bin, name)
                         : safetensors_find(checkpoint->files, name);
}

static int compare_name(const void *a, const void *b) {
  return strcmp(((const struct renamed *)a)->name, ((const struct renamed *)b)->name);
}

static bool rename_all(struct checkpoint *checkpoint, struct error *err) {
  const struct model_config *config = &checkpoint->config;
  char name[ORIGINAL_NAME_BYTES];
  size_t most = 0;
  while (original_list(name, most, config))
    most++;
  checkpoint->renamed = calloc(most, sizeof *checkpoint->renamed);
  if (!checkpoint->renamed)
    return fail(err, "%s: out of memory for %zu tensors", checkpoint->path, most);
  for (size_t i = 0; i < most; i++) {
    struct renamed *renamed = &checkpoint->renamed[checkpoint->n_renamed];
    struct original original;
    original_list(renamed->name, i, config);
    original_of(&original, renamed->name, config);
    const struct tensor *whole = find_stored(checkpoint, original.name);
    if (whole && original_part(&renamed->tensor, whole, &original, config))
      checkpoint->n_renamed++;
  }
  qsort(checkpoint->renamed, checkpoint->n_renamed, sizeof *checkpoint->renamed, compare_name);
  return true;
}

// The names decide what a folder holds.
static bool open_folder(struct checkpoint *checkpoint, struct error *err) {
  if (!safetensors_open(&checkpoint->files, checkpoint->location.folder, err))
    return false;
  if (safetensors_find(checkpoint->files, "embedding.weight") &&
      !safetensors_find(checkpoint->files, "model.embed_tokens.weight"))
    checkpoint->kind = CHECKPOINT_ORIGINAL;
  return true;
}

static bool open_any(struct checkpoint *checkpoint, struct error *err) {
  if (!location_find(&checkpoint->location, checkpoint->path, err))
    return false;
  if (!checkpoint->location.is_bin) {
    if (!open_folder(checkpoint, err))
      return false;
  } else {
    checkpoint->kind = CHECKPOINT_BIN;
    if (!bin_open(&checkpoint->bin, checkpoint->path, err))
      return false;
  }
  return checkpoint->kind == CHECKPOINT_HF || rename_all(checkpoint, err);
}

bool checkpoint_open(struct checkpoint **out, const char *path, const struct model_config *config,
                     struct error *err) {
  *out = NULL;
  struct checkpoint *checkpoint = calloc(1, sizeof *checkpoint);
  if (checkpoint)
    checkpoint->path = strdup(path);
  if (!checkpoint || !checkpoint->path) {
    checkpoint_close(checkpoint);
    return fail(err, "%s: out of memory for the checkpoint", path);
  }
  checkpoint->config = *config;
  if (!open_any(checkpoint, err)) {
    checkpoint_close(checkpoint);
    return false;
  }
  *out = checkpoint;
  return true;
}

void checkpoint_close(struct checkpoint *checkpoint) {
  if (!checkpoint)
    return;
  safetensors_close(checkpoint->files);
  bin_close(checkpoint->bin);
  location_free(&checkpoint->location);
  free(checkpoint->renamed);
  free(checkpoint->path);
  free(checkpoint);
}

enum checkpoint_kind checkpoint_kind(const struct checkpoint *checkpoint) {
  return checkpoint->kind;
}

const char *checkpoint_config_path(const struct checkpoint *checkpoint) {
  return checkpoint->bin ? checkpoint->path : checkpoint->location.folder;
}

// ---- tensors ----

const struct tensor *checkpoint_find(const struct checkpoint *checkpoint, const char *name) {
  if (checkpoint->kind == CHECKPOINT_HF)
    return safetensors_find(checkpoint->files, name);
  struct renamed key;
  if (strlen(name) >= sizeof key.name)
    return NULL;
  strcpy(key.name, name);
  const struct renamed *found =
      bsearch(&key, checkpoint->renamed, checkpoint->n_renamed, sizeof key, compare_name);
  return found ? &found->tensor : NULL;
}

static bool has_shape(const struct tensor *tensor, int rank, const int64_t *shape) {
  for (int i = 0; i < rank && i < tensor->rank; i++) {
    const int other = tensor->flipped && rank >= 2 && i >= rank - 2 ? 2 * rank - 3 - i : i;
    if (tensor->shape[i] != shape[other])
      return false;
  }
  return tensor->rank == rank;
}

// Fails with the name and the shapes that the original layout has.
static const struct tensor *refuse(const struct checkpoint *checkpoint, const char *name, int rank,
                                   const int64_t *shape, struct error *err) {
  struct original original;
  struct error why;
  int64_t want[TENSOR_MAX_RANK];
  if (checkpoint->bin || !original_of(&original, name, &checkpoint->config)) {
    fail(err, "%s: %s: want it in the file, found no such tensor", checkpoint->path, name);
    return NULL;
  }
  original_shape(want, shape, rank, &original, &checkpoint->config);
  if (safetensors_require(checkpoint->files, original.name, rank, want, &why))
    fail(err, "%s: %s: want shapes as in config.json, found others", checkpoint->path,
         original.name);
  else
    fail(err, "%s in OpenAI's original layout", why.text);
  return NULL;
}

const struct tensor *checkpoint_require(const struct checkpoint *checkpoint, const char *name,
                                        int rank, const int64_t *shape, struct error *err) {
  if (checkpoint->kind == CHECKPOINT_HF)
    return safetensors_require(checkpoint->files, name, rank, shape, err);
  const struct tensor *tensor = checkpoint_find(checkpoint, name);
  return tensor && has_shape(tensor, rank, shape) ? tensor
                                                  : refuse(checkpoint, name, rank, shape, err);
}

const struct tensor *checkpoint_at(const struct checkpoint *checkpoint, size_t index) {
  return checkpoint->bin ? bin_at(checkpoint->bin, index)
                         : safetensors_at(checkpoint->files, index);
}

// ---- the other files ----

bool checkpoint_stop_ids(const struct checkpoint *checkpoint, struct stop_ids *stop, int32_t vocab,
                         bool *assumed, struct error *err) {
  const struct location *location = &checkpoint->location;
  *assumed = false;
  if (checkpoint->kind == CHECKPOINT_HF)
    return stop_ids_read(stop, location->folder, vocab, err);
  if (!stop_ids_find(stop, location->folder, vocab, err))
    return false;
  if (stop->n == 0 && location->beside && !stop_ids_find(stop, location->beside, vocab, err))
    return false;
  if (stop->n > 0)
    return true;
  *assumed = true;
  stop_ids_assume(stop, vocab);
  return true;
}

char *checkpoint_file(const struct checkpoint *checkpoint, const char *name, struct error *err) {
  return location_file(&checkpoint->location, name, err);
}
