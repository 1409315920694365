// The lines of ids that `-m getp` writes to a file. While a job runs, each finished line is
// appended to the journal FILE.part at once, so that a kill loses no finished line and memory holds
// only the requests that run. At the end, all lines are written in the order of the prompts. A FILE
// that cannot be replaced, as a pipe, is written at the end from a journal without a name.
#ifndef GETP_SERVE_OUTPUT_H
#define GETP_SERVE_OUTPUT_H

#include "base/replace.h"
#include "serve/journal.h"

struct output {
  const char *path;
  struct replacement file; // open if the output is written straight
  struct journal journal;
};

// Opens the journal, and FILE if it is written straight. Refuses a folder, and what journal_open
// refuses; only a file that is replaced can be taken up. `path` must outlive the output, and
// output_close must follow even after a failure.
bool output_open(struct output *output, const char *path, struct journal_job *job,
                 struct error *err);

// Writes FILE, for which all prompts must be finished, and removes the journal.
bool output_commit(struct output *output, struct error *err);

// Closes the journal, which stays if it has finished lines.
void output_close(struct output *output);

#endif
