// Prints text that others wrote: a model, or a user in the name of a file. Such text must not drive
// a terminal. On one, control characters are printed as what they are called: ^[ for ESC, <U+009B>
// for a C1 control or a character that reverses the direction of text, <9B> for a byte that is not
// part of UTF-8. Newlines and tabs stay. A file or a pipe gets the bytes as they are.
#ifndef GETP_TERMINAL_H
#define GETP_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct terminal {
  FILE *file;
  bool is_terminal;
  bool is_styled; // it is a terminal that understands escape sequences: TERM is set and not `dumb`
  size_t kept;
  char part[4]; // (kept) the first bytes of a character whose other bytes are still to come
};

struct terminal terminal_open(FILE *file);

// Prints n bytes. They may begin or end within a character: its first bytes are kept until the
// others come.
void terminal_write(struct terminal *terminal, const char *bytes, size_t n);

// Prints what is kept of a character, since no more of it comes.
void terminal_end(struct terminal *terminal);

// Prints "getp: ", the text and a newline on stderr.
void remark(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
