// Splits a text into pieces with the regular expression of a tokenizer.
#ifndef GETP_TOKENIZER_SPLIT_H
#define GETP_TOKENIZER_SPLIT_H

#include "base/error.h"

#include <stddef.h>

// Only split.c includes the header of PCRE2, so the type of `code` is void here.
struct split {
  void *code;                          // a pcre2_code
  struct split_scratch *_Atomic *idle; // (1) working memory that no call uses, or NULL
};

// Called for each piece, in order, with 1 or more bytes. If it returns false, split_text fails with
// its message.
typedef bool (*split_visit)(void *context, const char *piece, size_t bytes, struct error *err);

// Compiles a pattern that was written for Oniguruma. Refuses a pattern that does not compile, and
// what PCRE2 might read differently or what only PCRE2 has: its verbs, callouts and recursion. The
// message lacks WHERE: the caller knows the file. The caller calls split_free, even after a
// failure.
bool split_compile(struct split *split, const char *pattern, struct error *err);
void split_free(struct split *split);

// Visits the matches of the pattern and the gaps between them, which is HF's behavior "Isolated":
// together they are the text. The text must be valid UTF-8. Fails if the pattern takes far more
// steps than the text has bytes. Several threads may split by one pattern at once.
bool split_text(const struct split *split, const char *text, size_t bytes, split_visit visit,
                void *context, struct error *err);

#endif
