// Which safetensors files of a folder without an index are its checkpoint.
#ifndef GETP_CHECKPOINT_SHARD_NAMES_H
#define GETP_CHECKPOINT_SHARD_NAMES_H

#include "base/error.h"

#include <stddef.h>

// The names of n files in a folder.
struct shard_names {
  char **name;
  size_t n;
};

// Finds the one safetensors file of a folder, or its one set of shards, which are numbered up to
// their count or, as in OpenAI's repositories, from 0 to one less than it:
//
//   model-00001-of-00002.safetensors to model-00002-of-00002.safetensors
//   model-00000-of-00001.safetensors to model-00001-of-00001.safetensors
//
// If there are several, shards whose names begin with "model" are preferred. Refuses a folder
// without any, a set of which one is missing, and a choice. The caller calls shard_names_free.
bool shard_names_find(struct shard_names *names, const char *directory, struct error *err);
void shard_names_free(struct shard_names *names);

#endif
