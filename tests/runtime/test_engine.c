// The life of an engine of abacus: warm_up and finish in any order, passes, picks and times.
#include "serve/distribution.h"

#include "support.h"
#include "warm_up.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 3 };

struct fixture {
  struct checkpoint *checkpoint;
  struct engine *engine;
};

static int setup(void **state) {
  struct fixture *fixture = calloc(1, sizeof *fixture);
  fixture->checkpoint = open_checkpoint(MODELS "abacus");
  fixture->engine = engine_create();
  assert_non_null(fixture->engine);
  *state = fixture;
  return 0;
}

static int teardown(void **state) {
  struct fixture *fixture = *state;
  engine_destroy(fixture->engine);
  checkpoint_close(fixture->checkpoint);
  free(fixture);
  return 0;
}

// The first tokens of the first reference sequence.
static struct engine_rows first_rows(void) {
  static int32_t token[ROWS] = {296, 268, 220}, position[ROWS] = {0, 1, 2}, slot[ROWS] = {0};
  static int32_t output_row[1] = {ROWS - 1};
  static struct draw draw[1] = {{.top_p = DRAW_ALL_P, .top_k = DRAW_ALL_K}};
  return (struct engine_rows){ROWS, 1, token, position, slot, output_row, draw};
}

// Runs a pass of the first rows and copies the logits of its output.
static void run_pass(struct engine *engine, float *logits) {
  const struct engine_rows rows = first_rows();
  struct engine_results results;
  struct error err;
  assert_true(engine_submit(engine, &rows, ENGINE_LOGITS, &err));
  assert_true(engine_collect(engine, &results, &err));
  assert_null(results.picked);
  memcpy(logits, results.logits, (size_t)engine_limits().vocab * sizeof *logits);
}

static void warm_up_and_finish_alternate(void **state) {
  struct fixture *fixture = *state;
  struct error err;
  const size_t vocab = (size_t)engine_limits().vocab;
  float *first = calloc(vocab, sizeof *first), *again = calloc(vocab, sizeof *again);
  for (int i = 0; i < 3; i++) {
    assert_true(warm_up(fixture->engine, fixture->checkpoint, &err));
    assert_true(warm_up(fixture->engine, fixture->checkpoint, &err));
    run_pass(fixture->engine, i == 0 ? first : again);
    if (i > 0)
      assert_memory_equal(first, again, vocab * sizeof *first);
    engine_finish(fixture->engine);
    engine_finish(fixture->engine);
  }
  free(first);
  free(again);
}

static void a_cold_engine_refuses_a_pass(void **state) {
  struct fixture *fixture = *state;
  const struct engine_rows rows = first_rows();
  struct engine_results results;
  struct error err;
  engine_finish(fixture->engine);
  assert_false(engine_submit(fixture->engine, &rows, ENGINE_LOGITS, &err));
  assert_string_equal(err.text, "engine: want warm_up before a pass, found none");
  assert_false(engine_collect(fixture->engine, &results, &err));
  assert_string_equal(err.text, "engine: want a pass in flight, found none");
}

static void a_checkpoint_of_another_shape_leaves_it_cold(void **state) {
  struct fixture *fixture = *state;
  const struct engine_rows rows = first_rows();
  struct checkpoint *other = open_checkpoint(MODELS "rand_mxfp4");
  struct error err;
  assert_false(warm_up(fixture->engine, other, &err));
  assert_contains(err.text, "model.embed_tokens.weight");
  assert_false(engine_submit(fixture->engine, &rows, ENGINE_LOGITS, &err));
  assert_true(warm_up(fixture->engine, fixture->checkpoint, &err));
  checkpoint_close(other);
}

static void passes_under_way_are_bounded(void **state) {
  struct fixture *fixture = *state;
  const struct engine_limits limits = engine_limits();
  const enum engine_result result = limits.picks ? ENGINE_PICKED : ENGINE_LOGITS;
  const struct engine_rows rows = first_rows();
  struct engine_results results;
  struct error err;
  assert_true(warm_up(fixture->engine, fixture->checkpoint, &err));
  assert_true(engine_submit(fixture->engine, &rows, result, &err));
  assert_false(engine_submit(fixture->engine, &rows, ENGINE_LOGITS, &err));
  assert_string_equal(err.text, "engine: want no pass in flight before one with logits, found 1");
  if (limits.picks) {
    assert_true(engine_submit(fixture->engine, &rows, result, &err));
    assert_false(engine_submit(fixture->engine, &rows, result, &err));
    assert_string_equal(err.text, "engine: want fewer than 2 passes in flight, found 2");
    assert_true(engine_collect(fixture->engine, &results, &err));
  }
  assert_true(engine_collect(fixture->engine, &results, &err));
  assert_false(engine_collect(fixture->engine, &results, &err));
  assert_true(engine_submit(fixture->engine, &rows, result, &err)); // finish discards it
  engine_finish(fixture->engine);
  assert_false(engine_collect(fixture->engine, &results, &err));
}

static void what_an_engine_lacks_is_refused(void **state) {
  struct fixture *fixture = *state;
  const struct engine_rows rows = first_rows();
  struct error err;
  assert_true(warm_up(fixture->engine, fixture->checkpoint, &err));
  if (!engine_limits().picks) {
    assert_false(engine_submit(fixture->engine, &rows, ENGINE_PICKED, &err));
    assert_string_equal(err.text,
                        "engine: want a pass with logits, found one that picks: this tree cannot");
  }
  struct engine_rows many = rows;
  many.outputs = engine_limits().logits + 1;
  assert_false(engine_submit(fixture->engine, &many, ENGINE_LOGITS, &err));
  char want[128];
  snprintf(want, sizeof want, "engine: want at most %d outputs with logits, found %d",
           many.outputs - 1, many.outputs);
  assert_string_equal(err.text, want);
}

// Draws of the output of the first rows, from all tokens and from some, against the host's.
static void check_draws(struct engine *engine, const float *logits) {
  enum { DRAWS = 20 };
  struct distribution distribution;
  struct error err;
  assert_true(distribution_open(&distribution, engine_limits().vocab, &err));
  for (int i = 0; i < DRAWS; i++) {
    struct draw draw = {.uniform = i / (double)DRAWS, .sharpness = 0.25f};
    draw.top_p = i % 2 ? 0.7f : DRAW_ALL_P;
    draw.top_k = i % 3 ? DRAW_ALL_K : 9;
    struct engine_rows rows = first_rows();
    struct engine_results results;
    rows.draw = &draw;
    assert_true(engine_submit(engine, &rows, ENGINE_PICKED, &err));
    assert_true(engine_collect(engine, &results, &err));
    distribution_set(&distribution, logits, &draw);
    assert_int_equal(results.picked[0], distribution_pick(&distribution, draw.uniform));
  }
  distribution_close(&distribution);
}

// The device picks and draws what the whole logits say. A token that it hands over itself gives the
// same as the id from the host.
static void picks_are_those_of_the_logits(void **state) {
  struct fixture *fixture = *state;
  struct engine *engine = fixture->engine;
  const struct engine_limits limits = engine_limits();
  if (!limits.picks)
    skip();
  const struct engine_rows rows = first_rows();
  int32_t token[1], position[1] = {ROWS}, slot[1] = {0}, output_row[1] = {0};
  const struct engine_rows next = {1, 1, token, position, slot, output_row, rows.draw};
  struct engine_results first, results;
  struct error err;
  float *logits = calloc((size_t)limits.vocab, sizeof *logits);
  int32_t best = 0, fed[2];
  assert_true(warm_up(engine, fixture->checkpoint, &err));
  run_pass(engine, logits);
  for (int32_t i = 1; i < limits.vocab; i++)
    best = logits[i] > logits[best] ? i : best;
  for (int by_device = 0; by_device < 2; by_device++) {
    token[0] = by_device ? -1 : best;
    assert_true(engine_submit(engine, &rows, ENGINE_PICKED, &err));
    assert_true(engine_submit(engine, &next, ENGINE_PICKED, &err));
    assert_true(engine_collect(engine, &first, &err));
    assert_true(engine_collect(engine, &results, &err));
    assert_int_equal(first.picked[0], best);
    fed[by_device] = results.picked[0];
  }
  assert_int_equal(fed[0], fed[1]);
  assert_int_not_equal(fed[0], best); // otherwise one could be mistaken for the other
  check_draws(engine, logits);
  free(logits);
}

struct times {
  int steps, host;
  double ended; // when the last step ended
  double seconds, bytes, flops;
};

static bool on_times(void *context, bool host, const struct engine_span *spans, int n,
                     struct error *err) {
  struct times *times = context;
  (void)err;
  for (int i = 0; i < n; i++) {
    assert_true(spans[i].ended >= spans[i].began);
    assert_true(spans[i].bytes >= 0 && spans[i].flops >= 0);
    assert_non_null(spans[i].what);
  }
  if (host) {
    times->host += n;
    return true;
  }
  assert_true(spans[0].began >= times->ended);
  for (int i = 0; i < n; i++) {
    assert_true(i == 0 || spans[i].began == spans[i - 1].ended);
    times->bytes += spans[i].bytes;
    times->flops += spans[i].flops;
  }
  times->steps += n;
  times->ended = spans[n - 1].ended;
  return true;
}

// A timed pass gives the same bits, and reports a time for every step.
static void timed_passes(void **state) {
  struct fixture *fixture = *state;
  const size_t vocab = (size_t)engine_limits().vocab;
  float *plain = calloc(vocab, sizeof *plain), *timed = calloc(vocab, sizeof *timed);
  struct times times = {0};
  struct error err;
  assert_true(warm_up(fixture->engine, fixture->checkpoint, &err));
  run_pass(fixture->engine, plain);
  engine_finish(fixture->engine);
  engine_set_timer(fixture->engine, on_times, &times);
  assert_true(warm_up(fixture->engine, fixture->checkpoint, &err));
  assert_true(times.host == 3 && times.bytes == 0);
  for (int i = 1; i <= 4; i++) {
    run_pass(fixture->engine, timed);
    assert_memory_equal(plain, timed, vocab * sizeof *plain);
    assert_int_equal(times.host,
                     3 + 4 * i); // 3 of warm_up, 4 per pass: prepare, submit, prepare, collect
    assert_int_equal(times.steps % i, 0);
  }
  assert_true(times.steps >= 4 * 4 * 8); // 4 layers
  // abacus multiplies 0.98 million weights per row, and those of the head for one of the three rows
  assert_true(times.flops / 4 > 2 * 3 * 0.5e6 && times.flops / 4 < 2 * 3 * 2e6);
  assert_true(times.bytes / 4 > 1e6 && times.bytes / 4 < 1e7);
  engine_finish(fixture->engine);
  engine_set_timer(fixture->engine, NULL, NULL);
  free(plain);
  free(timed);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(warm_up_and_finish_alternate, setup, teardown),
      cmocka_unit_test_setup_teardown(a_cold_engine_refuses_a_pass, setup, teardown),
      cmocka_unit_test_setup_teardown(a_checkpoint_of_another_shape_leaves_it_cold, setup,
                                      teardown),
      cmocka_unit_test_setup_teardown(passes_under_way_are_bounded, setup, teardown),
      cmocka_unit_test_setup_teardown(what_an_engine_lacks_is_refused, setup, teardown),
      cmocka_unit_test_setup_teardown(picks_are_those_of_the_logits, setup, teardown),
      cmocka_unit_test_setup_teardown(timed_passes, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
