// The harmony format, in which gpt-oss reads and writes conversations. A message is
//
//   <|start|>ROLE to=RECIPIENT<|channel|>CHANNEL <|constrain|>CONTENT_TYPE<|message|>CONTENT<|end|>
//
// Everything between ROLE and <|message|> may be missing. A call of a tool ends with <|call|>
// instead of <|end|>, a final answer that the model writes with <|return|>.
#ifndef GETP_HARMONY_HARMONY_H
#define GETP_HARMONY_HARMONY_H

#include "tokenizer/tokenizer.h"

struct harmony {
  const struct tokenizer *tokenizer; // must outlive the struct

  // Ids of the special tokens. `ret` is that of <|return|>.
  int32_t start, end, message, channel, constrain, ret, call;

  int32_t end_of_text; // <|endoftext|>, at which a model may stop as well; -1 if there is none
};

// Finds the special tokens. Refuses the tokenizer of another model family and names the first
// special token that it lacks; only <|endoftext|> may be missing. The struct owns nothing.
bool harmony_open(struct harmony *harmony, const struct tokenizer *tokenizer, struct error *err);

#endif
