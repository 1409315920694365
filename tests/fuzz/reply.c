// A reply of a model: 2 bytes are an id. Then the conversation with it is rendered.
#include "fuzz.h"

#include "harmony/conversation.h"

#include <stdlib.h>

static void render(const struct harmony *harmony, const struct reply *reply) {
  const struct conversation_settings settings = {.date = "2026-11-27"};
  const struct message user = {.role = "user", .text = "hi", .bytes = 2};
  struct conversation conversation;
  struct id_list ids = {0};
  struct error err;
  must(conversation_open(&conversation, harmony, &settings, &err), err.text);
  must(conversation_add(&conversation, &user, &err), err.text);
  must(conversation_add_reply(&conversation, reply, &err), err.text);
  must(conversation_render(&conversation, &ids, &err), err.text);
  conversation_close(&conversation);
  free(ids.id);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
  struct harmony harmony;
  struct reply reply = {0};
  struct reply_piece piece;
  struct error err;
  must(harmony_open(&harmony, fuzz_tokenizer(), &err), err.text);
  reply_begin(&reply, &harmony);
  for (size_t i = 0; i + 1 < bytes; i += 2)
    must(reply_read(&reply, (data[i] | data[i + 1] << 8) % tokenizer_size(fuzz_tokenizer()), &piece,
                    &err),
         err.text);
  must(reply_finish(&reply, bytes % 2 == 1, &piece, &err), err.text);
  render(&harmony, &reply);
  reply_free(&reply);
  return 0;
}
