// The tensors of a checkpoint by the names of HF's gpt-oss, whatever the layout of its files. What
// reads weights asks this layer, and none of the readers of one layout.
#ifndef GETP_CHECKPOINT_CHECKPOINT_H
#define GETP_CHECKPOINT_CHECKPOINT_H

#include "checkpoint/config.h"
#include "checkpoint/tensor.h"

struct checkpoint;

// Reads the config of the checkpoint at `path`.
bool checkpoint_config(struct model_config *config, const char *path, struct error *err);

// Opens the checkpoint at `path`, whose config is `config`. Its tensors stay in the maps of its
// files until the caller closes *out.
bool checkpoint_open(struct checkpoint **out, const char *path, const struct model_config *config,
                     struct error *err);
void checkpoint_close(struct checkpoint *checkpoint);

// The tensor of that name, or NULL.
const struct tensor *checkpoint_find(const struct checkpoint *checkpoint, const char *name);

// The tensor of that name if it has exactly that shape, of `rank` numbers. A flipped tensor must
// have the last two of them in the other order. Otherwise NULL with a message that has both shapes.
const struct tensor *checkpoint_require(const struct checkpoint *checkpoint, const char *name,
                                        int rank, const int64_t *shape, struct error *err);

#endif
