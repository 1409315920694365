// A conversation: its settings and its messages. It becomes the ids of a prompt that asks the model
// for the next reply.
//
// A prompt consists of
//   - the canonical system message: identity, knowledge cutoff, date, effort, channels
//   - a developer message, if there are instructions or tools
//   - the messages. The reasoning before an answer is left out once the answer is there; that of a
//     turn that still goes on, because a tool was called, stays
//   - <|start|>assistant
#ifndef GETP_HARMONY_CONVERSATION_H
#define GETP_HARMONY_CONVERSATION_H

#include "harmony/harmony.h"
#include "harmony/reply.h"
#include "harmony/tools.h"

// Everything here must be UTF-8 and must outlive the conversation.
struct conversation_settings {
  const char *effort;        // "low", "medium" or "high"; NULL: medium
  const char *date;          // YYYY-MM-DD
  const char *instructions;  // what APIs call the system prompt, or NULL
  const struct tools *tools; // or NULL
};

// A message to add. Fields that do not apply are NULL.
//
//   what it is         role             recipient         channel        content_type
//   the user's         user
//   an answer          assistant                          final
//   reasoning          assistant                          analysis
//   a preamble         assistant                          commentary
//   a call             assistant        functions.NAME    commentary     json
//   a tool's result    functions.NAME   assistant         commentary
//   instructions       developer or system
struct message {
  const char *role, *recipient, *channel, *content_type;
  const char *text; // the content, UTF-8; special tokens in it are ordinary text
  size_t bytes;
  const struct id_list *ids; // the content as ids instead of as text, or NULL
};

// A message as its ids, from <|start|> to <|end|> or <|call|>.
struct rendered_message {
  struct id_list ids;
  bool is_answer, is_reasoning;
};

// Owns its messages. A zeroed one can be closed. `n` is for the caller, the rest for
// conversation.c.
struct conversation {
  const struct harmony *harmony;
  struct conversation_settings settings;
  struct buffer instructions; // those of the settings and of messages before all others
  struct rendered_message *message;
  size_t n, capacity; // messages
};

// Begins a conversation without messages. `harmony` must outlive it.
bool conversation_open(struct conversation *conversation, const struct harmony *harmony,
                       const struct conversation_settings *settings, struct error *err);
void conversation_close(struct conversation *conversation);

// Adds a copy of a message. Instructions that come before all other messages join those of the
// settings after an empty line, and do not count in `n`; later ones become a developer message
// where they stand. Refuses text that is not UTF-8. A failure leaves the conversation as it was.
bool conversation_add(struct conversation *conversation, const struct message *message,
                      struct error *err);

// Adds the messages of a finished reply that count, with headers in the canonical order: the ids of
// those that are well formed, as generated, and the text of others. A message without a channel,
// such as stray text, is added as an answer on the channel `final`.
bool conversation_add_reply(struct conversation *conversation, const struct reply *reply,
                            struct error *err);

// Forgets all messages but the first n. To forget a turn, remember `n` before its first message.
void conversation_forget(struct conversation *conversation, size_t n);

// Appends the ids of the prompt to a list. A failure may leave a part of them in it.
bool conversation_render(const struct conversation *conversation, struct id_list *ids,
                         struct error *err);

#endif
