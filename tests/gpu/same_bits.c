// same_bits MODEL IDS MOST: checks that a row's result has the same bits in any pass. It is linked
// with a tree in place of getp's main and prints TAP, one test for each number of rows up to MOST.
//
// Each sequence of IDS runs alone first. Then passes of 1, 16, 17, ... rows mix chunks of many
// sequences, of one row and of more, in any order and in any slots; some begin while others are far
// on, and the longest sequence has only its last FAR_ROWS rows left at the beginning. Whole logits
// and drawn ids must be those of the sequence alone, to the bit, and the greedy pick the first of
// the largest logits. There is no tolerance. The ids drawn of a sequence alone must be those that
// the host draws from its logits.
#include "../runtime/warm_up.h"
#include "base/lines.h"
#include "serve/sampler.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PASSES = 4, PASSES_OF_ONE = 12, MOST_RUNNING = 64, FAR_ROWS = 24 };

// A sequence and its results when it runs alone.
struct sequence {
  const int32_t *ids;
  int n;
  float *logits;  // (n, vocab)
  int32_t *drawn; // (n)
};

// What a pass returns: all logits, the ids of the largest, or ids that are drawn, each in its way.
enum want { LOGITS, GREEDY, DRAWN, WANTS };

// A sequence that runs in a slot; `next` is the position of its next token.
struct running {
  int slot, next;
  const struct sequence *sequence;
};

struct test {
  struct engine *engine;
  struct engine_limits limits;
  struct sequence *sequences; // (n_sequences)
  int n_sequences;
  struct running running[MOST_RUNNING];
  int n_running;
  uint64_t draws;                // random numbers drawn so far
  struct engine_rows rows;       // the pass that is made
  const struct sequence **owner; // (rows) the sequence of each row
  struct distribution distribution;
};

static int least(int a, int b) {
  return a < b ? a : b;
}

static int draw_below(struct test *test, int n) {
  return (int)(sampler_uniform(1, 0, test->draws++) * n);
}

// How the id after a position is drawn: some from all tokens, some from a few, some greedily.
static struct draw draw_of(const struct test *test, const struct sequence *sequence, int position) {
  static const struct draw WAYS[] = {
      {.sharpness = 1.25f, .top_p = DRAW_ALL_P, .top_k = DRAW_ALL_K},
      {.sharpness = 1.25f, .top_p = 0.9f, .top_k = DRAW_ALL_K},
      {.sharpness = 0.25f, .top_p = 0.5f, .top_k = 400},
      {.sharpness = 0.5f, .top_p = DRAW_ALL_P, .top_k = 7},
      {.sharpness = 2, .top_p = DRAW_ALL_P, .min_p = 0.25f, .top_k = DRAW_ALL_K},
      {.sharpness = 0, .top_p = DRAW_ALL_P, .top_k = DRAW_ALL_K},
  };
  const uint64_t number = (uint64_t)(sequence - test->sequences);
  struct draw draw = WAYS[position % (int)(sizeof WAYS / sizeof *WAYS)];
  draw.uniform = sampler_uniform(2, number, (uint64_t)position);
  return draw;
}

// ---- passes ----

static void add_row(struct test *test, const struct running *running) {
  struct engine_rows *rows = &test->rows;
  test->owner[rows->rows] = running->sequence;
  rows->token[rows->rows] = running->sequence->ids[running->next];
  rows->position[rows->rows] = running->next;
  rows->slot[rows->rows++] = running->slot;
}

static void add_chunk(struct test *test, struct running *running, int n) {
  for (int i = 0; i < n; i++, running->next++)
    add_row(test, running);
}

// Makes every row an output, or as many as fit, spread over all rows.
static void choose_outputs(struct test *test, enum want want) {
  struct engine_rows *rows = &test->rows;
  rows->outputs = want == LOGITS ? least(rows->rows, test->limits.logits) : rows->rows;
  for (int i = 0; i < rows->outputs; i++) {
    const int row = (int)((int64_t)i * rows->rows / rows->outputs);
    rows->output_row[i] = row;
    rows->draw[i] = draw_of(test, test->owner[row], rows->position[row]);
    rows->draw[i].sharpness = want == DRAWN ? rows->draw[i].sharpness : 0;
  }
}

static bool run(struct test *test, enum want want, struct engine_results *results,
                struct error *err) {
  choose_outputs(test, want);
  return engine_submit(test->engine, &test->rows, want == LOGITS ? ENGINE_LOGITS : ENGINE_PICKED,
                       err) &&
         engine_collect(test->engine, results, err);
}

// ---- alone ----

static bool run_alone(struct test *test, struct sequence *sequence, enum want want,
                      struct error *err) {
  const size_t vocab = (size_t)test->limits.vocab;
  struct running running = {.sequence = sequence};
  while (running.next < sequence->n) {
    const size_t first = (size_t)running.next;
    const int most = least(test->limits.chunk, test->limits.logits);
    struct engine_results results;
    test->rows.rows = 0;
    add_chunk(test, &running, least(sequence->n - running.next, most));
    if (!run(test, want, &results, err))
      return false;
    const size_t n = (size_t)test->rows.outputs;
    if (want == LOGITS)
      memcpy(sequence->logits + first * vocab, results.logits, n * vocab * sizeof(float));
    else
      memcpy(sequence->drawn + first, results.picked, n * sizeof *sequence->drawn);
  }
  return true;
}

// The ids that were drawn must be those that the host draws from the same logits.
static bool check_drawn(struct test *test, const struct sequence *sequence, struct error *err) {
  for (int i = 0; i < sequence->n; i++) {
    const struct draw draw = draw_of(test, sequence, i);
    distribution_set(&test->distribution, sequence->logits + (size_t)i * (size_t)test->limits.vocab,
                     &draw);
    const int32_t want = distribution_pick(&test->distribution, draw.uniform);
    if (sequence->drawn[i] != want)
      return fail(err, "position %d of sequence %d: want the id %d drawn, found %d", i,
                  (int)(sequence - test->sequences), want, sequence->drawn[i]);
  }
  return true;
}

static bool run_all_alone(struct test *test, struct error *err) {
  for (int i = 0; i < test->n_sequences; i++) {
    struct sequence *sequence = &test->sequences[i];
    sequence->logits =
        calloc((size_t)sequence->n * (size_t)test->limits.vocab, sizeof *sequence->logits);
    sequence->drawn = calloc((size_t)sequence->n, sizeof *sequence->drawn);
    if (!sequence->logits || !sequence->drawn)
      return fail(err, "out of memory for %d positions", sequence->n);
    if (!run_alone(test, sequence, LOGITS, err) ||
        (test->limits.picks &&
         (!run_alone(test, sequence, DRAWN, err) || !check_drawn(test, sequence, err))))
      return false;
  }
  return true;
}

// ---- together ----

static void start(struct test *test, struct running *running) {
  running->sequence = &test->sequences[draw_below(test, test->n_sequences)];
  running->next = 0;
}

// Starts sequences in slots that are spread over all of the engine's.
static void start_all(struct test *test, int rows) {
  test->n_running = least(least(rows / 4 + 2, MOST_RUNNING), test->limits.slots);
  for (int i = 0; i < test->n_running; i++) {
    test->running[i].slot = (int)((int64_t)(i + 1) * test->limits.slots / test->n_running) - 1;
    start(test, &test->running[i]);
  }
}

static void shuffle(struct test *test) {
  for (int i = test->n_running - 1; i > 0; i--) {
    const int j = draw_below(test, i + 1);
    const struct running other = test->running[i];
    test->running[i] = test->running[j];
    test->running[j] = other;
  }
}

static const struct sequence *longest(const struct test *test) {
  const struct sequence *found = test->sequences;
  for (int i = 1; i < test->n_sequences; i++)
    if (test->sequences[i].n > found->n)
      found = &test->sequences[i];
  return found;
}

// Makes the longest sequence the first that runs, and runs it alone up to its last FAR_ROWS rows.
static bool start_far(struct test *test, struct error *err) {
  struct running *running = &test->running[0];
  const int most = least(test->limits.chunk, test->limits.logits);
  running->sequence = longest(test);
  for (int left = running->sequence->n - FAR_ROWS; left > 0; left -= test->rows.rows) {
    struct engine_results results;
    test->rows.rows = 0;
    add_chunk(test, running, least(left, most));
    if (!run(test, LOGITS, &results, err))
      return false;
  }
  return true;
}

// The most rows that a sequence can have in the next pass.
static int most_rows(const struct test *test, const struct running *running) {
  return least(running->sequence->n - running->next, test->limits.chunk);
}

static int most_rows_of_all(const struct test *test) {
  int sum = 0;
  for (int i = 0; i < test->n_running; i++)
    sum += most_rows(test, &test->running[i]);
  return sum;
}

// Makes a pass of exactly n rows: about half of the sequences have one row, the others up to all of
// their rows. A sequence that has ended is replaced by a new one; so is one that runs if all
// together have too few rows.
static bool fill(struct test *test, int n, struct error *err) {
  for (int i = 0; i < test->n_running; i++)
    if (most_rows(test, &test->running[i]) == 0 || most_rows_of_all(test) < n)
      start(test, &test->running[i]);
  shuffle(test);
  int others = most_rows_of_all(test);
  if (others < n)
    return fail(err, "want sequences for %d rows, found %d", n, others);
  test->rows.rows = 0;
  for (int i = 0; i < test->n_running; i++) {
    struct running *running = &test->running[i];
    const int most = most_rows(test, running), left = n - test->rows.rows;
    int count = draw_below(test, 2) ? 1 : 1 + draw_below(test, most);
    others -= most;
    count = count < left - others ? left - others : count;
    add_chunk(test, running, least(count, left));
  }
  return true;
}

static int greedy(const float *logits, int vocab) {
  int best = 0;
  for (int i = 1; i < vocab; i++)
    if (logits[i] > logits[best])
      best = i;
  return best;
}

// True if output i is that of its sequence alone.
static bool is_same(const struct test *test, enum want want, const struct engine_results *results,
                    int i) {
  const int row = test->rows.output_row[i], vocab = test->limits.vocab;
  const struct sequence *sequence = test->owner[row];
  const int position = test->rows.position[row];
  const float *logits = sequence->logits + (size_t)position * (size_t)vocab;
  if (want == GREEDY)
    return results->picked[i] == greedy(logits, vocab);
  if (want == DRAWN)
    return results->picked[i] == sequence->drawn[position];
  return memcmp(results->logits + (size_t)i * (size_t)vocab, logits,
                (size_t)vocab * sizeof *logits) == 0;
}

static bool check(const struct test *test, enum want want, const struct engine_results *results,
                  struct error *err) {
  static const char *const NAMES[] = {[LOGITS] = "logits", [GREEDY] = "pick", [DRAWN] = "draw"};
  for (int i = 0; i < test->rows.outputs; i++)
    if (!is_same(test, want, results, i)) {
      const int row = test->rows.output_row[i];
      return fail(
          err, "row %d: position %d of sequence %d in slot %d: want the %s of the sequence alone",
          row, test->rows.position[row], (int)(test->owner[row] - test->sequences),
          test->rows.slot[row], NAMES[want]);
    }
  return true;
}

static bool run_together(struct test *test, int rows, struct error *err) {
  const int passes = rows == 1 ? PASSES_OF_ONE : PASSES;
  start_all(test, rows);
  if (!start_far(test, err))
    return false;
  for (int i = 0; i < passes; i++) {
    const enum want want = test->limits.picks ? (enum want)(i % WANTS) : LOGITS;
    struct engine_results results;
    struct error why;
    if (!fill(test, rows, err) || !run(test, want, &results, err))
      return false;
    if (!check(test, want, &results, &why))
      return fail(err, "pass %d: %s", i, why.text);
  }
  return true;
}

// Tests all numbers of rows up to `most`; the last is the engine's limit.
static bool run_sizes(struct test *test, int most, struct error *err) {
  const int sizes[] = {1, 16, 17, 32, 33, 64, 65, 128, 129, test->limits.rows};
  const int n = (int)(sizeof sizes / sizeof *sizes);
  bool ok = true;
  for (int i = 0; i < n; i++) {
    struct error why;
    if (sizes[i] > least(most, test->limits.rows) || (i < n - 1 && sizes[i] == sizes[n - 1]))
      continue;
    const bool same = run_together(test, sizes[i], &why);
    printf("%s passes of %d rows%s%s\n", same ? "ok" : "not ok", sizes[i], same ? "" : ": ",
           same ? "" : why.text);
    ok = ok && same;
  }
  return ok || fail(err, "the bits of a row depend on its pass");
}

// ---- the program ----

static bool alloc_memory(struct test *test, const struct id_lines *lines, struct error *err) {
  const size_t rows = (size_t)test->limits.rows;
  int32_t *numbers = calloc(4 * rows, sizeof *numbers);
  test->rows = (struct engine_rows){.token = numbers,
                                    .position = numbers + rows,
                                    .slot = numbers + 2 * rows,
                                    .output_row = numbers + 3 * rows,
                                    .draw = calloc(rows, sizeof *test->rows.draw)};
  test->owner = calloc(rows, sizeof *test->owner);
  test->sequences = calloc(lines->n + 1, sizeof *test->sequences);
  test->engine = engine_create();
  if (!numbers || !test->rows.draw || !test->owner || !test->sequences || !test->engine ||
      !distribution_open(&test->distribution, test->limits.vocab, err))
    return fail(err, "out of memory");
  test->n_sequences = (int)lines->n;
  for (size_t i = 0; i < lines->n; i++) {
    test->sequences[i].ids = lines->ids + lines->start[i];
    test->sequences[i].n = (int)(lines->start[i + 1] - lines->start[i]);
  }
  return true;
}

static void free_memory(struct test *test) {
  for (int i = 0; i < test->n_sequences; i++) {
    free(test->sequences[i].logits);
    free(test->sequences[i].drawn);
  }
  free(test->sequences);
  free(test->owner);
  free(test->rows.token);
  free(test->rows.draw);
  distribution_close(&test->distribution);
  engine_destroy(test->engine);
}

int main(int argc, char **argv) {
  struct test test = {.limits = engine_limits()};
  struct id_lines lines = {0};
  struct checkpoint *checkpoint = NULL;
  struct model_config config;
  struct error err;
  if (argc != 4) {
    fprintf(stderr, "usage: same_bits MODEL IDS MOST\n");
    return 1;
  }
  const bool ok = id_lines_read(&lines, argv[2], test.limits.vocab, &err) &&
                  checkpoint_config(&config, argv[1], &err) &&
                  checkpoint_open(&checkpoint, argv[1], &config, &err) &&
                  alloc_memory(&test, &lines, &err) && warm_up(test.engine, checkpoint, &err) &&
                  run_all_alone(&test, &err) && run_sizes(&test, atoi(argv[3]), &err);
  free_memory(&test);
  checkpoint_close(checkpoint);
  id_lines_free(&lines);
  if (!ok)
    fprintf(stderr, "same_bits: %s\n", err.text);
  return !ok;
}
