// One message for the user. All messages have one of three forms:
//
//   WHERE: want X, found Y       something is not as it must be
//   WHERE: what failed: why      something could not be done; `why` is often the system's own text
//   WHERE: out of memory for X
//
// WHERE is the nearest name that the user knows: a path, PATH:LINE, PATH: KEY, an option, a tensor;
// or else what was at work: text, batch, engine, device, a HIP call. If opening, reading or writing
// the file WHERE failed, `what failed` is left out: "PATH: No such file or directory". "found Y" is
// left out if Y would be a whole line. What the user can do about it comes last, as a command:
// ": pack the checkpoint anew".
#ifndef GETP_BASE_ERROR_H
#define GETP_BASE_ERROR_H

#include <stdbool.h>

struct error {
  char text[1024]; // one line, without "getp: " and without a newline
};

// Formats the message into err and returns false, so that a failing function ends with
// `return fail(err, ...)`. Control characters, which a name may contain, are printed as '?'.
bool fail(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

// Replaces the control characters of a text by '?', so that it is one line.
void make_line(char *text);

#endif
