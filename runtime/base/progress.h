// Shows on one line of stderr how far a load or a batch is. Prints only if stderr is a terminal,
// and at most five times a second.
#ifndef GETP_BASE_PROGRESS_H
#define GETP_BASE_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct progress {
  bool shown;
  double began, printed; // when, in seconds
};

void progress_begin(struct progress *progress);

// Shows that `done` of `total` bytes of weights are loaded, or whatever verb `doing` is.
void progress_load(struct progress *progress, const char *doing, size_t done, size_t total);

// Shows that `done` of `n` requests are complete and `tokens` tokens are generated, of at most
// `max_tokens`.
void progress_update(struct progress *progress, int done, int n, int64_t tokens,
                     int64_t max_tokens);

// Clears the line.
void progress_end(const struct progress *progress);

#endif
