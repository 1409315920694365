#include "mode/messages.h"

#include "base/interrupt.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PASTE_BEGINS "\033[200~"
#define PASTE_ENDS "\033[201~"
enum { MARK_BYTES = sizeof PASTE_BEGINS - 1 };

#define BRACKETS_ON "\033[?2004h"
#define BRACKETS_OFF "\033[?2004l"

// ---- the terminal ----

// The signals that end or stop a process which does not catch them.
static const int LEAVING[] = {SIGHUP, SIGQUIT, SIGTSTP};
enum { LEAVING_SIGNALS = sizeof LEAVING / sizeof *LEAVING };

static void set_brackets(const char *sequence) {
  const ssize_t ignored = write(STDOUT_FILENO, sequence, strlen(sequence));
  (void)ignored;
}

static void leave_terminal(int signal);

static void guard_terminal(int signal) {
  struct sigaction action = {.sa_handler = leave_terminal, .sa_flags = SA_RESETHAND | SA_NODEFER};
  sigemptyset(&action.sa_mask);
  sigaction(signal, &action, NULL);
}

// Leaves the terminal as it was, and lets the signal act, whose default action SA_RESETHAND has
// restored. After SIGTSTP the process goes on here.
static void leave_terminal(int signal) {
  set_brackets(BRACKETS_OFF);
  raise(signal);
  guard_terminal(signal);
  set_brackets(BRACKETS_ON);
}

static void leave_brackets(void) {
  set_brackets(BRACKETS_OFF);
}

// A signal that is ignored stays so.
static void begin_brackets(void) {
  for (int i = 0; i < LEAVING_SIGNALS; i++) {
    struct sigaction before;
    if (sigaction(LEAVING[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN)
      guard_terminal(LEAVING[i]);
  }
  interrupt_at_kill(leave_brackets);
  set_brackets(BRACKETS_ON);
}

void messages_open(struct messages *messages) {
  struct stat status;
  *messages = (struct messages){.screen = terminal_open(isatty(STDOUT_FILENO) ? stdout : stderr)};
  if (isatty(STDIN_FILENO))
    messages->source = FROM_TERMINAL;
  else if (fstat(STDIN_FILENO, &status) == 0 && !S_ISREG(status.st_mode))
    messages->source = FROM_PIPE;
  messages->brackets = messages->source == FROM_TERMINAL && messages->screen.file == stdout &&
                       messages->screen.is_styled;
  if (messages->brackets)
    begin_brackets();
}

void messages_close(struct messages *messages) {
  interrupt_at_kill(NULL);
  if (messages->brackets)
    set_brackets(BRACKETS_OFF);
  free(messages->text.bytes);
}

static void ask(struct messages *messages, const char *prompt) {
  if (messages->source != FROM_TERMINAL)
    return;
  terminal_write(&messages->screen, prompt, strlen(prompt));
  terminal_write(&messages->screen, "> ", 2);
  terminal_end(&messages->screen);
  fflush(messages->screen.file);
}

// ---- lines ----

static bool add(struct messages *messages, const char *bytes, size_t n, struct error *err) {
  return buffer_add(&messages->text, bytes, n) ? true
                                               : fail(err, "chat: out of memory for a message");
}

// Skips a byte order mark at the beginning of the input.
static void skip_mark(struct messages *messages) {
  static const char MARK[] = "\xEF\xBB\xBF";
  const size_t n = sizeof MARK - 1;
  if (!messages->begun && messages->end >= n && memcmp(messages->input, MARK, n) == 0)
    messages->start = n;
  messages->begun = true;
}

// Reads more input. *any is false at the end of the input and after an interrupt.
static bool read_input(struct messages *messages, const char *prompt, bool *any,
                       struct error *err) {
  messages->start = messages->end = 0;
  *any = false;
  while (!interrupt_signal()) {
    const ssize_t n = read(STDIN_FILENO, messages->input, sizeof messages->input);
    if (n >= 0) {
      messages->end = (size_t)n;
      skip_mark(messages);
      *any = n > 0;
      messages->ended = n == 0;
      return true;
    }
    if (errno != EINTR)
      return fail(err, "standard input: %s", strerror(errno));
    if (!interrupt_signal())
      ask(messages, prompt); // the process was stopped, and goes on
  }
  return true;
}

// A file that was saved on Windows ends its lines in CR LF.
static void remove_carriage_return(struct messages *messages, size_t at) {
  struct buffer *text = &messages->text;
  if (text->n > at && text->bytes[text->n - 1] == '\r')
    text->n--;
}

// Appends the next line without its newline to the message. *any is false if there is none.
static bool read_line(struct messages *messages, const char *prompt, bool *any, struct error *err) {
  const size_t at = messages->text.n;
  for (bool begun = false;; begun = true) {
    if (messages->start == messages->end) {
      if (!read_input(messages, prompt, any, err))
        return false;
      if (!*any) {
        remove_carriage_return(messages, at);
        *any = begun && !interrupt_signal();
        return true;
      }
    }
    const char *from = messages->input + messages->start;
    const size_t n = messages->end - messages->start;
    const char *newline = memchr(from, '\n', n);
    const size_t bytes = newline ? (size_t)(newline - from) : n;
    messages->start += bytes + (newline != NULL);
    if (!add(messages, from, bytes, err))
      return false;
    *any = true;
    if (newline) {
      remove_carriage_return(messages, at);
      return true;
    }
  }
}

// Removes the marks around pasted text from the line that begins at `at`. Whoever deletes
// characters after pasting deletes the last mark first, so a part of it at the end of the line
// counts.
static void remove_marks(struct messages *messages, size_t at) {
  char *text = messages->text.bytes;
  size_t kept = at;
  const size_t end = messages->text.n;
  for (size_t i = at; i < end;) {
    const size_t left = end - i, n = left < MARK_BYTES ? left : MARK_BYTES;
    const bool begins = n == MARK_BYTES && memcmp(text + i, PASTE_BEGINS, n) == 0;
    const bool ends =
        (n == MARK_BYTES || messages->pasting) && memcmp(text + i, PASTE_ENDS, n) == 0;
    if (begins || ends) {
      messages->pasting = begins;
      i += n;
    } else {
      text[kept++] = text[i++];
    }
  }
  messages->text.n = kept;
}

// Whether input waits that came together with the line before.
static bool more_arrived(const struct messages *messages) {
  struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
  return messages->start < messages->end || (poll(&input, 1, 0) == 1 && (input.revents & POLLIN));
}

// Whether the message goes on after its line that begins at `at`; if so, appends a newline.
static bool goes_on(struct messages *messages, size_t at, bool *on, struct error *err) {
  struct buffer *text = &messages->text;
  const bool backslash = text->n > at && text->bytes[text->n - 1] == '\\';
  if (messages->source == FROM_TERMINAL)
    remove_marks(messages, at);
  *on = messages->pasting || backslash || (messages->source == FROM_PIPE && more_arrived(messages));
  if (backslash && !messages->pasting)
    text->n--;
  return !*on || add(messages, "\n", 1, err);
}

// *any is false at the end of the input.
static bool read_message(struct messages *messages, const char *prompt, bool *any,
                         struct error *err) {
  messages->text.n = 0;
  messages->pasting = false;
  *any = false;
  for (bool on = true; on;) {
    const size_t at = messages->text.n;
    if (!read_line(messages, prompt, &on, err))
      return false;
    *any = *any || on;
    if (on && !goes_on(messages, at, &on, err))
      return false;
  }
  return true;
}

static struct text trimmed(const struct buffer *text) {
  struct text message = {text->bytes, text->n};
  for (; message.n > 0 && message.bytes[message.n - 1] == '\n'; message.n--)
    ;
  for (; message.n > 0 && *message.bytes == '\n'; message.bytes++)
    message.n--;
  return message;
}

bool messages_next(struct messages *messages, const char *prompt, struct text *message,
                   struct error *err) {
  *message = (struct text){0};
  while (!messages->ended) {
    bool any;
    ask(messages, prompt);
    const bool ok = read_message(messages, prompt, &any, err);
    const bool none = !ok || !any || interrupt_signal();
    if (none && messages->source == FROM_TERMINAL) // the cursor is still on the line of the prompt
      terminal_write(&messages->screen, "\n", 1);
    *message = none ? (struct text){0} : trimmed(&messages->text);
    if (none || message->n > 0)
      return ok;
  }
  return true;
}
