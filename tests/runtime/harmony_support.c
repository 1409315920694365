#include "harmony_support.h"

#include "base/utf8.h"
#include "tokenizer_support.h"

#include <stdlib.h>
#include <string.h>

static int open_harmony(void **state, const char *path) {
  struct harmony *harmony = malloc(sizeof *harmony);
  struct error err;
  assert_non_null(harmony);
  if (!harmony_open(harmony, must_open(path), &err))
    fail_msg("%s", err.text);
  *state = harmony;
  return 0;
}

int open_o200k(void **state) {
  return open_harmony(state, O200K "/tokenizer.json");
}

int open_abacus(void **state) {
  return open_harmony(state, ABACUS "/tokenizer.json");
}

int close_harmony(void **state) {
  struct harmony *harmony = *state;
  tokenizer_close((struct tokenizer *)(uintptr_t)harmony->tokenizer);
  free(harmony);
  return 0;
}

// ---- texts ----

// The id of a special token at the front of a text, and its length; or -1.
static int32_t special_at(const struct harmony *harmony, const char *text, size_t *bytes) {
  char token[64];
  const char *end = strstr(text, "|>");
  if (strncmp(text, "<|", 2) != 0 || !end || (size_t)(end - text) + 3 > sizeof token)
    return -1;
  *bytes = (size_t)(end - text) + 2;
  memcpy(token, text, *bytes);
  token[*bytes] = 0;
  return tokenizer_special(harmony->tokenizer, token);
}

struct id_list spell(const struct harmony *harmony, const char *text) {
  struct id_list list = {0};
  struct error err;
  const char *begin = text;
  for (;;) {
    size_t bytes = 0;
    const int32_t id = *text ? special_at(harmony, text, &bytes) : -1;
    if (*text && id < 0) {
      text++;
      continue;
    }
    if (text > begin)
      assert_true(tokenizer_encode(harmony->tokenizer, begin, (size_t)(text - begin), &list, &err));
    if (!*text)
      return list;
    assert_true(id_list_add(&list, id));
    begin = text += bytes;
  }
}

char *unspell(const struct harmony *harmony, const int32_t *ids, size_t n) {
  struct buffer text = {0};
  assert_true(buffer_add_text(&text, ""));
  for (size_t i = 0; i < n; i++) {
    size_t bytes;
    const char *token = tokenizer_bytes(harmony->tokenizer, ids[i], &bytes);
    assert_non_null(token);
    assert_true(buffer_add(&text, token, bytes));
  }
  return text.bytes;
}

// ---- replies ----

// What the pieces of a reply have added up to.
struct stream {
  struct buffer text; // of all messages
  size_t message;     // of the last piece
};

static void add_piece(struct stream *stream, const struct reply *reply,
                      const struct reply_piece *piece) {
  if (piece->n == 0)
    return;
  assert_true(piece->message >= stream->message && piece->message < reply->n);
  assert_int_equal(piece->kind, reply->message[piece->message].kind);
  assert_int_equal(utf8_check(piece->bytes, piece->n), piece->n);
  stream->message = piece->message;
  assert_true(buffer_add(&stream->text, piece->bytes, piece->n));
}

static void check_stream(const struct stream *stream, const struct reply *reply) {
  size_t at = 0;
  for (size_t i = 0; i < reply->n; i++) {
    const struct buffer *text = &reply->message[i].text;
    assert_true(text->n <= stream->text.n - at);
    if (text->n > 0)
      assert_memory_equal(text->bytes, stream->text.bytes + at, text->n);
    at += text->n;
  }
  assert_int_equal(at, stream->text.n);
}

struct reply read_reply(const struct harmony *harmony, const int32_t *ids, size_t n, bool stopped) {
  struct reply reply = {0};
  struct reply_piece piece;
  struct stream stream = {0};
  struct error err;
  reply_begin(&reply, harmony);
  for (size_t i = 0; i < n; i++) {
    assert_true(reply_read(&reply, ids[i], &piece, &err));
    add_piece(&stream, &reply, &piece);
  }
  assert_true(reply_finish(&reply, stopped, &piece, &err));
  add_piece(&stream, &reply, &piece);
  check_stream(&stream, &reply);
  free(stream.text.bytes);
  return reply;
}

struct reply read_spelled(const struct harmony *harmony, const char *text, bool stopped) {
  struct id_list ids = spell(harmony, text);
  struct reply reply = read_reply(harmony, ids.id, ids.n, stopped);
  free(ids.id);
  return reply;
}

static void describe(struct buffer *text, const char *before, const char *field) {
  if (field)
    assert_true(buffer_add_text(text, before) && buffer_add_text(text, field));
}

void assert_reply(const struct reply *reply, const char *want, enum reply_end end) {
  static const char *const KINDS[] = {"answer", "reasoning", "preamble", "call", "other"};
  struct buffer text = {0};
  assert_true(buffer_add_text(&text, ""));
  for (size_t i = 0; i < reply->n; i++) {
    const struct reply_message *message = &reply->message[i];
    describe(&text, i > 0 ? "\n" : "", KINDS[message->kind]);
    describe(&text, " role=", message->role);
    describe(&text, " ", message->channel);
    describe(&text, " to=", message->recipient);
    describe(&text, " type=", message->content_type);
    describe(&text, "", message->complete ? NULL : " cut");
    describe(&text, "", message->well_formed ? NULL : " malformed");
    describe(&text, ": ", message->text.bytes ? message->text.bytes : "");
  }
  assert_string_equal(text.bytes, want);
  assert_int_equal(reply->end, end);
  free(text.bytes);
}
