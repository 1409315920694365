// The lines of a text, and files of token ids with one sequence per line.
#ifndef GETP_BASE_LINES_H
#define GETP_BASE_LINES_H

#include "base/file.h"

#include <stdint.h>

// Cuts the next line off the front of *rest: everything up to a LF, which is dropped, or to the
// end. False at the end.
bool text_line(struct text *rest, struct text *line);

// How many lines text_line will find.
size_t text_lines(struct text text);

// Sequences of token ids, one after the other. Free with id_lines_free.
struct id_lines {
  int32_t *ids;
  size_t *start; // (n + 1) where each sequence begins in ids
  size_t n;
};

// Reads a file of decimal ids separated by spaces, one sequence a line; an empty line is an empty
// sequence. Refuses, by line, what is no id below `vocab`.
bool id_lines_read(struct id_lines *lines, const char *path, int32_t vocab, struct error *err);
void id_lines_free(struct id_lines *lines);

#endif
