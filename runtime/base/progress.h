// One line on stderr that says how far a load or a batch is, if stderr is a terminal.
#ifndef GETP_BASE_PROGRESS_H
#define GETP_BASE_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct progress {
  bool shown;
  double began, printed; // seconds
};

void progress_begin(struct progress *progress);

// Bytes of the weights that are done, and all; `doing`: what is done to them.
void progress_load(struct progress *progress, const char *doing, size_t done, size_t total);

// done of n requests, `tokens` generated so far, at most `most` of them in the end.
void progress_update(struct progress *progress, int done, int n, int64_t tokens, int64_t most);
void progress_end(const struct progress *progress);

#endif
