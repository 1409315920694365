// -m logits: writes the logits of all positions of all sequences.
#include "base/interrupt.h"
#include "base/lines.h"
#include "base/replace.h"
#include "mode/mode.h"
#include "reference/reference.h"
#include "terminal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { WHERE_BYTES = 256 };

struct job {
  struct session *session;
  struct id_lines lines;
  struct request *requests; // (lines.n)
  struct replacement file;
  size_t first; // for --reference: the first position of the running sequence in the file
  // Logits that are NaN and positions that have no logit above -infinity, and the first positions
  // in the file of both.
  size_t nan, nothing, first_nan, first_nothing;
};

// Writes the logits of one position at its offset, since sequences finish in any order.
static bool write_position(const struct job *job, size_t position, const float *logits,
                           struct error *err) {
  const size_t bytes = (size_t)job->session->limits.vocab * sizeof *logits;
  return replace_write(&job->file, logits, bytes, position * bytes, err);
}

// Counts the logits of a position that are no numbers.
static void count(struct job *job, size_t position, const float *logits) {
  size_t nan = 0, low = 0;
  for (int i = 0; i < job->session->limits.vocab; i++) {
    nan += isnan(logits[i]) != 0;
    low += logits[i] == -INFINITY;
  }
  const bool nothing = low == (size_t)job->session->limits.vocab;
  if (nan > 0 && (job->nan == 0 || position < job->first_nan))
    job->first_nan = position;
  if (nothing && (job->nothing == 0 || position < job->first_nothing))
    job->first_nothing = position;
  job->nan += nan;
  job->nothing += nothing;
}

static bool fail_stopped(const struct job *job, struct error *err) {
  return fail(err, "%s: not written: signal %d", job->session->options->output, interrupt_signal());
}

static bool on_logits(void *context, const struct request *request, int position,
                      const float *logits, struct error *err) {
  struct job *job = context;
  const size_t at = job->lines.start[request - job->requests] + (size_t)position;
  count(job, at, logits);
  return write_position(job, at, logits, err);
}

static bool on_reference(void *context, int position, const float *logits, const float *hidden,
                         struct error *err) {
  struct job *job = context;
  (void)hidden;
  if (interrupt_signal())
    return fail_stopped(job, err);
  count(job, job->first + (size_t)position, logits);
  return write_position(job, job->first + (size_t)position, logits, err);
}

static bool go_on(void *context) {
  (void)context;
  return interrupt_signal() == 0;
}

static bool run_reference(struct job *job, struct error *err) {
  const struct session *session = job->session;
  for (size_t i = 0; i < job->lines.n; i++) {
    job->first = job->lines.start[i];
    const int n = (int)(job->lines.start[i + 1] - job->first);
    if (n && !reference_run(session->checkpoint, &session->config, job->lines.ids + job->first, n,
                            on_reference, job, err))
      return false;
  }
  return true;
}

static bool run_engine(struct job *job, struct error *err) {
  const struct batch_options options = session_batch(job->session);
  const struct batch_events events = {.context = job, .logits = on_logits, .go_on = go_on};
  for (size_t i = 0; i < job->lines.n; i++) {
    const int length = (int)(job->lines.start[i + 1] - job->lines.start[i]);
    job->requests[i] = (struct request){
        .prompt = job->lines.ids + job->lines.start[i], .n_prompt = length, .max_tokens = length};
  }
  if (!session_warm_up(job->session, err) ||
      (job->lines.n > 0 &&
       !session_parity(job->session, job->lines.ids, job->lines.start[1], err)) ||
      !batch_run(job->session->engine, job->requests, (int)job->lines.n, &options, &events, err))
    return false;
  return interrupt_signal() ? fail_stopped(job, err) : true;
}

static bool check_lengths(const struct job *job, struct error *err) {
  const int context = job->session->limits.context;
  for (size_t i = 0; i < job->lines.n; i++) {
    const size_t n = job->lines.start[i + 1] - job->lines.start[i];
    if (n == 0 || n > (size_t)context)
      return fail(err, "%s:%zu: want 1 to %d ids, found %zu", job->session->options->input, i + 1,
                  context, n);
  }
  return true;
}

// FILE:LINE and the position in that line's sequence, of a position in the file of logits.
static void name_position(char where[static WHERE_BYTES], const struct job *job, size_t at) {
  size_t line = 0;
  while (job->lines.start[line + 1] <= at)
    line++;
  snprintf(where, WHERE_BYTES, "%.200s:%zu: position %zu", job->session->options->input, line + 1,
           at - job->lines.start[line]);
}

// Says how many logits are no numbers. They are written all the same.
static void report_numbers(const struct job *job) {
  char where[WHERE_BYTES];
  if (job->nan > 0) {
    name_position(where, job, job->first_nan);
    remark("%s: want logits that are numbers, found NaN: %zu in all, here the first", where,
           job->nan);
  }
  if (job->nothing > 0) {
    name_position(where, job, job->first_nothing);
    remark("%s: want a logit above -inf, found none: %zu such positions, here the first", where,
           job->nothing);
  }
}

int mode_logits(struct session *session, struct error *err) {
  const struct options *options = session->options;
  struct job job = {.session = session, .file.file = -1};
  if (!id_lines_read(&job.lines, options->input, session->limits.vocab, err))
    return -1;
  job.requests = calloc(job.lines.n + 1, sizeof *job.requests);
  interrupt_catch();
  bool ok =
      job.requests || fail(err, "%s: out of memory for %zu sequences", options->input, job.lines.n);
  ok = ok && check_lengths(&job, err) && replace_begin(&job.file, options->output, err);
  ok = ok && (options->reference ? run_reference(&job, err) : run_engine(&job, err));
  ok = replace_end(&job.file, ok, err);
  if (ok)
    report_numbers(&job);
  free(job.requests);
  id_lines_free(&job.lines);
  if (ok || !interrupt_signal())
    return ok ? 0 : -1;
  remark("%s", err->text);
  return 128 + interrupt_signal();
}
