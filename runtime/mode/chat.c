// -m chat: holds a conversation.
#include "base/interrupt.h"
#include "harmony/conversation.h"
#include "mode/mode.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct chat {
  struct session *session;
  struct harmony harmony;
  struct conversation conversation;
  struct id_list cached; // the ids whose keys and values slot 0 holds
  int32_t *output;       // (max_tokens) of the running turn
  struct reply reply;
  bool terminal; // stdin is one
};

// Prints the answer on stdout as it comes, reasoning and tool calls on stderr.
static void print(const struct reply_piece *piece) {
  FILE *stream = piece->kind == REPLY_ANSWER ? stdout : stderr;
  fwrite(piece->bytes, 1, piece->n, stream);
  fflush(stream);
}

static bool on_token(void *context, const struct request *request, struct error *err) {
  struct chat *chat = context;
  struct reply_piece piece;
  if (!reply_read(&chat->reply, request->output[request->n_output - 1], &piece, err))
    return false;
  print(&piece);
  return true;
}

static bool go_on(void *context) {
  (void)context;
  return interrupt_signal() == 0;
}

// The positions of the cache that the prompt can use: as many ids as both begin with. It is 0 if
// the sequence would have to go back further than the rings of the sliding layers allow.
static int reusable(const struct chat *chat, const struct id_list *prompt) {
  const struct id_list *cached = &chat->cached;
  size_t n = 0;
  while (n < cached->n && n + 1 < prompt->n && cached->id[n] == prompt->id[n])
    n++;
  return cached->n - n <= (size_t)chat->session->limits.rewind ? (int)n : 0;
}

// The cache then holds the prompt and all ids of the output but the last. An interrupted turn may
// have sent only the beginning of the prompt: then the cache counts as empty.
static bool remember_cache(struct chat *chat, const struct id_list *prompt,
                           const struct request *request, struct error *err) {
  bool ok = true;
  chat->cached.n = 0;
  if (request->n_output == 0)
    return true;
  for (size_t i = 0; ok && i < prompt->n; i++)
    ok = id_list_add(&chat->cached, prompt->id[i]);
  for (int i = 0; ok && i + 1 < request->n_output; i++)
    ok = id_list_add(&chat->cached, request->output[i]);
  return ok ? true : fail(err, "chat: out of memory for a conversation");
}

// Generates and prints the reply to `prompt`.
static bool reply(struct chat *chat, const struct id_list *prompt, uint64_t turn,
                  struct error *err) {
  struct session *session = chat->session;
  const struct batch_options options = session_batch(session);
  const struct batch_events events = {.context = chat, .token = on_token, .go_on = go_on};
  struct request request = {
      .prompt = prompt->id,
      .n_prompt = (int)prompt->n,
      .cached = reusable(chat, prompt),
      .max_tokens = session->max_tokens,
      .output = chat->output,
      .stream = turn,
  };
  struct reply_piece piece;
  reply_begin(&chat->reply, &chat->harmony);
  if (!session_parity(session, prompt->id, prompt->n, err) ||
      !batch_run(session->engine, &request, 1, &options, &events, err) ||
      !reply_finish(&chat->reply, request.done, &piece, err))
    return false;
  print(&piece);
  putchar('\n');
  fflush(stdout);
  if (request.done && (int)prompt->n + request.n_output == session->max_tokens)
    fprintf(stderr, "getp: chat: the conversation is full: it has %d tokens\n",
            session->max_tokens);
  return remember_cache(chat, prompt, &request, err);
}

// Renders the conversation and generates the reply.
static bool ask(struct chat *chat, uint64_t number, struct error *err) {
  struct id_list prompt = {0};
  bool ok = conversation_render(&chat->conversation, &prompt, err);
  if (ok && prompt.n >= (size_t)chat->session->max_tokens)
    ok = fail(err, "chat: want a conversation of fewer than %d tokens, found %zu: start a new one",
              chat->session->max_tokens, prompt.n);
  ok = ok && reply(chat, &prompt, number, err);
  free(prompt.id);
  return ok;
}

// One turn: generates the reply to the user's text and adds both to the conversation. A turn that
// was stopped before its answer began is forgotten.
static bool turn(struct chat *chat, const char *text, size_t bytes, uint64_t number,
                 struct error *err) {
  struct conversation *conversation = &chat->conversation;
  const size_t before = conversation->n;
  if (!check_text("the message", text, bytes, err)) {
    fprintf(stderr, "getp: %s\n", err->text);
    return true;
  }
  const struct message message = {.role = "user", .text = text, .bytes = bytes};
  if (!conversation_add(conversation, &message, err) || !ask(chat, number, err))
    return false;
  if (interrupt_signal() == SIGINT) // it stopped this turn, not the conversation
    interrupt_clear();
  if (reply_has(&chat->reply, REPLY_ANSWER))
    return conversation_add_reply(conversation, &chat->reply, err);
  conversation_forget(conversation, before);
  return true;
}

// The next line of stdin without its newline; -1 at the end or when interrupted.
static ssize_t read_line(const struct chat *chat, char **line, size_t *capacity) {
  if (chat->terminal) {
    fputs("> ", stdout);
    fflush(stdout);
  }
  ssize_t n = getline(line, capacity, stdin);
  if (n > 0 && (*line)[n - 1] == '\n')
    n--;
  return n;
}

static bool converse(struct chat *chat, struct error *err) {
  const char *first = chat->session->options->input;
  uint64_t number = 0;
  if (first && !turn(chat, first, strlen(first), number++, err))
    return false;
  char *line = NULL;
  size_t capacity = 0;
  bool ok = true;
  for (ssize_t n; ok && !interrupt_signal() && (n = read_line(chat, &line, &capacity)) >= 0;)
    if (n > 0)
      ok = turn(chat, line, (size_t)n, number++, err);
  if (ok && ferror(stdin) && !interrupt_signal())
    ok = fail(err, "standard input: %s", strerror(errno));
  free(line);
  return ok;
}

int mode_chat(struct session *session, struct error *err) {
  char today[16];
  const time_t now = time(NULL);
  strftime(today, sizeof today, "%F", localtime(&now));
  const struct options *options = session->options;
  const struct conversation_settings settings = {
      .effort = options->effort,
      .date = options->date ? options->date : today,
      .instructions = options->instructions,
  };
  struct chat chat = {.session = session, .terminal = isatty(STDIN_FILENO) == 1};
  chat.output = calloc((size_t)session->max_tokens, sizeof *chat.output);
  bool ok = chat.output || fail(err, "chat: out of memory for %d tokens", session->max_tokens);
  ok = ok && harmony_open(&chat.harmony, session->tokenizer, err);
  ok = ok && (!settings.instructions ||
              check_text("-y", settings.instructions, strlen(settings.instructions), err));
  ok = ok && conversation_open(&chat.conversation, &chat.harmony, &settings, err);
  interrupt_catch();
  ok = ok && session_warm_up(session, err) && converse(&chat, err);
  conversation_close(&chat.conversation);
  reply_free(&chat.reply);
  free(chat.cached.id);
  free(chat.output);
  if (!ok)
    return -1;
  return interrupt_signal() ? 128 + interrupt_signal() : 0;
}
