// The text of a tokenizer.json, from wherever a user has it.
#ifndef GETP_TOKENIZER_TEXT_H
#define GETP_TOKENIZER_TEXT_H

#include "session.h"

struct tokenizer_text {
  char *where; // the tokenizer.json or the packed file, for messages
  struct text text;
};

// Reads the tokenizer.json at `path`, or that of the checkpoint folder or of the packed file of
// this getp that lies there. The caller calls tokenizer_text_free, even after a failure.
bool tokenizer_text_read(struct tokenizer_text *found, const char *path, struct error *err);

// Reads that of -z, or else of the checkpoint, which is not a packed file.
bool tokenizer_text_of(struct tokenizer_text *found, const struct session *session,
                       struct error *err);
void tokenizer_text_free(struct tokenizer_text *found);

#endif
