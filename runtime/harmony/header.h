// Reads the header of a message word by word, in any order. reply.h says what each word means.
#ifndef GETP_HARMONY_HEADER_H
#define GETP_HARMONY_HEADER_H

#include "harmony/buffer.h"

// What the next word is.
enum header_word {
  WORD_FREE,         // a recipient or a content type, or stray
  WORD_ROLE,         // the role, or a recipient
  WORD_CHANNEL,      // the channel, or a recipient
  WORD_CONTENT_TYPE, // the content type, or a recipient
  WORD_STRAY,        // stray
};

// A zeroed header can be begun and freed.
struct header {
  char *role, *channel, *recipient, *content_type; // NULL: none so far
  struct buffer word, space; // the word that is being read, and the white space before it
  enum header_word next;
  bool well_formed;
  bool has_stray; // it has a word that is stray
};

// Begins a header; frees what an earlier one left. The first header of a reply begins after its
// role, one after <|start|> before it.
void header_begin(struct header *header, enum header_word next, bool well_formed);
void header_free(struct header *header);

// Reads text between special tokens. Stray words, and white space before and between them, are
// added to `stray`. Returns false when memory runs out, as the next two do.
bool header_read(struct header *header, const char *text, size_t n, struct buffer *stray);

// Ends the last word at a special token.
bool header_end_word(struct header *header, struct buffer *stray);

// Ends the last word where the header is cut off. What may have become a recipient is not stray.
bool header_cut_word(struct header *header, struct buffer *stray);

// After <|channel|> or <|constrain|>: the next word is the channel or the content type.
void header_expect(struct header *header, enum header_word next);

// True if it has a role other than assistant, a channel, a recipient or a content type.
bool header_has_fields(const struct header *header);

#endif
