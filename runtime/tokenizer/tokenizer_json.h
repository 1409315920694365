// Reads a HF tokenizer.json into the tables of a tokenizer.
#ifndef GETP_TOKENIZER_TOKENIZER_JSON_H
#define GETP_TOKENIZER_TOKENIZER_JSON_H

#include "tokenizer/bpe.h"
#include "tokenizer/specials.h"
#include "tokenizer/split.h"
#include "tokenizer/vocabulary.h"

// HF finds the special tokens of a text in two steps: those that are not `normalized`, and between
// them the others. That differs from one step where the texts of two tokens overlap.
enum { SPECIAL_STEPS = 2 };

struct tokenizer {
  struct vocabulary vocabulary;
  struct specials specials[SPECIAL_STEPS];
  struct bpe bpe;
  struct split split;
  bool ignore_merges; // a piece that is a token becomes that token, whatever the merges say
};

// Fills a zeroed tokenizer from the text of a file. Messages begin with `path`. The caller frees
// the tables even after a failure.
bool tokenizer_json_read(struct tokenizer *tokenizer, const char *text, size_t bytes,
                         const char *path, struct error *err);

#endif
