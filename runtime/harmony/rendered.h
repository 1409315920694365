// Recognises a prompt that someone has rendered in the harmony format.
#ifndef GETP_HARMONY_RENDERED_H
#define GETP_HARMONY_RENDERED_H

#include "tokenizer/tokenizer.h"

// Whether ids with special tokens are a whole conversation in which it is the assistant's turn:
// they begin with <|start|>, and the last <|start|> opens a message of `assistant` that has no end
// yet. Nobody writes that by chance.
bool is_rendered(const struct tokenizer *tokenizer, const int32_t *ids, size_t n);

#endif
