#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>

bool fail(struct error *err, const char *format, ...) {
  va_list args;
  va_start(args, format);
  vsnprintf(err->text, sizeof err->text, format, args);
  va_end(args);
  make_line(err->text);
  return false;
}

void make_line(char *text) {
  for (char *c = text; *c; c++)
    if ((unsigned char)*c < ' ' || *c == 127)
      *c = '?';
}
