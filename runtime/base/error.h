// One message for the user: what happened: what was wanted: what to do.
#ifndef GETP_BASE_ERROR_H
#define GETP_BASE_ERROR_H

#include <stdbool.h>

struct error {
  char text[1024]; // one line, without "getp: " and without a newline
};

// Formats the message into err and returns false, so that a failing function ends with
// `return fail(err, ...)`. Control characters that came in with a name are printed as '?'.
bool fail(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
