// The tokens of a tokenizer: id to bytes and bytes to id. Owned by a struct tokenizer.
#ifndef GETP_TOKENIZER_VOCABULARY_H
#define GETP_TOKENIZER_VOCABULARY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct token {
  uint32_t start, bytes; // in text; bytes is 0 for an id that no token has
};

struct vocabulary {
  struct token *token; // (size), by id
  int32_t size;        // one more than the largest id
  char *text;          // the bytes of all tokens, one after the other
  uint32_t text_bytes;
  int32_t *slot; // (mask + 1), open addressing over the ordinary tokens' bytes: an id or -1
  uint32_t mask;
  uint32_t longest; // bytes of the longest ordinary token
  int32_t *special; // (n_special), ids
  size_t n_special;
};

// Makes room for ids below size, n_ordinary ordinary and n_special special tokens of at most
// text_bytes bytes together. False when memory runs out; vocabulary_free is due either way.
bool vocabulary_init(struct vocabulary *v, int32_t size, size_t n_ordinary, size_t n_special,
                     size_t text_bytes);
void vocabulary_free(struct vocabulary *v);

// Adds one token of 1 or more bytes under a free id, within what vocabulary_init made room for.
// A special token is found by vocabulary_find_special alone.
void vocabulary_add(struct vocabulary *v, int32_t id, const char *text, size_t bytes, bool special);

// The id of the ordinary token of exactly these bytes, or -1.
int32_t vocabulary_find(const struct vocabulary *v, const char *text, size_t bytes);

// The id of the special token of exactly these bytes, or -1.
int32_t vocabulary_find_special(const struct vocabulary *v, const char *text, size_t bytes);

// The bytes of one token, or NULL for an id that no token has, negative ones included.
const char *vocabulary_bytes(const struct vocabulary *v, int32_t id, size_t *bytes);

#endif
