// -m getp: answers a file of prompts.
#include "base/clock.h"
#include "base/interrupt.h"
#include "base/lines.h"
#include "base/progress.h"
#include "mode/identity.h"
#include "mode/mode.h"
#include "serve/output.h"
#include "terminal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// A request that runs, or room for one. Its prompt was encoded when a slot became free.
struct running {
  struct request request; // at the beginning, so that a request leads here
  int number;             // of its prompt, counted from 1
  struct id_list ids;     // the prompt
  struct running *unused; // the next one that is not used
};

struct job {
  struct session *session;
  struct text file;
  struct text prompts; // the lines of the prompts in `file`
  int n;               // prompts
  struct text waiting; // the end of `prompts` that no request has been made of
  int next;            // the number of the first waiting prompt
  int slots;
  struct running *running; // (slots)
  struct running *unused;  // the first of those that are not used
  int32_t *outputs;        // (slots, max_tokens)
  struct output output;
  struct progress progress;
  int64_t tokens; // generated so far
};

// ---- the file of prompts ----

// The number of prompts in the first line, or -1 if the line is not a number.
static int parse_count(const struct text *line) {
  char *end;
  char digits[16] = {0};
  if (line->n == 0 || line->n >= sizeof digits || line->bytes[0] < '0' || line->bytes[0] > '9')
    return -1;
  memcpy(digits, line->bytes, line->n);
  const long n = strtol(digits, &end, 10);
  return *end || n > INT32_MAX ? -1 : (int)n;
}

enum { WHERE_BYTES = 256 };

// FILE:LINE of prompt `number`, for messages.
static void name_prompt(char where[static WHERE_BYTES], const char *path, int number) {
  snprintf(where, WHERE_BYTES, "%.200s:%d", path, number + 1);
}

// Refuses lines after the last prompt. Empty lines at the end of a file are no prompts.
static bool check_end(const struct job *job, const char *path, struct text rest,
                      struct error *err) {
  struct text line;
  for (int number = job->n + 2; text_line(&rest, &line); number++)
    if (line.n > 0)
      return fail(err,
                  "%s:%d: want no line after the number of prompts in line 1, %d, found \"%.*s\"",
                  path, number, job->n, (int)(line.n < 40 ? line.n : 40), line.bytes);
  return true;
}

static bool read_prompts(struct job *job, const char *path, struct error *err) {
  static const char WANT[] = "want the number of prompts, and one prompt per line after it";
  char where[WHERE_BYTES];
  if (!text_read_lines(&job->file, path, err))
    return false;
  struct text rest = job->file, line;
  if (!text_line(&rest, &line))
    return fail(err, "%s:1: %s, found nothing", path, WANT);
  job->n = parse_count(&line);
  if (job->n < 0)
    return fail(err, "%s:1: %s, found \"%.*s\"", path, WANT, (int)(line.n < 40 ? line.n : 40),
                line.bytes);
  job->prompts = rest;
  for (int number = 1; number <= job->n; number++) {
    name_prompt(where, path, number);
    if (!text_line(&rest, &line))
      return fail(err, "%s: want prompt %d of the %d in line 1, found the end of the file", where,
                  number, job->n);
    if (!check_text(where, line.bytes, line.n, err))
      return false;
  }
  job->prompts.n -= rest.n;
  job->waiting = job->prompts;
  job->next = 1;
  return check_end(job, path, rest, err);
}

// ---- requests ----

static bool alloc_requests(struct job *job, struct error *err) {
  const size_t max_tokens = (size_t)job->session->max_tokens;
  job->slots = session_batch(job->session).slots;
  job->slots = job->slots < job->n ? job->slots : job->n;
  const size_t slots = (size_t)job->slots;
  job->running = calloc(slots + 1, sizeof *job->running);
  job->outputs = calloc(slots * max_tokens + 1, sizeof *job->outputs);
  if (!job->running || !job->outputs)
    return fail(err, "batch: out of memory for the output of %zu requests", slots);
  for (size_t i = 0; i < slots; i++) {
    job->running[i].request.output = job->outputs + i * max_tokens;
    job->running[i].unused = i + 1 < slots ? &job->running[i + 1] : NULL;
  }
  job->unused = job->running;
  return true;
}

// Makes a request of a prompt. *fits is false if the prompt leaves no room for an answer: then it
// gets an empty line, a remark on stderr, and makes the exit status 1.
static bool make_request(struct job *job, struct running *running, struct text prompt, bool *fits,
                         struct error *err) {
  const int max_tokens = job->session->max_tokens;
  char where[WHERE_BYTES];
  running->number = job->next;
  running->ids.n = 0;
  name_prompt(where, job->session->options->input, running->number);
  if (!session_encode(job->session, where, prompt.bytes, prompt.n, &running->ids, err))
    return false;
  running->request = (struct request){
      .prompt = running->ids.id,
      .n_prompt = (int)running->ids.n,
      .max_tokens = max_tokens,
      .output = running->request.output,
      .stream = (uint64_t)running->number - 1,
  };
  *fits = running->ids.n < (size_t)max_tokens;
  if (*fits)
    return true;
  remark("%s: want fewer than %d tokens, but the prompt has %zu tokens: its line is empty", where,
         max_tokens, running->ids.n);
  return journal_add(&job->output.journal, running->number, NULL, 0, true, err);
}

// Makes a request of the next prompt that is not finished and that fits. *request is NULL if there
// is none, and after a signal.
static bool on_next(void *context, struct request **request, struct error *err) {
  struct job *job = context;
  struct running *running = job->unused;
  struct text prompt;
  *request = NULL;
  for (; !*request && !interrupt_signal() && text_line(&job->waiting, &prompt); job->next++) {
    bool fits = true;
    if (journal_has(&job->output.journal, job->next))
      continue;
    if (!make_request(job, running, prompt, &fits, err))
      return false;
    *request = fits ? &running->request : NULL;
  }
  if (*request)
    job->unused = running->unused;
  return true;
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
  struct running *running = &job->running[((const struct running *)request) - job->running];
  char where[WHERE_BYTES];
  struct error failure;
  running->unused = job->unused;
  job->unused = running;
  name_prompt(where, job->session->options->input, running->number);
  const bool failed = !request_check(request, where, &failure);
  if (failed)
    remark("%s: its line ends there", failure.text);
  return journal_add(&job->output.journal, running->number, request->output, request->n_output,
                     failed, err);
}

static bool go_on(void *context) {
  struct job *job = context;
  const int done = job->output.journal.done;
  const int64_t most = (int64_t)(job->n - done) * (job->session->max_tokens - 1);
  progress_update(&job->progress, done, job->n, job->tokens, job->tokens + most);
  return interrupt_signal() == 0;
}

// ---- the job ----

// Does what the throughput measures: tokenizing, prefill, decoding and sampling.
static bool infer(struct job *job, struct error *err) {
  const struct batch_options options = session_batch(job->session);
  const struct batch_events events = {
      .context = job, .next = on_next, .token = on_token, .finished = on_finished, .go_on = go_on};
  progress_begin(&job->progress);
  const double began = seconds_now();
  const bool ok =
      alloc_requests(job, err) && batch_run(job->session->engine, NULL, 0, &options, &events, err);
  const double elapsed = seconds_now() - began;
  progress_end(&job->progress);
  if (ok)
    printf("elapsed time(s): %f, achieved throughput TPS (tok/s): %f\n", elapsed,
           (double)job->tokens / elapsed);
  return ok;
}

static bool check_parity(const struct job *job, struct error *err) {
  struct id_list ids = {0};
  struct text rest = job->prompts, prompt;
  char where[WHERE_BYTES];
  name_prompt(where, job->session->options->input, 1);
  const bool ok = !text_line(&rest, &prompt) ||
                  (session_encode(job->session, where, prompt.bytes, prompt.n, &ids, err) &&
                   session_parity(job->session, ids.id, ids.n, err));
  free(ids.id);
  return ok;
}

// Opens the output, and says what of an earlier run it takes up.
static bool open_output(struct job *job, struct error *err) {
  const struct options *options = job->session->options;
  struct sampling *sampling = &job->session->sampler.sampling;
  char *identity = identity_of(job->session, job->prompts, job->n, err);
  struct journal_job journal = {
      .prompts = job->n,
      .identity = identity,
      .draws = sampling->temperature > 0,
      .any_seed = options->seed == 0,
      .seed = sampling->seed,
      .resume = options->resume,
  };
  const bool ok = identity && output_open(&job->output, options->output, &journal, err);
  free(identity);
  if (!ok)
    return false;
  sampling->seed = journal.seed;
  const struct journal *opened = &job->output.journal;
  if (opened->done > 0 && opened->failed > 0)
    remark("%s: taken up: %d of %d prompts are done, %d of them failed", opened->path, opened->done,
           job->n, opened->failed);
  else if (opened->done > 0)
    remark("%s: taken up: %d of %d prompts are done", opened->path, opened->done, job->n);
  else if (options->resume)
    remark("%s: no finished lines in it: the job begins with its first prompt", opened->path);
  if (opened->path && !opened->locked)
    remark("%s: cannot lock it on this file system: start no other job with this -o", opened->path);
  session_say_seed(job->session);
  return true;
}

static void report_stop(const struct job *job) {
  const struct journal *journal = &job->output.journal;
  if (journal->path && journal->done > 0)
    remark("%s: not written: signal %d after %d of %d prompts: finished lines are in %s: --resume "
           "goes on",
           job->output.path, interrupt_signal(), journal->done, job->n, journal->path);
  else
    remark("%s: not written: signal %d after %d of %d prompts", job->output.path,
           interrupt_signal(), journal->done, job->n);
}

static int run_job(struct job *job, struct error *err) {
  const struct options *options = job->session->options;
  const struct journal *journal = &job->output.journal;
  if (!read_prompts(job, options->input, err) || !open_output(job, err))
    return -1;
  printf("Num requests: %d\n", job->n);
  interrupt_catch();
  double began = seconds_now();
  if (!session_warm_up(job->session, err))
    return -1;
  printf("warm up elapsed time(s): %f\n", seconds_now() - began);
  if ((job->session->parity && !check_parity(job, err)) || !infer(job, err))
    return -1;
  if (journal->done < job->n) {
    report_stop(job);
    return 128 + interrupt_signal();
  }
  const int status = journal->failed > 0 ? 1 : 0;
  if (!output_commit(&job->output, err))
    return -1;
  began = seconds_now();
  engine_finish(job->session->engine);
  printf("finish elapsed time(s): %f\n", seconds_now() - began);
  return status;
}

int mode_prompts(struct session *session, struct error *err) {
  struct job job = {.session = session, .output = {.file.file = -1, .journal.file = -1}};
  const int status = run_job(&job, err);
  output_close(&job.output);
  for (int i = 0; job.running && i < job.slots; i++)
    free(job.running[i].ids.id);
  free(job.running);
  free(job.outputs);
  free(job.file.bytes);
  return status;
}
