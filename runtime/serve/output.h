// The lines of ids that `-m getp` writes to FILE. While a job runs, each finished line is appended
// to the journal FILE.part at once, as "NUMBER: ids", so that a kill loses no finished line. At the
// end all lines are written in the order of the prompts to FILE.new, which is renamed to FILE.
#ifndef GETP_SERVE_OUTPUT_H
#define GETP_SERVE_OUTPUT_H

#include "serve/batch.h"

#include <stdio.h>

struct output {
  const char *path;
  char *journal_path; // FILE.part; NULL if FILE exists and is no regular file: then no journal
  FILE *journal;      // FILE.part, open; or NULL
};

// Opens the journal. Refuses a folder, and a FILE.part that cannot be written.
bool output_open(struct output *output, const char *path, struct error *err);

// Appends the line of request `number`, counted from 1, to the journal.
bool output_add(struct output *output, int number, const struct request *request,
                struct error *err);

// Writes FILE from all requests and removes the journal.
bool output_commit(struct output *output, const struct request *requests, int n, struct error *err);

// Closes the journal and removes it if it is empty.
void output_close(struct output *output);

#endif
