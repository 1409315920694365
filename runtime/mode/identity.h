// What decides the results of a job of prompts, as the first line of its journal says it.
#ifndef GETP_MODE_IDENTITY_H
#define GETP_MODE_IDENTITY_H

#include "session.h"

// "NAME=VALUE; ..." of the tree and its model, the checkpoint, the stop ids, the tokenizer, the
// prompts (`text` has n lines of them) and the options, without the seed. Options that change no
// result, such as -b, are left out. Files stand there as hashes; of a large file of weights only
// samples are hashed. NULL with a message when memory runs out. The caller frees it.
char *identity_of(const struct session *session, struct text text, int n, struct error *err);

#endif
