#include "checkpoint/checkpoint.h"

#include "checkpoint/safetensors.h"

#include <stdlib.h>

struct checkpoint {
  struct safetensors *files;
};

bool checkpoint_config(struct model_config *config, const char *path, struct error *err) {
  return model_config_read(config, path, err);
}

bool checkpoint_open(struct checkpoint **out, const char *path, const struct model_config *config,
                     struct error *err) {
  (void)config;
  *out = NULL;
  struct checkpoint *checkpoint = calloc(1, sizeof *checkpoint);
  if (!checkpoint)
    return fail(err, "%s: out of memory for the checkpoint", path);
  if (!safetensors_open(&checkpoint->files, path, err)) {
    checkpoint_close(checkpoint);
    return false;
  }
  *out = checkpoint;
  return true;
}

void checkpoint_close(struct checkpoint *checkpoint) {
  if (checkpoint)
    safetensors_close(checkpoint->files);
  free(checkpoint);
}

const struct tensor *checkpoint_find(const struct checkpoint *checkpoint, const char *name) {
  return safetensors_find(checkpoint->files, name);
}

const struct tensor *checkpoint_require(const struct checkpoint *checkpoint, const char *name,
                                        int rank, const int64_t *shape, struct error *err) {
  return safetensors_require(checkpoint->files, name, rank, shape, err);
}
