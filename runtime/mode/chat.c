// -m chat: holds a conversation.
#include "base/interrupt.h"
#include "mode/mode.h"
#include "tokenizer/harmony.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct chat {
  struct session *session;
  struct harmony harmony;
  struct id_list history; // the conversation, without the reasoning of earlier replies
  struct id_list cached;  // the ids whose keys and values slot 0 holds
  int32_t *output;        // (max_tokens) of the running turn
  struct reply reply;
  struct id_list answer; // the final message so far
  bool terminal;         // stdin is one
};

// Prints the answer on stdout as it comes, reasoning and tool calls on stderr.
static bool on_token(void *context, const struct request *request, struct error *err) {
  struct chat *chat = context;
  const int32_t id = request->output[request->n_output - 1];
  const enum reply_kind kind = reply_read(&chat->reply, &chat->harmony, id);
  size_t n;
  const char *bytes = tokenizer_bytes(chat->session->tokenizer, id, &n);
  if (kind == REPLY_CONTROL || !bytes)
    return true;
  FILE *stream = kind == REPLY_FINAL ? stdout : stderr;
  fwrite(bytes, 1, n, stream);
  fflush(stream);
  return kind != REPLY_FINAL || id_list_add(&chat->answer, id)
             ? true
             : fail(err, "chat: out of memory for an answer");
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
  chat->reply = (struct reply){0};
  chat->answer.n = 0;
  if (!session_parity(session, prompt->id, prompt->n, err) ||
      !batch_run(session->engine, &request, 1, &options, &events, err))
    return false;
  putchar('\n');
  fflush(stdout);
  if (request.done && (int)prompt->n + request.n_output == session->max_tokens)
    fprintf(stderr, "getp: chat: the conversation is full: it has %d tokens\n",
            session->max_tokens);
  return remember_cache(chat, prompt, &request, err);
}

// One turn: generates the reply to the user's text and adds both to the history. A turn that was
// stopped before its answer began is forgotten.
static bool turn(struct chat *chat, const char *text, size_t bytes, uint64_t number,
                 struct error *err) {
  const struct harmony *harmony = &chat->harmony;
  const size_t before = chat->history.n;
  if (!check_text("the message", text, bytes, err)) {
    fprintf(stderr, "getp: %s\n", err->text);
    return true;
  }
  if (!harmony_add(harmony, "user", text, bytes, &chat->history, err))
    return false;
  const size_t after = chat->history.n;
  if (!harmony_begin_reply(harmony, &chat->history, err))
    return false;
  if (chat->history.n >= (size_t)chat->session->max_tokens)
    return fail(err,
                "chat: want a conversation of fewer than %d tokens, found %zu: start a new one",
                chat->session->max_tokens, chat->history.n);
  if (!reply(chat, &chat->history, number, err))
    return false;
  if (interrupt_signal() == SIGINT) // it stopped this turn, not the conversation
    interrupt_clear();
  chat->history.n = chat->answer.n ? after : before;
  return chat->answer.n == 0 || harmony_add_answer(harmony, &chat->answer, &chat->history, err);
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
  const char *system = session->options->instructions;
  struct chat chat = {.session = session, .terminal = isatty(STDIN_FILENO) == 1};
  chat.output = calloc((size_t)session->max_tokens, sizeof *chat.output);
  bool ok = chat.output || fail(err, "chat: out of memory for %d tokens", session->max_tokens);
  ok = ok && harmony_open(&chat.harmony, session->tokenizer, err);
  ok = ok && (!system || check_text("-y", system, strlen(system), err));
  ok = ok && (!system ||
              harmony_add(&chat.harmony, "system", system, strlen(system), &chat.history, err));
  interrupt_catch();
  ok = ok && session_warm_up(session, err) && converse(&chat, err);
  free(chat.history.id);
  free(chat.cached.id);
  free(chat.output);
  free(chat.answer.id);
  if (!ok)
    return -1;
  return interrupt_signal() ? 128 + interrupt_signal() : 0;
}
