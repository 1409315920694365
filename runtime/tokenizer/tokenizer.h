// Converts text to token ids and back. A HF tokenizer.json describes how: a pattern splits the text
// into pieces, and BPE merges the bytes of each piece into tokens.
#ifndef GETP_TOKENIZER_TOKENIZER_H
#define GETP_TOKENIZER_TOKENIZER_H

#include "base/error.h"
#include "base/id_list.h"

#include <stddef.h>
#include <stdint.h>

struct tokenizer;

// JSON takes up to 45 times its size in memory. The tokenizer.json of o200k has 27 MB.
enum { TOKENIZER_MAX_BYTES = 64 << 20 };

// Reads a HF tokenizer.json. Refuses a file that is not regular, is too large or is cut off, a
// model that is not byte-level BPE, a pre-tokenizer, normalizer or option of BPE that is not
// implemented, and a vocabulary without all 256 byte symbols. The caller closes *out.
bool tokenizer_open(struct tokenizer **out, const char *path, struct error *err);

// Reads the text of a tokenizer.json. Messages begin with `path`.
bool tokenizer_open_text(struct tokenizer **out, const char *path, const char *text, size_t bytes,
                         struct error *err);
void tokenizer_close(struct tokenizer *tokenizer);

// Appends the ids of a text to a list. The text must be UTF-8; U+0000 is a character like any
// other. Special tokens in it are ordinary text. A failure leaves the list as it was. O(n log n) in
// the length of the text. Several threads may use one tokenizer at once, each with its own list.
bool tokenizer_encode(const struct tokenizer *tokenizer, const char *text, size_t bytes,
                      struct id_list *list, struct error *err);

// The same, but the texts of special tokens become these tokens, as in HF tokenizers: from the
// left, and of several that begin at one byte the longest. The text between two of them is encoded
// by itself. *first is the first special token, or -1 if there is none.
bool tokenizer_encode_special(const struct tokenizer *tokenizer, const char *text, size_t bytes,
                              struct id_list *list, int32_t *first, struct error *err);

// The id of a special token such as "<|start|>", or -1.
int32_t tokenizer_special(const struct tokenizer *tokenizer, const char *text);

// The bytes of a token, and their number in *bytes. They need not be whole characters; those of a
// special token are its text. NULL for an id that the vocabulary does not have. They live as long
// as the tokenizer.
const char *tokenizer_bytes(const struct tokenizer *tokenizer, int32_t id, size_t *bytes);

// One more than the largest id.
int32_t tokenizer_size(const struct tokenizer *tokenizer);

#endif
