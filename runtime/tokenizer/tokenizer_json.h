// Reads a HF tokenizer.json into the tables of a tokenizer.
#ifndef GETP_TOKENIZER_TOKENIZER_JSON_H
#define GETP_TOKENIZER_TOKENIZER_JSON_H

#include "tokenizer/bpe.h"
#include "tokenizer/split.h"
#include "tokenizer/vocabulary.h"

#include <stdio.h>

struct tokenizer {
  struct vocabulary vocabulary;
  struct bpe bpe;
  struct split split;
  bool ignore_merges; // a piece that is a token becomes that token, whatever the merges say
};

// Fills a zeroed tokenizer from an open file. Messages begin with `path`. The caller frees the
// three tables even after a failure.
bool tokenizer_json_read(struct tokenizer *tokenizer, FILE *file, const char *path,
                         struct error *err);

#endif
