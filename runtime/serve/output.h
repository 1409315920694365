// The lines of ids that getp writes. While a job runs, each finished line goes to FILE.part at
// once, as "NUMBER: ids", so that a killed job has lost nothing it had done; at the end all lines
// are written in the order of the prompts and renamed to FILE.
#ifndef GETP_SERVE_OUTPUT_H
#define GETP_SERVE_OUTPUT_H

#include "serve/batch.h"

#include <stdio.h>

struct output {
  const char *path;
  char *part;    // FILE.part; NULL if FILE is no regular file: then only the end is written
  FILE *journal; // open on part
};

// Refuses a place that cannot be written to.
bool output_open(struct output *output, const char *path, struct error *err);

// Adds the line of request `number` (from 1) to the journal.
bool output_add(struct output *output, int number, const struct request *request,
                struct error *err);

// Writes FILE from all requests and removes the journal.
bool output_commit(struct output *output, const struct request *requests, int n, struct error *err);

// Leaves the journal where it is, or removes it if nothing is in it.
void output_close(struct output *output);

#endif
