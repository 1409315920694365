#include "tokenizer/harmony.h"

#include <string.h>

static bool find(int32_t *id, const struct tokenizer *tokenizer, const char *token,
                 struct error *err) {
  *id = tokenizer_special(tokenizer, token);
  return *id >= 0
             ? true
             : fail(err, "chat: want a tokenizer with the special token %s, found none", token);
}

bool harmony_open(struct harmony *harmony, const struct tokenizer *tokenizer, struct error *err) {
  harmony->tokenizer = tokenizer;
  return find(&harmony->start, tokenizer, "<|start|>", err) &&
         find(&harmony->end, tokenizer, "<|end|>", err) &&
         find(&harmony->message, tokenizer, "<|message|>", err) &&
         find(&harmony->channel, tokenizer, "<|channel|>", err) &&
         find(&harmony->ret, tokenizer, "<|return|>", err) &&
         find(&harmony->call, tokenizer, "<|call|>", err);
}

static bool add_id(struct id_list *ids, int32_t id, struct error *err) {
  return id_list_add(ids, id) ? true : fail(err, "chat: out of memory for a conversation");
}

static bool add_text(const struct harmony *harmony, const char *text, size_t bytes,
                     struct id_list *ids, struct error *err) {
  return tokenizer_encode(harmony->tokenizer, text, bytes, ids, err);
}

// Appends a message up to its text.
static bool add_header(const struct harmony *harmony, const char *role, const char *channel,
                       struct id_list *ids, struct error *err) {
  if (!add_id(ids, harmony->start, err) || !add_text(harmony, role, strlen(role), ids, err))
    return false;
  if (channel && (!add_id(ids, harmony->channel, err) ||
                  !add_text(harmony, channel, strlen(channel), ids, err)))
    return false;
  return add_id(ids, harmony->message, err);
}

bool harmony_add(const struct harmony *harmony, const char *role, const char *text, size_t bytes,
                 struct id_list *ids, struct error *err) {
  return add_header(harmony, role, NULL, ids, err) && add_text(harmony, text, bytes, ids, err) &&
         add_id(ids, harmony->end, err);
}

bool harmony_add_answer(const struct harmony *harmony, const struct id_list *answer,
                        struct id_list *ids, struct error *err) {
  bool ok = add_header(harmony, "assistant", "final", ids, err);
  for (size_t i = 0; ok && i < answer->n; i++)
    ok = add_id(ids, answer->id[i], err);
  return ok && add_id(ids, harmony->end, err);
}

bool harmony_begin_reply(const struct harmony *harmony, struct id_list *ids, struct error *err) {
  return add_id(ids, harmony->start, err) && add_text(harmony, "assistant", 9, ids, err);
}

// Cuts a name off that is too long to be `final`.
static void append_channel(struct reply *reply, const char *bytes, size_t n) {
  const size_t length = strlen(reply->channel);
  const size_t left = sizeof reply->channel - 1 - length;
  n = n < left ? n : left;
  memcpy(reply->channel + length, bytes, n);
  reply->channel[length + n] = 0;
}

enum reply_kind reply_read(struct reply *reply, const struct harmony *harmony, int32_t id) {
  if (id == harmony->start || id == harmony->end || id == harmony->ret || id == harmony->call) {
    *reply = (struct reply){.state = READING_HEADER};
    return REPLY_CONTROL;
  }
  if (id == harmony->channel || id == harmony->message) {
    reply->state = id == harmony->channel ? READING_CHANNEL : READING_MESSAGE;
    return REPLY_CONTROL;
  }
  size_t n;
  const char *bytes = tokenizer_bytes(harmony->tokenizer, id, &n);
  if (reply->state == READING_CHANNEL && bytes)
    append_channel(reply, bytes, n);
  if (reply->state != READING_MESSAGE)
    return REPLY_CONTROL;
  return strcmp(reply->channel, "final") == 0 ? REPLY_FINAL : REPLY_OTHER;
}
