#include "mode/transcript.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define DIM "\033[2m"
#define PLAIN "\033[0m"

void transcript_open(struct transcript *transcript, enum reasoning reasoning) {
  *transcript = (struct transcript){
      .reasoning = reasoning, .out = terminal_open(stdout), .err = terminal_open(stderr)};
}

// Where a message goes; NULL if it is not printed while it comes.
static struct terminal *stream_of(struct transcript *transcript, enum reply_kind kind) {
  switch (kind) {
  case REPLY_ANSWER:
  case REPLY_PREAMBLE:
    return transcript->reasoning == REASONING_ONLY ? NULL : &transcript->out;
  case REPLY_REASONING:
    return transcript->reasoning == REASONING_HIDE ? NULL : &transcript->err;
  case REPLY_OTHER:
    return &transcript->err;
  case REPLY_CALL:
    break;
  }
  return NULL;
}

// A terminal shows stdout and stderr side by side, so what is not for the user is marked.
static void begin_message(struct transcript *transcript, struct terminal *on, size_t message) {
  transcript->on = on;
  transcript->message = message;
  if (on == &transcript->out)
    transcript->has_output = true;
  else if (on->is_styled)
    fputs(DIM, on->file);
  else if (on->is_terminal)
    fputs("reasoning: ", on->file);
}

static void end_message(struct transcript *transcript) {
  struct terminal *on = transcript->on;
  if (!on)
    return;
  terminal_end(on);
  if (on == &transcript->err && on->is_styled)
    fputs(PLAIN, on->file);
  fputc('\n', on->file);
  fflush(on->file);
  transcript->on = NULL;
}

void transcript_add(struct transcript *transcript, const struct reply_piece *piece) {
  if (piece->n == 0)
    return;
  if (transcript->on && transcript->message != piece->message)
    end_message(transcript);
  struct terminal *on = stream_of(transcript, piece->kind);
  if (!on)
    return;
  if (!transcript->on)
    begin_message(transcript, on, piece->message);
  terminal_write(on, piece->bytes, piece->n);
  fflush(on->file);
}

void transcript_end(struct transcript *transcript, bool ends_turn) {
  end_message(transcript);
  if (!ends_turn)
    return;
  if (!transcript->has_output && transcript->reasoning != REASONING_ONLY) {
    putchar('\n');
    fflush(stdout);
  }
  transcript->has_output = false;
}

// The text of a call as JSON on one line. The caller frees it; NULL when memory runs out. Between
// the tokens of JSON a newline means the same as a space, and within them there is none.
static char *one_line(const struct buffer *text) {
  json_t *value = json_loadb(text->bytes, text->n, JSON_DECODE_ANY, NULL);
  if (!value) {
    value = json_stringn(text->n ? text->bytes : "", text->n);
    char *string = value ? json_dumps(value, JSON_ENCODE_ANY) : NULL;
    json_decref(value);
    return string;
  }
  json_decref(value);
  char *line = strndup(text->bytes, text->n);
  for (char *c = line; c && *c; c++)
    if (*c == '\n' || *c == '\r')
      *c = ' ';
  return line;
}

void transcript_call(struct transcript *transcript, const struct reply_message *call) {
  struct terminal *on = &transcript->err;
  char *arguments = one_line(&call->text);
  fputs("call ", on->file);
  terminal_write(on, call->recipient, strlen(call->recipient));
  fputc(' ', on->file);
  if (arguments)
    terminal_write(on, arguments, strlen(arguments));
  fputc('\n', on->file);
  fflush(on->file);
  free(arguments);
}
