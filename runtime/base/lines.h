// Reads text files, splits texts into lines, and reads files of token ids with one sequence per
// line.
#ifndef GETP_BASE_LINES_H
#define GETP_BASE_LINES_H

#include "base/file.h"

#include <stdint.h>

// Reads a file as text_read does, without a byte order mark at its beginning and without the CR at
// the end of a line: it becomes what it would be if it had been saved on Linux. Refuses UTF-16.
bool text_read_lines(struct text *text, const char *path, struct error *err);

// Moves the next line from the front of *rest to *line. A line ends with a LF, which is dropped, or
// with the text. Returns false if *rest is empty.
bool text_line(struct text *rest, struct text *line);

// The number of lines that text_line would find.
size_t text_lines(struct text text);

// Sequences of token ids, back to back. Free with id_lines_free.
struct id_lines {
  int32_t *ids;
  size_t *start; // (n + 1) sequence i is ids[start[i]] to ids[start[i + 1] - 1]
  size_t n;
};

// Reads a file of decimal ids separated by spaces, with one sequence per line. An empty line is an
// empty sequence. Names the first line that holds anything but ids below `vocab`.
bool id_lines_read(struct id_lines *lines, const char *path, int32_t vocab, struct error *err);
void id_lines_free(struct id_lines *lines);

#endif
