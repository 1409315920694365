// Splits a text into pieces with the regular expression of a tokenizer.
#ifndef GETP_TOKENIZER_SPLIT_H
#define GETP_TOKENIZER_SPLIT_H

#include "base/error.h"

#include <stddef.h>

// Only split.c includes the header of PCRE2, so its types are void here.
struct split {
  void *code; // a pcre2_code
};

// Working memory of split_text, which makes it. Starts zeroed and serves one pattern.
struct split_scratch {
  void *data, *context, *stack; // a pcre2_match_data, pcre2_match_context and pcre2_jit_stack
};

// Called for each piece, in order, with 1 or more bytes. If it returns false, split_text fails with
// its message.
typedef bool (*split_visit)(void *context, const char *piece, size_t bytes, struct error *err);

// Compiles a pattern that was written for Oniguruma. Refuses a pattern that does not compile, and
// an escape that PCRE2 might read differently. The message lacks WHERE: the caller knows the file.
// The caller calls split_free.
bool split_compile(struct split *split, const char *pattern, struct error *err);
void split_free(struct split *split);

// Visits the matches of the pattern and the gaps between them, which is HF's behavior "Isolated":
// together they are the text. The text must be valid UTF-8.
bool split_text(const struct split *split, struct split_scratch *scratch, const char *text,
                size_t bytes, split_visit visit, void *context, struct error *err);
void split_scratch_free(struct split_scratch *scratch);

#endif
