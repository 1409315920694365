// Whole files in memory.
#ifndef GETP_BASE_FILE_H
#define GETP_BASE_FILE_H

#include "base/error.h"

#include <stddef.h>

// The bytes of a file and a NUL behind them. Free with free(text.bytes).
struct text {
  char *bytes;
  size_t n;
};

bool text_read(struct text *text, const char *path, struct error *err);

#endif
