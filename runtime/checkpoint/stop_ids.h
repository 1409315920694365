// Reads the token ids that end a sequence from the files of a checkpoint.
#ifndef GETP_CHECKPOINT_STOP_IDS_H
#define GETP_CHECKPOINT_STOP_IDS_H

#include "base/error.h"

#include <stdint.h>

enum { MAX_STOP_IDS = 16 };

struct stop_ids {
  int n;
  int32_t id[MAX_STOP_IDS];
};

// Reads eos_token_id, an id or a list of ids, from DIRECTORY/generation_config.json; if there is no
// such file or it has none, from config.json. Refuses a checkpoint without any, and an id outside
// [0, vocab).
bool stop_ids_read(struct stop_ids *stop, const char *directory, int32_t vocab, struct error *err);

// The same, but a folder without any id, or without these files, gives none.
bool stop_ids_find(struct stop_ids *stop, const char *directory, int32_t vocab, struct error *err);

// The ids that end a sequence of every published gpt-oss, as far as they are below `vocab`:
// <|return|>, <|endoftext|> and <|call|>.
void stop_ids_assume(struct stop_ids *stop, int32_t vocab);

// True if an id ends a sequence.
bool is_stop_id(const struct stop_ids *stop, int32_t id);

#endif
