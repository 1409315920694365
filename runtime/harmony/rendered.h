// Recognises a prompt that someone has rendered in the harmony format.
#ifndef GETP_HARMONY_RENDERED_H
#define GETP_HARMONY_RENDERED_H

#include "tokenizer/tokenizer.h"

// Whether ids with special tokens are a whole conversation in which it is the assistant's turn:
// they begin with <|start|>, and after the last <|start|> come the role `assistant` and none of
// <|end|>,
// <|call|> and <|return|>. Nobody writes that by chance.
bool is_rendered(const struct tokenizer *tokenizer, const int32_t *ids, size_t n);

#endif
