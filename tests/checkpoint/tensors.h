// The tensors of a random checkpoint, with the names, shapes and dtypes of Hugging Face's gpt-oss,
// and their shards.
#ifndef CHECKPOINT_TENSORS_H
#define CHECKPOINT_TENSORS_H

#include "base/error.h"
#include "checkpoint/config.h"
#include "checkpoint/stop_ids.h"
#include "values.h"

// The list of tensors. It goes on after a failure and keeps the first message, so that the code
// that makes it reads as a list.
struct plan {
  struct model_config config;
  struct stop_ids stop;
  enum dtype dtype; // of all tensors except codes and scales
  uint64_t seed;
  struct spec *specs; // (n) in the order of the files once plan_shards has run; free them
  size_t n;
  int layer; // of the tensors that are being added; -1 outside of layers
  int n_shards;
  uint64_t total_bytes;
  bool ok;
  struct error *err;
};

// Reads FOLDER/config.json and lists the tensors. The weights are such that a deep model computes
// sane numbers. Set plan->seed before.
bool plan_make(struct plan *plan, const char *folder, struct error *err);

// Divides the tensors into shards and gives each its offset.
void plan_shards(struct plan *plan, uint64_t shard_bytes);

#endif
