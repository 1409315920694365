// Cuts a text into pieces with a tokenizer's split pattern.
#ifndef GETP_TOKENIZER_SPLIT_H
#define GETP_TOKENIZER_SPLIT_H

#include "base/error.h"

#include <stddef.h>

struct split {
  void *code; // a pcre2_code, so that only split.c needs PCRE2's header
};

// Called once for each piece, in order, with 1 or more bytes. Returning false stops the cutting,
// and split_text fails with the error that the callback wrote.
typedef bool (*split_visit)(void *context, const char *piece, size_t bytes, struct error *err);

// Compiles a pattern written for Oniguruma. Fails on what does not compile, and on an escape that
// PCRE2 is not known to read as Oniguruma does; the message begins with "want". The caller calls
// split_free.
bool split_compile(struct split *split, const char *pattern, struct error *err);
void split_free(struct split *split);

// Visits the pattern's matches and the gaps between them (HF's behavior "Isolated"): together they
// are the text, which must be valid UTF-8.
bool split_text(const struct split *split, const char *text, size_t bytes, split_visit visit,
                void *context, struct error *err);

#endif
