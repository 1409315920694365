#include "harmony/harmony.h"

static bool find(int32_t *id, const struct tokenizer *tokenizer, const char *token,
                 struct error *err) {
  *id = tokenizer_special(tokenizer, token);
  return *id >= 0 ? true
                  : fail(err,
                         "chat: want a tokenizer of the harmony format (gpt-oss), found one "
                         "without %s",
                         token);
}

bool harmony_open(struct harmony *harmony, const struct tokenizer *tokenizer, struct error *err) {
  harmony->tokenizer = tokenizer;
  harmony->end_of_text = tokenizer_special(tokenizer, "<|endoftext|>");
  return find(&harmony->start, tokenizer, "<|start|>", err) &&
         find(&harmony->end, tokenizer, "<|end|>", err) &&
         find(&harmony->message, tokenizer, "<|message|>", err) &&
         find(&harmony->channel, tokenizer, "<|channel|>", err) &&
         find(&harmony->constrain, tokenizer, "<|constrain|>", err) &&
         find(&harmony->ret, tokenizer, "<|return|>", err) &&
         find(&harmony->call, tokenizer, "<|call|>", err);
}
