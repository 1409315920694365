#include "harmony/reply.h"

#include "base/utf8.h"

#include <stdlib.h>
#include <string.h>

static const char REPLACEMENT[] = "\xef\xbf\xbd"; // U+FFFD

// ---- UTF-8 ----

// Adds the held bytes to a text, as U+FFFD if they are no whole character.
static bool release_held(struct reply *reply, struct buffer *text) {
  const size_t n = reply->n_held;
  reply->n_held = 0;
  if (n == 0)
    return true;
  return utf8_check(reply->held, n) == n ? buffer_add(text, reply->held, n)
                                         : buffer_add_text(text, REPLACEMENT);
}

static bool decode_byte(struct reply *reply, char byte, struct buffer *text) {
  reply->held[reply->n_held++] = byte;
  size_t length = utf8_length(reply->held, reply->n_held);
  if (length == 0 && reply->n_held > 1) { // the byte belongs to no held character
    reply->n_held--;
    if (!release_held(reply, text))
      return false;
    reply->held[reply->n_held++] = byte;
    length = utf8_length(&byte, 1);
  }
  return length <= reply->n_held ? release_held(reply, text) : true;
}

// Adds bytes to a text, except those of a character that is not whole yet.
static bool decode(struct reply *reply, const char *bytes, size_t n, struct buffer *text) {
  for (size_t i = 0; i < n; i++)
    if (!decode_byte(reply, bytes[i], text))
      return false;
  return true;
}

// ---- messages ----

static enum reply_kind kind_of(const struct reply_message *message) {
  const char *channel = message->channel;
  if (message->role)
    return REPLY_OTHER;
  if (message->recipient)
    return REPLY_CALL;
  if (!channel || strcmp(channel, "final") == 0)
    return REPLY_ANSWER;
  return strcmp(channel, "commentary") == 0 ? REPLY_PREAMBLE : REPLY_REASONING;
}

static bool is_channel(const char *channel) {
  return strcmp(channel, "analysis") == 0 || strcmp(channel, "commentary") == 0 ||
         strcmp(channel, "final") == 0;
}

static bool push_message(struct reply *reply, struct reply_message message) {
  if (reply->n == reply->capacity) {
    const size_t capacity = 2 * reply->capacity + 4;
    struct reply_message *grown = realloc(reply->message, capacity * sizeof *grown);
    if (!grown)
      return false;
    reply->message = grown;
    reply->capacity = capacity;
  }
  reply->message[reply->n++] = message;
  return true;
}

static struct reply_message *last_message(const struct reply *reply) {
  return &reply->message[reply->n - 1];
}

// Makes a message of the fields of the header, which moves them to it.
static bool push_header(struct reply *reply) {
  struct header *header = &reply->header;
  struct reply_message message = {
      .channel = header->channel,
      .recipient = header->recipient,
      .content_type = header->content_type,
      .well_formed = header->well_formed && header->next == WORD_FREE &&
                     (!header->channel || is_channel(header->channel)),
  };
  if (header->role && strcmp(header->role, "assistant") != 0) {
    message.role = header->role;
    message.well_formed = false;
  }
  message.kind = kind_of(&message);
  if (!push_message(reply, message))
    return false;
  if (!message.role)
    free(header->role);
  header->role = header->channel = header->recipient = header->content_type = NULL;
  return true;
}

// Adds the fresh text to a message.
static bool extend_message(struct reply *reply) {
  reply->fresh_message = reply->n - 1;
  return buffer_add(&last_message(reply)->text, reply->fresh.bytes, reply->fresh.n);
}

// ---- headers ----

static void begin_header(struct reply *reply, enum header_word next, bool well_formed) {
  header_begin(&reply->header, next, well_formed);
  reply->in_content = false;
  reply->header_has_special = false;
  reply->header_text.n = 0;
}

// Makes a message of the stray words that an id has completed, or adds them to that message.
// `had_stray`: the header has one. The message is complete when a special token follows.
static bool deliver_stray(struct reply *reply, bool had_stray) {
  if (reply->fresh.n == 0)
    return true;
  if (!had_stray && !push_message(reply, (struct reply_message){.kind = REPLY_ANSWER}))
    return false;
  last_message(reply)->complete = false;
  return extend_message(reply);
}

// Reads the decoded text of the header.
static bool read_decoded(struct reply *reply) {
  const struct buffer *text = &reply->decoded;
  return buffer_add(&reply->header_text, text->bytes, text->n) &&
         header_read(&reply->header, text->bytes, text->n, &reply->fresh);
}

static bool read_header(struct reply *reply, const char *bytes, size_t n) {
  const bool had_stray = reply->header.has_stray;
  reply->decoded.n = 0;
  return decode(reply, bytes, n, &reply->decoded) && read_decoded(reply) &&
         deliver_stray(reply, had_stray);
}

// Ends the last word of the header, at a special token or at a cut.
static bool end_word(struct reply *reply, bool cut) {
  struct header *header = &reply->header;
  const bool had_stray = header->has_stray;
  reply->decoded.n = 0;
  if (!release_held(reply, &reply->decoded) || !read_decoded(reply) ||
      !(cut ? header_cut_word(header, &reply->fresh) : header_end_word(header, &reply->fresh)) ||
      !deliver_stray(reply, had_stray))
    return false;
  if (header->has_stray && !cut)
    last_message(reply)->complete = true;
  return true;
}

// Ends a header that has no <|message|>. If it says anything, it becomes a message without text.
static bool abandon_header(struct reply *reply) {
  if (!header_has_fields(&reply->header))
    return true;
  reply->header.well_formed = false;
  if (!push_header(reply))
    return false;
  last_message(reply)->complete = true;
  return true;
}

static bool note_special(struct reply *reply, int32_t id) {
  size_t n;
  const char *bytes = tokenizer_bytes(reply->harmony->tokenizer, id, &n);
  reply->header_has_special = true;
  return buffer_add(&reply->header_text, bytes, n);
}

// ---- ids ----

// Ends the message or the header at a special token.
static bool close_message(struct reply *reply, bool well_formed) {
  if (!reply->in_content)
    return end_word(reply, false) && abandon_header(reply);
  struct reply_message *message = last_message(reply);
  message->complete = true;
  message->well_formed = message->well_formed && well_formed;
  return release_held(reply, &reply->fresh) && extend_message(reply);
}

static bool read_end(struct reply *reply, enum reply_end end) {
  if (!close_message(reply, true))
    return false;
  begin_header(reply, WORD_FREE, false); // well formed only after <|start|>
  reply->end = end;
  return true;
}

static bool read_start(struct reply *reply) {
  const bool ok = close_message(reply, false);
  begin_header(reply, WORD_ROLE, true);
  return ok && note_special(reply, reply->harmony->start);
}

// <|channel|>, which in a text begins a header as if <|end|><|start|>assistant came before it, or
// <|constrain|>.
static bool read_marker(struct reply *reply, int32_t id) {
  if (reply->in_content) {
    if (!close_message(reply, false))
      return false;
    begin_header(reply, WORD_FREE, false);
  } else if (!end_word(reply, false)) {
    return false;
  }
  header_expect(&reply->header, id == reply->harmony->channel ? WORD_CHANNEL : WORD_CONTENT_TYPE);
  return note_special(reply, id);
}

static bool read_message(struct reply *reply) {
  if (!end_word(reply, false) || !push_header(reply))
    return false;
  reply->in_content = true;
  reply->header_text.n = 0;
  return true;
}

// An id of text. One that the vocabulary does not have is a malformed byte.
static bool read_text(struct reply *reply, int32_t id) {
  size_t n;
  const char *bytes = tokenizer_bytes(reply->harmony->tokenizer, id, &n);
  const bool known = bytes != NULL;
  if (!known) {
    bytes = "\xff";
    n = 1;
  }
  if (!reply->in_content)
    return read_header(reply, bytes, n);
  struct reply_message *message = last_message(reply);
  if (!known || id == reply->harmony->message || id == reply->harmony->constrain)
    message->well_formed = false;
  return id_list_add(&message->ids, id) && decode(reply, bytes, n, &reply->fresh) &&
         extend_message(reply);
}

static bool read_id(struct reply *reply, int32_t id) {
  const struct harmony *harmony = reply->harmony;
  if (id == harmony->end)
    return read_end(reply, REPLY_ENDED);
  if (id == harmony->ret)
    return read_end(reply, REPLY_RETURNED);
  if (id == harmony->call)
    return read_end(reply, REPLY_CALLED);
  if (id >= 0 && id == harmony->end_of_text)
    return read_end(reply, REPLY_STOPPED);
  if (id == harmony->start)
    return read_start(reply);
  if (id == harmony->channel || (id == harmony->constrain && !reply->in_content))
    return read_marker(reply, id);
  if (id == harmony->message && !reply->in_content)
    return read_message(reply);
  return read_text(reply, id);
}

// ---- the reply ----

static bool deliver(const struct reply *reply, bool ok, struct reply_piece *piece,
                    struct error *err) {
  *piece = (struct reply_piece){.bytes = ""};
  if (!ok)
    return fail(err, "chat: out of memory for a reply");
  if (reply->fresh.n > 0)
    *piece = (struct reply_piece){
        .kind = reply->message[reply->fresh_message].kind,
        .message = reply->fresh_message,
        .bytes = reply->fresh.bytes,
        .n = reply->fresh.n,
    };
  return true;
}

bool reply_read(struct reply *reply, int32_t id, struct reply_piece *piece, struct error *err) {
  reply->fresh.n = 0;
  reply->end = REPLY_CUT;
  return deliver(reply, read_id(reply, id), piece, err);
}

// Ends the reply where it was cut off.
static bool cut(struct reply *reply) {
  if (reply->in_content)
    return release_held(reply, &reply->fresh) && extend_message(reply);
  if (!end_word(reply, true))
    return false;
  if (!reply->header_has_special && !header_has_fields(&reply->header) && reply->header.word.n == 0)
    reply->header_text.n = 0; // all of it is stray
  return true;
}

bool reply_finish(struct reply *reply, bool stopped, struct reply_piece *piece, struct error *err) {
  bool ok = true;
  reply->fresh.n = 0;
  if (reply->end == REPLY_CUT && stopped)
    ok = read_end(reply, REPLY_STOPPED);
  else if (reply->end == REPLY_CUT)
    ok = cut(reply);
  return deliver(reply, ok, piece, err);
}

void reply_free(struct reply *reply) {
  for (size_t i = 0; i < reply->n; i++) {
    struct reply_message *message = &reply->message[i];
    free(message->role);
    free(message->channel);
    free(message->recipient);
    free(message->content_type);
    free(message->text.bytes);
    free(message->ids.id);
  }
  free(reply->message);
  free(reply->header_text.bytes);
  header_free(&reply->header);
  free(reply->decoded.bytes);
  free(reply->fresh.bytes);
  *reply = (struct reply){0};
}

void reply_begin(struct reply *reply, const struct harmony *harmony) {
  reply_free(reply);
  reply->harmony = harmony;
  begin_header(reply, WORD_FREE, true);
}

bool reply_message_counts(const struct reply_message *message) {
  if (message->kind == REPLY_CALL)
    return message->complete;
  return message->kind != REPLY_OTHER && (message->well_formed || message->text.n > 0);
}

bool reply_has(const struct reply *reply, enum reply_kind kind) {
  for (size_t i = 0; i < reply->n; i++)
    if (reply->message[i].kind == kind && reply_message_counts(&reply->message[i]))
      return true;
  return false;
}

bool reply_is_well_formed(const struct reply *reply) {
  for (size_t i = 0; i < reply->n; i++)
    if (!reply->message[i].well_formed)
      return false;
  return true;
}
