// A conversation: fields that end with a zero byte. The first three are the settings, then a
// message has five. An empty field is NULL.
#include "fuzz.h"

#include "harmony/conversation.h"

#include <stdlib.h>
#include <string.h>

struct fields {
  const char *next, *end; // the byte at `end` is zero
};

static const char *next_field(struct fields *fields) {
  if (fields->next >= fields->end)
    return NULL;
  const char *field = fields->next;
  fields->next += strlen(field) + 1;
  return *field ? field : NULL;
}

static void add_messages(struct conversation *conversation, struct fields *fields) {
  struct id_list ids = {0};
  struct error err;
  while (fields->next < fields->end) {
    const char *text = next_field(fields), *role = next_field(fields);
    const struct message message = {.role = role ? role : "user",
                                    .recipient = next_field(fields),
                                    .channel = next_field(fields),
                                    .content_type = next_field(fields),
                                    .text = text ? text : "",
                                    .bytes = text ? strlen(text) : 0};
    const size_t before = conversation->n;
    if (!conversation_add(conversation, &message, &err))
      must(conversation->n == before, "a conversation as it was");
  }
  (void)conversation_render(conversation, &ids, &err);
  conversation_forget(conversation, conversation->n / 2);
  (void)conversation_render(conversation, &ids, &err);
  free(ids.id);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
  struct harmony harmony;
  struct conversation conversation = {0};
  struct error err;
  char *copy = calloc(bytes + 1, 1);
  must(copy != NULL, "memory");
  memcpy(copy, data, bytes);
  struct fields fields = {copy, copy + bytes};
  must(harmony_open(&harmony, fuzz_tokenizer(), &err), err.text);
  const char *date = next_field(&fields);
  const struct conversation_settings settings = {.date = date ? date : "2026-11-27",
                                                 .effort = next_field(&fields),
                                                 .instructions = next_field(&fields)};
  if (conversation_open(&conversation, &harmony, &settings, &err))
    add_messages(&conversation, &fields);
  conversation_close(&conversation);
  free(copy);
  return 0;
}
