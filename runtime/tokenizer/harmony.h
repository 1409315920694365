// The harmony format, in which gpt-oss reads and writes conversations. Each message is
//
//   <|start|>ROLE<|channel|>CHANNEL<|message|>TEXT<|end|>
//
// The channel may be missing. A reply ends with <|return|> or <|call|> instead of <|end|>.
#ifndef GETP_TOKENIZER_HARMONY_H
#define GETP_TOKENIZER_HARMONY_H

#include "tokenizer/tokenizer.h"

struct harmony {
  const struct tokenizer *tokenizer;
  int32_t start, end, message, channel, ret, call; // ids of the special tokens; ret: <|return|>
};

// Finds the special tokens. Names one that the tokenizer does not have.
bool harmony_open(struct harmony *harmony, const struct tokenizer *tokenizer, struct error *err);

// Appends a message without a channel. Special tokens in its text are ordinary text.
bool harmony_add(const struct harmony *harmony, const char *role, const char *text, size_t bytes,
                 struct id_list *ids, struct error *err);

// Appends an answer of the assistant, in the channel `final`. Its text is given as the generated
// ids, because an answer that was sampled or cut off need not be UTF-8.
bool harmony_add_answer(const struct harmony *harmony, const struct id_list *answer,
                        struct id_list *ids, struct error *err);

// Appends <|start|>assistant, which the model continues with a reply.
bool harmony_begin_reply(const struct harmony *harmony, struct id_list *ids, struct error *err);

enum reply_kind {
  REPLY_CONTROL, // no text: a special token, a role or the name of a channel
  REPLY_FINAL,   // text in the channel `final`
  REPLY_OTHER,   // text in another channel
};

// The state of reading a reply. A zeroed one is at its beginning.
struct reply {
  enum { READING_HEADER, READING_CHANNEL, READING_MESSAGE } state;
  char channel[32];
};

// Reads the next id of a reply and returns what it is.
enum reply_kind reply_read(struct reply *reply, const struct harmony *harmony, int32_t id);

#endif
