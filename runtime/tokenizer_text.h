// The text of a tokenizer.json, from wherever a user has it.
#ifndef GETP_TOKENIZER_TEXT_H
#define GETP_TOKENIZER_TEXT_H

#include "base/file.h"

struct tokenizer_text {
  char *where; // the tokenizer.json or the packed file, for messages
  struct text text;
};

// Reads the tokenizer.json at `path`, or that of the checkpoint folder or of the packed file of any
// getp that lies there. The caller calls tokenizer_text_free, even after a failure.
bool tokenizer_text_read(struct tokenizer_text *found, const char *path, struct error *err);

// Reads the file `where`, which is then that of *found. NULL fails: its message is in *err.
bool tokenizer_text_read_file(struct tokenizer_text *found, char *where, struct error *err);
void tokenizer_text_free(struct tokenizer_text *found);

#endif
