// The token ids that end a sequence, as a checkpoint's files name them.
#ifndef GETP_CHECKPOINT_STOP_IDS_H
#define GETP_CHECKPOINT_STOP_IDS_H

#include "base/error.h"

#include <stdint.h>

enum { MAX_STOP_IDS = 16 };

// Ids that end a sequence.
struct stop_ids {
  int n;
  int32_t id[MAX_STOP_IDS];
};

// The eos ids of DIRECTORY/generation_config.json if there is one, else config.json's eos_token_id.
// Neither naming one is an error, as is an id outside [0, vocab_size).
bool stop_ids_read(struct stop_ids *stop, const char *directory, int32_t vocab_size,
                   struct error *err);

// True if an id ends a sequence.
bool is_stop_id(const struct stop_ids *stop, int32_t id);

#endif
