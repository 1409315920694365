// The tokens of a tokenizer: finds the bytes of an id, and the id of bytes. The bytes of a special
// token, such as <|start|>, are found by specials_find; all others are ordinary tokens and found by
// vocabulary_find.
#ifndef GETP_TOKENIZER_VOCABULARY_H
#define GETP_TOKENIZER_VOCABULARY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct token {
  uint32_t start, bytes; // in vocabulary.text; bytes is 0 if no token has the id
};

struct vocabulary {
  struct token *token; // (size), by id
  int32_t size;        // one more than the largest id
  char *text;          // the bytes of all tokens, back to back
  uint32_t text_bytes;
  int32_t *entry; // (mask + 1), hash table from the bytes of ordinary tokens to ids; -1 if free
  uint32_t mask;
  uint32_t longest; // bytes of the longest ordinary token
};

// Allocates tables for ids below `size` and n_ordinary ordinary tokens. All tokens, also the
// special ones, have text_bytes bytes in total. Returns false when memory runs out; the caller must
// call vocabulary_free even then.
bool vocabulary_init(struct vocabulary *v, int32_t size, size_t n_ordinary, size_t text_bytes);
void vocabulary_free(struct vocabulary *v);

// Adds a token of 1 or more bytes. Its id must be free, and the tables large enough.
void vocabulary_add(struct vocabulary *v, int32_t id, const char *text, size_t bytes, bool special);

// The id of the ordinary token of exactly these bytes, or -1.
int32_t vocabulary_find(const struct vocabulary *v, const char *text, size_t bytes);

// The bytes of a token, and their number in *bytes. NULL for an id that no token has; it may be
// negative.
const char *vocabulary_bytes(const struct vocabulary *v, int32_t id, size_t *bytes);

#endif
