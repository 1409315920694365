// drive [--no-peaks] CHECKPOINT ROUNDS JOB...: times the engine of a cpu tree without a tokenizer.
// tests/bench.lua reads what it prints.
#include "checkpoint/checkpoint.h"
#include "engine/engine.h"
#include "engine/passes.h"
#include "engine/schedule.h"

#include "base/clock.h"
#include "base/parallel.h"
#include "peaks.h"

#include <inttypes.h>
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char HELP[] =
    "usage: drive [--no-peaks] CHECKPOINT ROUNDS JOB...\n"
    "\n"
    "A JOB is SEQUENCES:PROMPT:STEPS. It feeds so many sequences of PROMPT ids each, and then\n"
    "decodes STEPS tokens of every sequence. The ids are fixed and nothing is sampled. It prints\n"
    "\n"
    "  threads N\n"
    "  read STREAMS BYTES/S      before each job, by threads that read so many streams each\n"
    "  multiply FLOPS/S          before each job\n"
    "  prompt JOB SECONDS TOKENS BYTES FLOPS\n"
    "  decode JOB SECONDS TOKENS BYTES FLOPS\n"
    "\n"
    "in each round. Bytes and flops are those of costs.inc. --no-peaks leaves out the lines read\n"
    "and multiply.\n";

// Feeds `prompt` ids of each of `sequences`, then `steps` ids one by one.
struct job {
  int sequences, prompt, steps;
};

// An engine, the rows of its next pass, and what its passes since the last report have cost.
struct drive {
  const char *checkpoint;
  struct engine *engine;
  struct engine_limits limits;
  struct engine_rows rows;
  int32_t *group;            // (rows + 1)
  int *fed;                  // (slots) ids of each sequence so far
  struct peak_memory memory; // not open: no peaks
  double seconds, bytes, flops;
  int tokens;
};

// ---- one pass ----

// An id of a sequence: the ids of two sequences differ, and those of one spread over the
// vocabulary.
static int32_t id_of(const struct drive *drive, int sequence, int position) {
  return (int32_t)((sequence * 7919LL + position * 104729LL + 5) % drive->limits.vocab);
}

// Adds the next id of a sequence to the pass; `wanted`: its logits are an output.
static void add_row(struct drive *drive, int sequence, bool wanted) {
  struct engine_rows *rows = &drive->rows;
  const int position = drive->fed[sequence]++, row = rows->rows++;
  rows->token[row] = id_of(drive, sequence, position);
  rows->position[row] = position;
  rows->slot[row] = sequence;
  if (wanted)
    rows->output_row[rows->outputs++] = row;
}

// Adds what the rows cost at least.
static void add_cost(struct drive *drive) {
  const struct engine_rows *rows = &drive->rows;
  const int32_t counts[PASS_COUNTS] = {
      [PASS_ROWS] = rows->rows,
      [PASS_OUTPUTS] = rows->outputs,
      [PASS_GROUPS] = passes_group(rows, drive->group),
  };
  const struct schedule_load load = schedule_load(counts, rows->position, drive->group);
  const int steps = schedule_steps(SCHEDULE_STEPS);
  for (int i = 0; i < steps; i++) {
    const struct schedule_cost cost = schedule_cost(i, &load);
    drive->bytes += cost.bytes;
    drive->flops += cost.flops;
  }
  drive->tokens += rows->rows;
}

// A pass that computes nonsense may be faster than one that is right.
static bool check_logits(const struct drive *drive, const float *logits, struct error *err) {
  const size_t n = (size_t)drive->rows.outputs * (size_t)drive->limits.vocab;
  for (size_t i = 0; i < n; i++)
    if (!isfinite(logits[i]))
      return fail(err, "%s: want finite logits, found others", drive->checkpoint);
  return true;
}

// Runs the pass of the rows, and begins the next one.
static bool run_pass(struct drive *drive, struct error *err) {
  struct engine_results results;
  add_cost(drive);
  const double began = seconds_now();
  if (!engine_submit(drive->engine, &drive->rows, ENGINE_LOGITS, err) ||
      !engine_collect(drive->engine, &results, err))
    return false;
  drive->seconds += seconds_now() - began;
  const bool ok = check_logits(drive, results.logits, err);
  drive->rows.rows = drive->rows.outputs = 0;
  return ok;
}

// ---- jobs ----

static int smaller(int a, int b) {
  return a < b ? a : b;
}

// Adds the next rows of all prompts, as many as a pass takes -> whether there are any.
static bool add_prompts(struct drive *drive, const struct job *job) {
  for (int s = 0; s < job->sequences; s++) {
    const int room = smaller(drive->limits.rows - drive->rows.rows, drive->limits.chunk);
    const int rows = smaller(job->prompt - drive->fed[s], room);
    for (int i = 0; i < rows; i++)
      add_row(drive, s, drive->fed[s] == job->prompt - 1);
  }
  return drive->rows.rows > 0;
}

static void report(struct drive *drive, const char *what, const struct job *job) {
  printf("%s %d:%d:%d %.9f %d %.0f %.0f\n", what, job->sequences, job->prompt, job->steps,
         drive->seconds, drive->tokens, drive->bytes, drive->flops);
  fflush(stdout);
  drive->seconds = drive->bytes = drive->flops = 0;
  drive->tokens = 0;
}

static bool run_job(struct drive *drive, const struct job *job, struct error *err) {
  for (int s = 0; s < job->sequences; s++) {
    drive->fed[s] = 0;
    if (!engine_clear_slot(drive->engine, s, err))
      return false;
  }
  while (add_prompts(drive, job))
    if (!run_pass(drive, err))
      return false;
  report(drive, "prompt", job);
  for (int i = 0; i < job->steps; i++) {
    for (int s = 0; s < job->sequences; s++)
      add_row(drive, s, true);
    if (!run_pass(drive, err))
      return false;
  }
  if (job->steps > 0)
    report(drive, "decode", job);
  return true;
}

static bool measure_peaks(const struct drive *drive, struct error *err) {
  if (!drive->memory.map)
    return true;
  for (enum peak_kind kind = 0; kind < PEAK_KINDS; kind++) {
    const double rate = peak_read(&drive->memory, kind);
    if (rate == 0)
      return fail(err, "memory: want the bytes that were written, found others");
    printf("read %d %.0f\n", kind < PEAK_STREAMS ? 1 : 4, rate);
  }
  printf("multiply %.0f\n", peak_multiply());
  return true;
}

static bool run_rounds(struct drive *drive, int rounds, const struct job *jobs, int n,
                       struct error *err) {
  printf("threads %d\n", omp_get_max_threads());
  for (int round = 0; round < rounds; round++)
    for (int i = 0; i < n; i++)
      if (!measure_peaks(drive, err) || !run_job(drive, &jobs[i], err))
        return false;
  return true;
}

// ---- the command line ----

struct options {
  const char *checkpoint;
  bool peaks;
  int rounds, n;
  struct job *jobs; // (n)
};

// Reads a number of at most six digits that `end` follows, and sets *text after it.
static bool read_number(int *out, const char **text, char end) {
  char *after;
  const size_t digits = strspn(*text, "0123456789");
  if (digits < 1 || digits > 6)
    return false;
  *out = (int)strtol(*text, &after, 10);
  *text = after + 1;
  return *after == end;
}

static bool parse_job(struct job *job, const char *text, struct error *err) {
  const struct engine_limits limits = engine_limits();
  const char *at = text;
  if (!read_number(&job->sequences, &at, ':') || !read_number(&job->prompt, &at, ':') ||
      !read_number(&job->steps, &at, 0) || job->sequences < 1 || job->prompt < 1)
    return fail(err, "%.80s: want SEQUENCES:PROMPT:STEPS, the first two from 1: see --help", text);
  const int most = smaller(limits.slots, limits.logits);
  if (job->sequences > most)
    return fail(err, "%s: want at most %d sequences for this tree, found %d", text, most,
                job->sequences);
  if (job->prompt + job->steps > limits.context)
    return fail(err, "%s: want at most %d positions for this tree, found %d", text, limits.context,
                job->prompt + job->steps);
  return true;
}

static bool parse(struct options *options, int argc, char **argv, struct error *err) {
  const int first = argc > 1 && !strcmp(argv[1], "--no-peaks") ? 2 : 1;
  *options = (struct options){.peaks = first == 1, .n = argc - first - 2};
  if (options->n < 1)
    return fail(err, "want CHECKPOINT ROUNDS JOB...: see --help");
  const char *rounds = argv[first + 1];
  options->checkpoint = argv[first];
  if (!read_number(&options->rounds, &rounds, 0) || options->rounds < 1)
    return fail(err, "%.80s: want a number of rounds from 1: see --help", argv[first + 1]);
  options->jobs = calloc((size_t)options->n, sizeof *options->jobs);
  if (!options->jobs)
    return fail(err, "drive: out of memory for %d jobs", options->n);
  for (int i = 0; i < options->n; i++)
    if (!parse_job(&options->jobs[i], argv[first + 2 + i], err))
      return false;
  return true;
}

// ---- the engine ----

static bool open_rows(struct drive *drive, struct error *err) {
  const size_t rows = (size_t)drive->limits.rows + 1;
  struct engine_rows *all = &drive->rows;
  all->token = calloc(rows, sizeof *all->token);
  all->position = calloc(rows, sizeof *all->position);
  all->slot = calloc(rows, sizeof *all->slot);
  all->output_row = calloc(rows, sizeof *all->output_row);
  drive->group = calloc(rows, sizeof *drive->group);
  drive->fed = calloc((size_t)drive->limits.slots, sizeof *drive->fed);
  return (all->token && all->position && all->slot && all->output_row && drive->group &&
          drive->fed) ||
         fail(err, "drive: out of memory for the rows of a pass");
}

static bool run(struct drive *drive, const struct options *options, struct checkpoint **checkpoint,
                struct error *err) {
  struct model_config generated, config;
  const char *path = options->checkpoint;
  engine_model(&generated);
  if (!checkpoint_config(&config, path, err) ||
      !checkpoint_is_for(path, &generated, &config, err) ||
      !checkpoint_open(checkpoint, path, &config, err) || !open_rows(drive, err))
    return false;
  const struct weight_source source = {.table = engine_weights(), .checkpoint = *checkpoint};
  drive->engine = engine_create();
  if (!drive->engine)
    return fail(err, "engine: out of memory for its state");
  if (!engine_warm_up(drive->engine, &source, err))
    return false;
  if (options->peaks && !peak_memory_open(&drive->memory))
    return fail(err, "drive: out of memory for 1 GiB to read");
  return run_rounds(drive, options->rounds, options->jobs, options->n, err);
}

static void close_all(struct drive *drive, struct checkpoint *checkpoint) {
  peak_memory_close(&drive->memory);
  engine_destroy(drive->engine);
  checkpoint_close(checkpoint);
  free(drive->rows.token);
  free(drive->rows.position);
  free(drive->rows.slot);
  free(drive->rows.output_row);
  free(drive->group);
  free(drive->fed);
}

int main(int argc, char **argv) {
  struct options options;
  struct checkpoint *checkpoint = NULL;
  struct error err = {"failed"};
  threads_spin_briefly(argv);
  if (argc == 2 && !strcmp(argv[1], "--help")) {
    fputs(HELP, stdout);
    return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
  }
  bool ok = parse(&options, argc, argv, &err);
  struct drive drive = {.checkpoint = options.checkpoint, .limits = engine_limits()};
  ok = ok && run(&drive, &options, &checkpoint, &err);
  close_all(&drive, checkpoint);
  free(options.jobs);
  if (ok && fflush(stdout) != 0)
    ok = fail(&err, "stdout: cannot write");
  if (!ok)
    fprintf(stderr, "drive: %s\n", err.text);
  return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
