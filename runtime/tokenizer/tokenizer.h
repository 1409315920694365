// Text to token ids and back, from a HF tokenizer.json: byte-level BPE behind a split pattern.
#ifndef GETP_TOKENIZER_TOKENIZER_H
#define GETP_TOKENIZER_TOKENIZER_H

#include "base/error.h"
#include "base/id_list.h"

#include <stddef.h>
#include <stdint.h>

struct tokenizer;

// Reads a HF tokenizer.json. Refuses a file that is cut off, a model that is not byte-level BPE, a
// pre-tokenizer, normalizer or BPE option that it does not implement, and a vocabulary that lacks
// one of the 256 byte symbols. The caller closes *out.
bool tokenizer_open(struct tokenizer **out, const char *path, struct error *err);

// The same from the text of one, of at least a byte; `place` stands for its path in messages.
bool tokenizer_open_text(struct tokenizer **out, const char *place, const char *text, size_t bytes,
                         struct error *err);
void tokenizer_close(struct tokenizer *tokenizer);

// Appends the ids of text to list. Text must be UTF-8 (U+0000 is a character like any other);
// special tokens in it are ordinary text. On failure list is as before. O(n log n) in the length of
// the text. Several threads may use one tokenizer at once, each with its own list.
bool tokenizer_encode(const struct tokenizer *tokenizer, const char *text, size_t bytes,
                      struct id_list *list, struct error *err);

// The id of a special token such as "<|start|>", or -1.
int32_t tokenizer_special(const struct tokenizer *tokenizer, const char *text);

// The bytes of one token (a special token's are its text), not always whole characters; *bytes is
// their number. NULL for an id that the vocabulary does not have. Lives as long as the tokenizer.
const char *tokenizer_bytes(const struct tokenizer *tokenizer, int32_t id, size_t *bytes);

// One more than the largest id.
int32_t tokenizer_size(const struct tokenizer *tokenizer);

#endif
