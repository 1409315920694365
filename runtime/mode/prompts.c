// -m getp: answers a file of prompts.
#include "base/clock.h"
#include "base/interrupt.h"
#include "base/lines.h"
#include "base/progress.h"
#include "mode/mode.h"
#include "serve/output.h"
#include "terminal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct job {
  struct session *session;
  struct text file;
  struct text *prompts; // (n) in `file`
  int n;
  struct request *requests; // (n)
  struct id_list ids;       // of all prompts, one after another
  int32_t *outputs;         // of all requests, one after another
  struct output output;
  struct progress progress;
  int done, failed;   // requests; those that failed get a line that is cut off, or empty
  int64_t tokens;     // generated so far
  int64_t max_tokens; // the most that can be generated in all
};

// The number of prompts in the first line, or -1 if the line is not a number.
static int parse_count(const struct text *line) {
  char *end;
  char digits[16] = {0};
  if (line->n == 0 || line->n >= sizeof digits || line->bytes[0] < '0' || line->bytes[0] > '9')
    return -1;
  memcpy(digits, line->bytes, line->n);
  const long n = strtol(digits, &end, 10);
  return (*end && strcmp(end, "\r") != 0) || n > INT32_MAX ? -1 : (int)n;
}

enum { WHERE_BYTES = 256 };

// FILE:LINE of prompt i, for messages.
static void name_prompt(char where[static WHERE_BYTES], const char *path, int i) {
  snprintf(where, WHERE_BYTES, "%.200s:%d", path, i + 2);
}

static bool read_prompts(struct job *job, const char *path, struct error *err) {
  if (!text_read(&job->file, path, err))
    return false;
  struct text rest = job->file, line;
  if (!text_line(&rest, &line))
    return fail(err, "%s:1: want the number of prompts, found nothing", path);
  job->n = parse_count(&line);
  if (job->n < 0)
    return fail(err, "%s:1: want the number of prompts, found \"%.*s\"", path,
                (int)(line.n < 40 ? line.n : 40), line.bytes);
  const size_t found = text_lines(rest);
  if (found < (size_t)job->n)
    return fail(err, "%s: want %d prompts, found %zu", path, job->n, found);
  job->prompts = calloc((size_t)job->n + 1, sizeof *job->prompts);
  if (!job->prompts)
    return fail(err, "%s: out of memory for %d prompts", path, job->n);
  for (int i = 0; i < job->n; i++) {
    char where[WHERE_BYTES];
    name_prompt(where, path, i);
    text_line(&rest, &job->prompts[i]);
    if (!check_text(where, job->prompts[i].bytes, job->prompts[i].n, err))
      return false;
  }
  return true;
}

// A prompt without room for an answer gets an empty line and a remark on stderr.
static void plan_request(struct job *job, int i, size_t first, size_t end) {
  const int max_tokens = job->session->max_tokens;
  const size_t n = end - first;
  const bool fits = n < (size_t)max_tokens;
  job->requests[i] = (struct request){
      .n_prompt = fits ? (int)n : max_tokens, .max_tokens = max_tokens, .stream = (uint64_t)i};
  if (fits) {
    job->max_tokens += max_tokens - (int64_t)n;
    return;
  }
  remark("%s:%d: want fewer than %d tokens, but the prompt has %zu tokens: its line is empty",
         job->session->options->input, i + 2, max_tokens, n);
  job->failed++;
}

// Appends the ids of prompt i.
static bool encode_prompt(const struct job *job, int i, struct id_list *ids, struct error *err) {
  char where[WHERE_BYTES];
  name_prompt(where, job->session->options->input, i);
  return session_encode(job->session, where, job->prompts[i].bytes, job->prompts[i].n, ids, err);
}

static bool encode_prompts(struct job *job, struct error *err) {
  const char *path = job->session->options->input;
  size_t *start = calloc((size_t)job->n + 1, sizeof *start);
  job->requests = calloc((size_t)job->n + 1, sizeof *job->requests);
  bool ok = (start && job->requests) || fail(err, "%s: out of memory for %d prompts", path, job->n);
  for (int i = 0; ok && i < job->n; i++) {
    ok = encode_prompt(job, i, &job->ids, err);
    if (ok) {
      start[i + 1] = job->ids.n;
      plan_request(job, i, start[i], start[i + 1]);
    }
  }
  job->outputs = ok ? calloc((size_t)job->max_tokens + 1, sizeof *job->outputs) : NULL;
  if (ok && !job->outputs)
    ok = fail(err, "%s: out of memory for %lld output tokens", path, (long long)job->max_tokens);
  int32_t *output = job->outputs;
  for (int i = 0; ok && i < job->n; i++) {
    job->requests[i].prompt = job->ids.id + start[i];
    job->requests[i].output = output;
    output += job->requests[i].max_tokens - job->requests[i].n_prompt;
  }
  free(start);
  return ok;
}

static bool on_token(void *context, const struct request *request, struct error *err) {
  struct job *job = context;
  (void)request;
  (void)err;
  job->tokens++;
  return true;
}

static bool on_finished(void *context, const struct request *request, struct error *err) {
  struct job *job = context;
  const int i = (int)(request - job->requests);
  char where[WHERE_BYTES];
  struct error failure;
  job->done++;
  name_prompt(where, job->session->options->input, i);
  if (!request_check(request, where, &failure)) {
    remark("%s: its line ends there", failure.text);
    job->failed++;
  }
  job->max_tokens -= request->max_tokens - request->n_prompt - request->n_output;
  return output_add(&job->output, i + 1, request, err);
}

static bool go_on(void *context) {
  struct job *job = context;
  progress_update(&job->progress, job->done, job->n, job->tokens, job->max_tokens);
  return interrupt_signal() == 0;
}

// Does what the throughput measures: tokenizing, prefill, decoding and sampling.
static bool infer(struct job *job, struct error *err) {
  const struct batch_options options = session_batch(job->session);
  const struct batch_events events = {
      .context = job, .token = on_token, .finished = on_finished, .go_on = go_on};
  progress_begin(&job->progress);
  const double began = seconds_now();
  if (!encode_prompts(job, err))
    return false;
  const bool ok = batch_run(job->session->engine, job->requests, job->n, &options, &events, err);
  const double elapsed = seconds_now() - began;
  progress_end(&job->progress);
  if (ok)
    printf("elapsed time(s): %f, achieved throughput TPS (tok/s): %f\n", elapsed,
           (double)job->tokens / elapsed);
  return ok;
}

static bool check_parity(const struct job *job, struct error *err) {
  struct id_list ids = {0};
  const bool ok = job->n == 0 || (encode_prompt(job, 0, &ids, err) &&
                                  session_parity(job->session, ids.id, ids.n, err));
  free(ids.id);
  return ok;
}

static void report_stop(const struct job *job) {
  const char *journal = job->output.journal_path;
  remark("%s: not written: signal %d after %d of %d prompts%s%s", job->output.path,
         interrupt_signal(), job->done, job->n, journal ? ": finished lines are in " : "",
         journal ? journal : "");
}

static int run_job(struct job *job, struct error *err) {
  const struct options *options = job->session->options;
  if (!read_prompts(job, options->input, err) || !output_open(&job->output, options->output, err))
    return -1;
  printf("Num requests: %d\n", job->n);
  interrupt_catch();
  double began = seconds_now();
  if (!session_warm_up(job->session, err))
    return -1;
  printf("warm up elapsed time(s): %f\n", seconds_now() - began);
  if ((job->session->parity && !check_parity(job, err)) || !infer(job, err))
    return -1;
  if (interrupt_signal() && job->done < job->n) {
    report_stop(job);
    return 128 + interrupt_signal();
  }
  if (!output_commit(&job->output, job->requests, job->n, err))
    return -1;
  began = seconds_now();
  engine_finish(job->session->engine);
  printf("finish elapsed time(s): %f\n", seconds_now() - began);
  return job->failed ? 1 : 0;
}

int mode_prompts(struct session *session, struct error *err) {
  struct job job = {.session = session};
  const int status = run_job(&job, err);
  output_close(&job.output);
  free(job.file.bytes);
  free(job.prompts);
  free(job.requests);
  free(job.ids.id);
  free(job.outputs);
  return status;
}
