// The harmony format of gpt-oss: messages as token ids, and the messages in a reply. A message is
// <|start|>ROLE[<|channel|>CHANNEL]<|message|>TEXT and <|end|>, or, where a reply ends, <|return|>.
#ifndef GETP_TOKENIZER_HARMONY_H
#define GETP_TOKENIZER_HARMONY_H

#include "tokenizer/tokenizer.h"

struct harmony {
  const struct tokenizer *tokenizer;
  int32_t start, end, message, channel, ret, call; // ids of the special tokens
};

// Refuses a tokenizer that lacks one of the special tokens, by name.
bool harmony_open(struct harmony *harmony, const struct tokenizer *tokenizer, struct error *err);

// Appends a whole message: <|start|>role<|message|>text<|end|>. Special tokens in the text are
// ordinary text.
bool harmony_add(const struct harmony *harmony, const char *role, const char *text, size_t bytes,
                 struct id_list *ids, struct error *err);

// Appends the text of an answer, as the ids it was generated in, as a message of the final channel:
// a sampled or cut-off answer need not be UTF-8.
bool harmony_add_answer(const struct harmony *harmony, const struct id_list *answer,
                        struct id_list *ids, struct error *err);

// Appends what a reply continues: <|start|>assistant.
bool harmony_begin_reply(const struct harmony *harmony, struct id_list *ids, struct error *err);

enum reply_kind {
  REPLY_CONTROL, // no text
  REPLY_FINAL,   // text of the final channel
  REPLY_OTHER,   // of another
};

// How far a reply has been read.
struct reply {
  enum { READING_HEADER, READING_CHANNEL, READING_MESSAGE } state;
  char channel[32];
};

// Reads the next id of a reply; says whether it is text of a message, and of which channel.
enum reply_kind reply_read(struct reply *reply, const struct harmony *harmony, int32_t id);

#endif
