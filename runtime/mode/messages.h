// Reads the user's messages from standard input. How a message ends depends on what that is:
//   a file      at the end of a line
//   a terminal  at the end of a line, unless the line lies in pasted text: what is pasted together
//               with what is typed before and after it is one message (bracketed paste)
//   a pipe      after lines that arrived together, so that a program which writes a line and waits
//               for the reply has a message per line
// In each of them a line that ends in a backslash goes on on the next line.
#ifndef GETP_MODE_MESSAGES_H
#define GETP_MODE_MESSAGES_H

#include "base/file.h"
#include "harmony/buffer.h"
#include "terminal.h"

struct messages {
  enum { FROM_FILE, FROM_TERMINAL, FROM_PIPE } source;
  struct terminal screen; // for prompts
  bool brackets;          // the terminal marks pasted text
  bool pasting;           // the line ends in pasted text
  bool begun;             // something of the input has been read
  bool ended;             // the input; on a terminal, where it could go on, too
  char input[4096];
  size_t start, end; // input[start] to input[end - 1] were read and not used
  struct buffer text;
};

// A terminal marks pasted text from messages_open to messages_close, except while the process is
// stopped; SIGHUP and SIGQUIT end the marking, too. A zeroed struct can be closed.
void messages_open(struct messages *messages);
void messages_close(struct messages *messages);

// Reads the next message; lines without text before and after it are left out. message->bytes is
// NULL at the end of the input and after SIGINT or SIGTERM, or else valid until the next call. On a
// terminal, `prompt` and "> " ask for it.
bool messages_next(struct messages *messages, const char *prompt, struct text *message,
                   struct error *err);

#endif
