// -m chat: holds a conversation.
#include "base/interrupt.h"
#include "harmony/conversation.h"
#include "mode/messages.h"
#include "mode/mode.h"
#include "mode/transcript.h"
#include "terminal.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct chat {
  struct session *session;
  struct harmony harmony;
  struct tools tools;
  char today[sizeof "YYYY-MM-DD"];
  struct conversation conversation;
  struct id_list prompt;
  struct id_list cached; // the ids whose keys and values slot 0 holds
  size_t written;        // positions that slot 0 has held since it began again at position 0
  int32_t *output;       // (max_tokens) of the running reply
  struct reply reply;
  struct transcript transcript;
  struct messages messages;
  uint64_t replies;
  bool refused; // a message
};

// ---- a reply ----

static bool on_token(void *context, const struct request *request, struct error *err) {
  struct chat *chat = context;
  struct reply_piece piece;
  if (!reply_read(&chat->reply, request->output[request->n_output - 1], &piece, err))
    return false;
  transcript_add(&chat->transcript, &piece);
  return true;
}

static bool go_on(void *context) {
  (void)context;
  return interrupt_signal() == 0;
}

// The positions of the cache that the prompt can use: as many ids as both begin with. It is 0 if
// the sequence would have to go back further than the rings of the sliding layers allow. A ring
// lost what lies further back when it was written, even if the sequence went back since.
static int reusable(const struct chat *chat) {
  const struct id_list *cached = &chat->cached, *prompt = &chat->prompt;
  size_t n = 0;
  while (n < cached->n && n + 1 < prompt->n && cached->id[n] == prompt->id[n])
    n++;
  return chat->written - n <= (size_t)chat->session->limits.rewind ? (int)n : 0;
}

// The cache then holds the prompt and all ids of the output but the last. An interrupted reply may
// have sent only the beginning of the prompt: then the cache counts as empty.
static bool remember_cache(struct chat *chat, const struct request *request, struct error *err) {
  bool ok = true;
  chat->cached.n = 0;
  for (size_t i = 0; ok && request->n_output > 0 && i < chat->prompt.n; i++)
    ok = id_list_add(&chat->cached, chat->prompt.id[i]);
  for (int i = 0; ok && i + 1 < request->n_output; i++)
    ok = id_list_add(&chat->cached, request->output[i]);
  if (request->cached == 0 || chat->written < chat->cached.n)
    chat->written = chat->cached.n;
  return ok ? true : fail(err, "chat: out of memory for a conversation");
}

// Generates and prints the reply to the prompt. *failed with a message: its logits were no numbers.
static bool generate_reply(struct chat *chat, bool *failed, struct error *err) {
  struct session *session = chat->session;
  const struct batch_options options = session_batch(session);
  const struct batch_events events = {.context = chat, .token = on_token, .go_on = go_on};
  struct request request = {
      .prompt = chat->prompt.id,
      .n_prompt = (int)chat->prompt.n,
      .cached = reusable(chat),
      .max_tokens = session->max_tokens,
      .output = chat->output,
      .stream = chat->replies++,
  };
  struct reply_piece piece;
  reply_begin(&chat->reply, &chat->harmony);
  if (!session_parity(session, chat->prompt.id, chat->prompt.n, err) ||
      !batch_run(session->engine, &request, 1, &options, &events, err))
    return false;
  const bool stopped =
      request.n_output > 0 && is_stop_id(&session->stop, request.output[request.n_output - 1]);
  if (!reply_finish(&chat->reply, stopped, &piece, err))
    return false;
  transcript_add(&chat->transcript, &piece);
  *failed = !request_check(&request, "chat: the reply", err);
  if (!*failed)
    return remember_cache(chat, &request, err);
  chat->cached.n = chat->written = 0; // the batch has cleared the slot
  return true;
}

// What a reply leaves to do.
enum turn {
  TURN_CALLS,     // its calls need results, then the turn goes on
  TURN_DONE,      // the conversation has the reply
  TURN_FORGOTTEN, // the conversation must be as before the turn
};

static bool is_call(const struct reply_message *message) {
  return message->kind == REPLY_CALL;
}

// A call that nobody can answer: it is cut off, or of a function that was not offered.
static const struct reply_message *vain_call(const struct chat *chat) {
  for (size_t i = 0; i < chat->reply.n; i++) {
    const struct reply_message *message = &chat->reply.message[i];
    if (is_call(message) && !(message->complete && tools_have(&chat->tools, message->recipient)))
      return message;
  }
  return NULL;
}

// Says on stderr what is wrong with a reply that the user did not stop.
static void report_reply(const struct chat *chat) {
  static const char FULL[] = "the conversation is full: /new begins a new one";
  const struct reply *reply = &chat->reply;
  const struct reply_message *vain = vain_call(chat);
  if (reply->end == REPLY_CUT && reply->header_text.n > 0)
    remark("chat: the reply is cut off in the header \"%.200s\": %s", reply->header_text.bytes,
           FULL);
  else if (reply->end == REPLY_CUT && vain && !vain->complete)
    remark("chat: the reply is cut off in the call %.200s %.200s: %s", vain->recipient,
           vain->text.n ? vain->text.bytes : "", FULL);
  else if (reply->end == REPLY_CUT)
    remark("chat: the reply is cut off: %s", FULL);
  else if (vain)
    remark("chat: the reply calls %.200s, which is no function of --tools: %.200s", vain->recipient,
           vain->text.n ? vain->text.bytes : "");
  else if (!reply_is_well_formed(reply))
    remark("chat: the reply does not keep to the harmony format");
  else if (!reply_has(reply, REPLY_ANSWER) && !reply_has(reply, REPLY_PREAMBLE) &&
           !reply_has(reply, REPLY_CALL))
    remark("chat: the reply has no answer");
}

// Adds the reply to the conversation. One that was stopped before its answer began is forgotten.
static bool keep_reply(struct chat *chat, bool stopped, enum turn *turn, struct error *err) {
  const struct reply *reply = &chat->reply;
  const bool calls = reply_has(reply, REPLY_CALL);
  const bool answers =
      reply_has(reply, REPLY_ANSWER) || (reply_has(reply, REPLY_PREAMBLE) && !calls);
  if (!stopped && calls && !vain_call(chat) && reply->end != REPLY_CUT)
    *turn = TURN_CALLS;
  else
    *turn = answers ? TURN_DONE : TURN_FORGOTTEN;
  return *turn == TURN_FORGOTTEN || conversation_add_reply(&chat->conversation, reply, err);
}

// Says why a message gets no reply, and prints an empty line instead, so that a program which waits
// for a reply goes on.
static void refuse(struct chat *chat, const struct error *why) {
  remark("%s", why->text);
  chat->refused = true;
  transcript_end(&chat->transcript, true);
}

// One reply of the model to the conversation.
static bool answer(struct chat *chat, enum turn *turn, struct error *err) {
  const int max_tokens = chat->session->max_tokens;
  *turn = TURN_FORGOTTEN;
  chat->prompt.n = 0;
  if (!conversation_render(&chat->conversation, &chat->prompt, err))
    return false;
  if (chat->prompt.n >= (size_t)max_tokens) {
    fail(err,
         "chat: not sent: with it the conversation has %zu tokens, want fewer than %d: send a "
         "shorter message, or begin a new conversation with /new",
         chat->prompt.n, max_tokens);
    refuse(chat, err);
    return true;
  }
  bool failed;
  if (!generate_reply(chat, &failed, err))
    return false;
  if (failed) {
    refuse(chat, err);
    return true;
  }
  const int signal = interrupt_signal();
  if (!keep_reply(chat, signal != 0, turn, err))
    return false;
  transcript_end(&chat->transcript, *turn != TURN_CALLS);
  if (signal == SIGINT) // it stopped this turn, not the conversation
    interrupt_clear();
  else if (signal == 0)
    report_reply(chat);
  return true;
}

// ---- a turn ----

// The next message is the result of a call. *come is false if there is none: the input has ended,
// or the user stops the turn.
static bool read_result(struct chat *chat, const char *tool, bool *come, struct error *err) {
  struct text text;
  for (;;) {
    if (!messages_next(&chat->messages, tool, &text, err))
      return false;
    *come = text.bytes != NULL;
    if (!*come && !interrupt_signal())
      remark("chat: the input ended before the result of %s", tool);
    if (!*come || check_text("the result", text.bytes, text.n, err))
      break;
    remark("%s", err->text);
  }
  const struct message result = {.role = tool,
                                 .recipient = "assistant",
                                 .channel = "commentary",
                                 .text = text.bytes,
                                 .bytes = text.n};
  return !*come || conversation_add(&chat->conversation, &result, err);
}

// Prints the calls of the reply and adds their results to the conversation.
static bool call_tools(struct chat *chat, enum turn *turn, struct error *err) {
  const struct reply *reply = &chat->reply;
  for (size_t i = 0; i < reply->n; i++)
    if (is_call(&reply->message[i]))
      transcript_call(&chat->transcript, &reply->message[i]);
  bool come = true;
  for (size_t i = 0; come && i < reply->n; i++)
    if (is_call(&reply->message[i]) && !read_result(chat, reply->message[i].recipient, &come, err))
      return false;
  if (come)
    return true;
  *turn = TURN_FORGOTTEN;
  transcript_end(&chat->transcript, true);
  if (interrupt_signal() == SIGINT)
    interrupt_clear();
  return true;
}

// The user's text and all replies to it. A turn without an answer is forgotten.
static bool run_turn(struct chat *chat, const char *text, size_t bytes, struct error *err) {
  const size_t before = chat->conversation.n;
  const struct message message = {.role = "user", .text = text, .bytes = bytes};
  if (!conversation_add(&chat->conversation, &message, err))
    return false;
  enum turn turn = TURN_CALLS;
  while (turn == TURN_CALLS)
    if (!answer(chat, &turn, err) || (turn == TURN_CALLS && !call_tools(chat, &turn, err)))
      return false;
  if (turn == TURN_FORGOTTEN)
    conversation_forget(&chat->conversation, before);
  return true;
}

static bool is_new(struct text text) {
  return text.n == 4 && memcmp(text.bytes, "/new", 4) == 0;
}

static bool converse(struct chat *chat, const struct text *first, struct error *err) {
  if (first->bytes && !run_turn(chat, first->bytes, first->n, err))
    return false;
  while (!interrupt_signal()) {
    struct text text;
    if (!messages_next(&chat->messages, "", &text, err))
      return false;
    if (!text.bytes)
      break;
    if (is_new(text))
      conversation_forget(&chat->conversation, 0);
    else if (!check_text("the message", text.bytes, text.n, err))
      refuse(chat, err);
    else if (!run_turn(chat, text.bytes, text.n, err))
      return false;
  }
  return true;
}

// ---- the conversation ----

static bool open_conversation(struct chat *chat, struct error *err) {
  const struct options *options = chat->session->options;
  const char *instructions = options->instructions;
  const time_t now = time(NULL);
  struct tm local;
  if (!localtime_r(&now, &local) || !strftime(chat->today, sizeof chat->today, "%Y-%m-%d", &local))
    return fail(err, "chat: want a date, found none in the system's clock: give one with --date");
  if (instructions && !check_text("-y", instructions, strlen(instructions), err))
    return false;
  if (options->tools && !tools_read(&chat->tools, options->tools, err))
    return false;
  const struct conversation_settings settings = {
      .effort = options->effort,
      .date = options->date ? options->date : chat->today,
      .instructions = instructions,
      .tools = options->tools ? &chat->tools : NULL,
  };
  return harmony_open(&chat->harmony, chat->session->tokenizer, err) &&
         conversation_open(&chat->conversation, &chat->harmony, &settings, err);
}

static bool run(struct chat *chat, const struct text *first, struct error *err) {
  const int max_tokens = chat->session->max_tokens;
  chat->output = calloc((size_t)max_tokens, sizeof *chat->output);
  if (!chat->output)
    return fail(err, "chat: out of memory for %d tokens", max_tokens);
  transcript_open(&chat->transcript, chat->session->options->reasoning);
  messages_open(&chat->messages);
  session_say_seed(chat->session);
  interrupt_catch();
  return session_warm_up(chat->session, err) && converse(chat, first, err);
}

static void close_chat(struct chat *chat) {
  messages_close(&chat->messages);
  reply_free(&chat->reply);
  conversation_close(&chat->conversation);
  tools_free(&chat->tools);
  free(chat->prompt.id);
  free(chat->cached.id);
  free(chat->output);
}

int mode_chat(struct session *session, struct error *err) {
  struct chat chat = {.session = session};
  struct text first;
  const char *where;
  const bool ok = session_read_input(session, &first, &where, err) &&
                  open_conversation(&chat, err) && run(&chat, &first, err);
  free(first.bytes);
  close_chat(&chat);
  if (!ok)
    return -1;
  return interrupt_signal() ? 128 + interrupt_signal() : chat.refused;
}
