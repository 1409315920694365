// Reading a HF tokenizer.json, and the parts of a tokenizer that it fills.
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
  bool ignore_merges; // a piece that is a token as a whole becomes that token, whatever the merges
};

// Fills a zeroed tokenizer from an open file; tokenizer_close is due even if it fails. Errors read
// "PATH: KEY: want ..., found ...".
bool tokenizer_json_read(struct tokenizer *tokenizer, FILE *file, const char *path,
                         struct error *err);

#endif
