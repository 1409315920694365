#include "harmony/conversation.h"

#include "base/utf8.h"

#include <stdlib.h>
#include <string.h>

static const char IDENTITY[] = "You are ChatGPT, a large language model trained by OpenAI.\n"
                               "Knowledge cutoff: 2024-06\n"
                               "Current date: ";
static const char CHANNELS[] = "\n\n# Valid channels: analysis, commentary, final. Channel must be "
                               "included for every message.";
static const char CALLS[] =
    "\nCalls to these tools must go to the commentary channel: 'functions'.";

static bool out_of_memory(struct error *err) {
  return fail(err, "chat: out of memory for a conversation");
}

// ---- ids ----

static bool add_id(struct id_list *ids, int32_t id, struct error *err) {
  return id_list_add(ids, id) ? true : out_of_memory(err);
}

static bool add_ids(struct id_list *ids, const struct id_list *from, struct error *err) {
  for (size_t i = 0; i < from->n; i++)
    if (!add_id(ids, from->id[i], err))
      return false;
  return true;
}

static bool add_text(const struct harmony *harmony, const char *text, size_t bytes,
                     struct id_list *ids, struct error *err) {
  return bytes == 0 || tokenizer_encode(harmony->tokenizer, text, bytes, ids, err);
}

static bool add_word(const struct harmony *harmony, const char *word, struct id_list *ids,
                     struct error *err) {
  return add_text(harmony, word, strlen(word), ids, err);
}

static bool add_recipient(const struct harmony *harmony, const char *recipient, struct id_list *ids,
                          struct error *err) {
  struct buffer text = {0};
  bool ok = buffer_add_text(&text, " to=") && buffer_add_text(&text, recipient);
  ok = ok ? add_text(harmony, text.bytes, text.n, ids, err) : out_of_memory(err);
  free(text.bytes);
  return ok;
}

static bool add_header(const struct harmony *harmony, const struct message *message,
                       struct id_list *ids, struct error *err) {
  if (!add_id(ids, harmony->start, err) || !add_word(harmony, message->role, ids, err))
    return false;
  if (message->recipient && !add_recipient(harmony, message->recipient, ids, err))
    return false;
  if (message->channel &&
      (!add_id(ids, harmony->channel, err) || !add_word(harmony, message->channel, ids, err)))
    return false;
  if (message->content_type &&
      (!add_word(harmony, " ", ids, err) || !add_id(ids, harmony->constrain, err) ||
       !add_word(harmony, message->content_type, ids, err)))
    return false;
  return add_id(ids, harmony->message, err);
}

static bool is_assistant(const struct message *message) {
  return strcmp(message->role, "assistant") == 0;
}

// Adds a message from <|start|> to <|end|> or <|call|>.
static bool add_message(const struct harmony *harmony, const struct message *message,
                        struct id_list *ids, struct error *err) {
  const bool calls = is_assistant(message) && message->recipient;
  return add_header(harmony, message, ids, err) &&
         (message->ids ? add_ids(ids, message->ids, err)
                       : add_text(harmony, message->text, message->bytes, ids, err)) &&
         add_id(ids, calls ? harmony->call : harmony->end, err);
}

// Adds a message whose content is in a buffer, which it frees. `ok`: no memory ran out for it.
static bool add_built(const struct harmony *harmony, const char *role, struct buffer text, bool ok,
                      struct id_list *ids, struct error *err) {
  const struct message message = {.role = role, .text = text.bytes, .bytes = text.n};
  ok = ok ? add_message(harmony, &message, ids, err) : out_of_memory(err);
  free(text.bytes);
  return ok;
}

// ---- the system and the developer message ----

static bool has_tools(const struct conversation *conversation) {
  return conversation->settings.tools && conversation->settings.tools->n > 0;
}

static bool add_system(const struct conversation *conversation, struct id_list *ids,
                       struct error *err) {
  const struct conversation_settings *settings = &conversation->settings;
  struct buffer text = {0};
  const bool ok = buffer_add_text(&text, IDENTITY) && buffer_add_text(&text, settings->date) &&
                  buffer_add_text(&text, "\n\nReasoning: ") &&
                  buffer_add_text(&text, settings->effort ? settings->effort : "medium") &&
                  buffer_add_text(&text, CHANNELS) &&
                  (!has_tools(conversation) || buffer_add_text(&text, CALLS));
  return add_built(conversation->harmony, "system", text, ok, ids, err);
}

// Adds a developer message with instructions, tools or both. An argument is NULL or empty where
// there are none.
static bool add_developer(const struct harmony *harmony, const struct buffer *instructions,
                          const struct tools *tools, struct id_list *ids, struct error *err) {
  struct buffer text = {0};
  bool ok = true;
  if (instructions->n > 0)
    ok = buffer_add_text(&text, "# Instructions\n\n") &&
         buffer_add(&text, instructions->bytes, instructions->n);
  if (ok && tools && instructions->n > 0)
    ok = buffer_add_text(&text, "\n\n");
  if (ok && tools)
    ok = buffer_add_text(&text, "# Tools\n\n## functions\n\n") &&
         buffer_add(&text, tools->text, tools->bytes);
  return add_built(harmony, "developer", text, ok, ids, err);
}

// ---- conversations ----

// Instructions that come first join those of the settings.
static bool add_instructions(struct conversation *conversation, const char *text, size_t bytes,
                             struct error *err) {
  struct buffer *instructions = &conversation->instructions;
  const size_t before = instructions->n, bad = utf8_check(text, bytes);
  if (bad < bytes)
    return fail(err, "instructions: byte %zu: want UTF-8, found 0x%02x", bad + 1,
                (unsigned char)text[bad]);
  if (bytes == 0 || ((before == 0 || buffer_add_text(instructions, "\n\n")) &&
                     buffer_add(instructions, text, bytes)))
    return true;
  instructions->n = before;
  return out_of_memory(err);
}

bool conversation_open(struct conversation *conversation, const struct harmony *harmony,
                       const struct conversation_settings *settings, struct error *err) {
  *conversation = (struct conversation){.harmony = harmony, .settings = *settings};
  const char *instructions = settings->instructions;
  return !instructions || add_instructions(conversation, instructions, strlen(instructions), err);
}

void conversation_forget(struct conversation *conversation, size_t n) {
  while (conversation->n > n)
    free(conversation->message[--conversation->n].ids.id);
}

void conversation_close(struct conversation *conversation) {
  conversation_forget(conversation, 0);
  free(conversation->message);
  free(conversation->instructions.bytes);
  *conversation = (struct conversation){0};
}

static bool reserve(struct conversation *conversation, struct error *err) {
  if (conversation->n < conversation->capacity)
    return true;
  const size_t capacity = 2 * conversation->capacity + 16;
  struct rendered_message *grown = realloc(conversation->message, capacity * sizeof *grown);
  if (!grown)
    return out_of_memory(err);
  conversation->message = grown;
  conversation->capacity = capacity;
  return true;
}

static bool is_instructions(const struct message *message) {
  return strcmp(message->role, "developer") == 0 || strcmp(message->role, "system") == 0;
}

static bool is_on(const struct message *message, const char *channel) {
  return message->channel && strcmp(message->channel, channel) == 0;
}

static bool render(const struct harmony *harmony, const struct message *message,
                   struct id_list *ids, struct error *err) {
  if (!is_instructions(message))
    return add_message(harmony, message, ids, err);
  struct buffer text = {0};
  const bool ok = buffer_add(&text, message->text, message->bytes);
  const bool added = ok ? add_developer(harmony, &text, NULL, ids, err) : out_of_memory(err);
  free(text.bytes);
  return added;
}

bool conversation_add(struct conversation *conversation, const struct message *message,
                      struct error *err) {
  const bool own = is_assistant(message) && !message->recipient;
  struct rendered_message rendered = {
      .is_answer = own && (!message->channel || is_on(message, "final")),
      .is_reasoning = own && is_on(message, "analysis"),
  };
  if (is_instructions(message) && conversation->n == 0)
    return add_instructions(conversation, message->text, message->bytes, err);
  if (!reserve(conversation, err))
    return false;
  if (!render(conversation->harmony, message, &rendered.ids, err)) {
    free(rendered.ids.id);
    return false;
  }
  conversation->message[conversation->n++] = rendered;
  return true;
}

bool conversation_add_reply(struct conversation *conversation, const struct reply *reply,
                            struct error *err) {
  const size_t before = conversation->n;
  for (size_t i = 0; i < reply->n; i++) {
    const struct reply_message *from = &reply->message[i];
    const struct message message = {
        .role = "assistant",
        .recipient = from->recipient,
        .channel = from->channel || from->recipient ? from->channel : "final",
        .content_type = from->content_type,
        .text = from->text.bytes,
        .bytes = from->text.n,
        .ids = from->well_formed ? &from->ids : NULL,
    };
    if (reply_message_counts(from) && !conversation_add(conversation, &message, err)) {
      conversation_forget(conversation, before);
      return false;
    }
  }
  return true;
}

// The number of messages up to the last answer: reasoning among them belongs to finished turns.
static size_t finished(const struct conversation *conversation) {
  size_t n = conversation->n;
  while (n > 0 && !conversation->message[n - 1].is_answer)
    n--;
  return n;
}

bool conversation_render(const struct conversation *conversation, struct id_list *ids,
                         struct error *err) {
  const struct harmony *harmony = conversation->harmony;
  const struct tools *tools = has_tools(conversation) ? conversation->settings.tools : NULL;
  const struct buffer *instructions = &conversation->instructions;
  const size_t n_finished = finished(conversation);
  bool ok = add_system(conversation, ids, err);
  if (ok && (instructions->n > 0 || tools))
    ok = add_developer(harmony, instructions, tools, ids, err);
  for (size_t i = 0; ok && i < conversation->n; i++) {
    const struct rendered_message *message = &conversation->message[i];
    if (!message->is_reasoning || i >= n_finished)
      ok = add_ids(ids, &message->ids, err);
  }
  return ok && add_id(ids, harmony->start, err) && add_word(harmony, "assistant", ids, err);
}
