// Finds the texts of special tokens in another text. The time is in proportion to that text,
// however many tokens there are and however often the text nearly has one.
#ifndef GETP_TOKENIZER_SPECIALS_H
#define GETP_TOKENIZER_SPECIALS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct specials {
  struct specials_node *node; // (n), a trie of the tokens' texts, each read from its end
  uint32_t *entry;            // (mask + 1), hash table from a node and a byte to its child
  uint32_t n, mask;
};

// The text of a token in another text.
struct special_at {
  uint32_t start; // the offset of its first byte
  int32_t id;
};

// A growing list. A zeroed one is empty. Free with free(list.at).
struct special_list {
  struct special_at *at;
  size_t n, capacity;
};

// Allocates tables for tokens with text_bytes bytes in total. Returns false when memory runs out;
// the caller must call specials_free even then.
bool specials_init(struct specials *specials, size_t text_bytes);
void specials_free(struct specials *specials);

// Adds a token of 1 or more bytes. No other may have the same text.
void specials_add(struct specials *specials, int32_t id, const char *text, size_t bytes);

// Prepares specials_locate, after the last token was added. Returns false when memory runs out.
bool specials_link(struct specials *specials);

// The id of the token with exactly these bytes, or -1.
int32_t specials_find(const struct specials *specials, const char *text, size_t bytes);

// Appends, for each byte of a text at which the texts of tokens begin, the longest of them: the
// last one in the text comes first. They may overlap. The text has at most INT32_MAX bytes. Returns
// false when memory runs out.
bool specials_locate(const struct specials *specials, const char *text, size_t bytes,
                     struct special_list *list);

#endif
