// The tensors of a checkpoint by the names of HF's gpt-oss, whatever the layout of its files. What
// reads weights asks this layer, and none of the readers of one layout.
#ifndef GETP_CHECKPOINT_CHECKPOINT_H
#define GETP_CHECKPOINT_CHECKPOINT_H

#include "checkpoint/config.h"
#include "checkpoint/stop_ids.h"
#include "checkpoint/tensor.h"

enum checkpoint_kind {
  CHECKPOINT_HF,       // a folder of Hugging Face: safetensors with HF's names
  CHECKPOINT_ORIGINAL, // a folder with OpenAI's original layout: safetensors with OpenAI's names
  CHECKPOINT_BIN,      // a .bin of the getp contest's exporter
};

struct checkpoint;

// Reads the config of the checkpoint at `path`: that of its folder, or the header of a .bin.
bool checkpoint_config(struct model_config *config, const char *path, struct error *err);

// True if a getp generated from the config `generated` runs the checkpoint at `path`, whose config
// is `config`. Otherwise names the first number that differs.
bool checkpoint_is_for(const char *path, const struct model_config *generated,
                       const struct model_config *config, struct error *err);

// Opens the checkpoint at `path`, whose config is `config`. Its tensors stay in the maps of its
// files until the caller closes *out.
bool checkpoint_open(struct checkpoint **out, const char *path, const struct model_config *config,
                     struct error *err);
void checkpoint_close(struct checkpoint *checkpoint);

enum checkpoint_kind checkpoint_kind(const struct checkpoint *checkpoint);

// What the generator's --config wants for this checkpoint: its folder or its file.
const char *checkpoint_config_path(const struct checkpoint *checkpoint);

// The tensor of that name, or NULL.
const struct tensor *checkpoint_find(const struct checkpoint *checkpoint, const char *name);

// The tensor of that name if it has exactly that shape, of `rank` numbers. A flipped tensor must
// have the last two of them in the other order. Otherwise NULL with a message that has the name and
// both shapes as in the file.
const struct tensor *checkpoint_require(const struct checkpoint *checkpoint, const char *name,
                                        int rank, const int64_t *shape, struct error *err);

// Tensor `index` of the files, with the name that it has there; an array of a .bin counts as one.
// NULL after the last one.
const struct tensor *checkpoint_at(const struct checkpoint *checkpoint, size_t index);

// Reads the ids that end a sequence, from generation_config.json or config.json. HF's layout must
// have some. The others have no key for them: if no file beside the weights has any, *assumed is
// set, and they are those of gpt-oss that are below `vocab`, perhaps none.
bool checkpoint_stop_ids(const struct checkpoint *checkpoint, struct stop_ids *stop, int32_t vocab,
                         bool *assumed, struct error *err);

// The path of a file such as tokenizer.json, which need not exist: in the folder of the weights,
// or beside it, if it is the folder `original` of a repository. The caller frees it. NULL with a
// message when memory runs out.
char *checkpoint_file(const struct checkpoint *checkpoint, const char *name, struct error *err);

#endif
