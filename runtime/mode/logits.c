// -m logits: writes the logits of all positions of all sequences.
#include "base/interrupt.h"
#include "base/lines.h"
#include "base/replace.h"
#include "mode/mode.h"
#include "reference/reference.h"
#include "terminal.h"

#include <stdio.h>
#include <stdlib.h>

struct job {
  struct session *session;
  struct id_lines lines;
  struct request *requests; // (lines.n)
  struct replacement file;
  size_t first; // for --reference: the first position of the running sequence in the file
};

// Writes the logits of one position at its offset, since sequences finish in any order.
static bool write_position(const struct job *job, size_t position, const float *logits,
                           struct error *err) {
  const size_t bytes = (size_t)job->session->limits.vocab * sizeof *logits;
  return replace_write(&job->file, logits, bytes, position * bytes, err);
}

static bool fail_stopped(const struct job *job, struct error *err) {
  return fail(err, "%s: not written: signal %d", job->session->options->output, interrupt_signal());
}

static bool on_logits(void *context, const struct request *request, int position,
                      const float *logits, struct error *err) {
  const struct job *job = context;
  const size_t first = job->lines.start[request - job->requests];
  return write_position(job, first + (size_t)position, logits, err);
}

static bool on_reference(void *context, int position, const float *logits, const float *hidden,
                         struct error *err) {
  const struct job *job = context;
  (void)hidden;
  return interrupt_signal() ? fail_stopped(job, err)
                            : write_position(job, job->first + (size_t)position, logits, err);
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
  free(job.requests);
  id_lines_free(&job.lines);
  if (ok || !interrupt_signal())
    return ok ? 0 : -1;
  remark("%s", err->text);
  return 128 + interrupt_signal();
}
