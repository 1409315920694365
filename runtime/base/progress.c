#include "base/progress.h"

#include "base/clock.h"

#include <stdio.h>
#include <unistd.h>

void progress_begin(struct progress *progress) {
  const double now = seconds_now();
  *progress = (struct progress){isatty(STDERR_FILENO) == 1, now, 0};
}

// True if the line is shown and was not printed in the last 0.2 s.
static bool is_due(struct progress *progress, double now) {
  if (!progress->shown || now - progress->printed < 0.2)
    return false;
  progress->printed = now;
  return true;
}

void progress_load(struct progress *progress, const char *doing, size_t done, size_t total) {
  const double now = seconds_now();
  if (!is_due(progress, now))
    return;
  const double rate = (double)done / (now - progress->began);
  fprintf(stderr, "\r%s %.1f of %.1f GB, %.1f GB/s, %.0f s left\033[K", doing, (double)done * 1e-9,
          (double)total * 1e-9, rate * 1e-9, (double)(total - done) / rate);
}

void progress_update(struct progress *progress, int done, int n, int64_t tokens,
                     int64_t max_tokens) {
  const double now = seconds_now();
  if (!is_due(progress, now))
    return;
  const double rate = (double)tokens / (now - progress->began);
  fprintf(stderr, "\r%d of %d prompts, %lld tokens, %.1f tok/s, ", done, n, (long long)tokens,
          rate);
  if (rate > 0)
    fprintf(stderr, "at most %.0f s left\033[K", (double)(max_tokens - tokens) / rate);
  else
    fprintf(stderr, "reading prompts\033[K");
}

void progress_end(const struct progress *progress) {
  if (progress->shown)
    fprintf(stderr, "\r\033[K");
}
