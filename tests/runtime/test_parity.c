// The parity check over a fake engine that answers with the logits of HF transformers, with and
// without planted errors; its measures against values that were computed by hand.
#include "reference/parity.h"

#include "support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MODEL MODELS "abacus"

enum { VOCAB = 1024, SLOTS = 2, CONTEXT = 64, ROWS = 8, CHUNK = 5, POSITIONS = 15 };

// Answers position p with answers[p].
struct engine {
  float answers[POSITIONS][VOCAB];
  float logits[ROWS][VOCAB];
  int fed;
};

static bool halves; // a limit of the engine, which a test may change

struct engine_limits engine_limits(void) {
  return (struct engine_limits){.vocab = VOCAB,
                                .slots = SLOTS,
                                .context = CONTEXT,
                                .rows = ROWS,
                                .chunk = CHUNK,
                                .rewind = CONTEXT,
                                .logits = ROWS,
                                .halves = halves};
}

bool engine_clear_slot(struct engine *engine, int slot, struct error *err) {
  (void)engine, (void)slot, (void)err;
  return true;
}

bool engine_submit(struct engine *engine, const struct engine_rows *rows, enum engine_result result,
                   struct error *err) {
  (void)err;
  assert_int_equal(result, ENGINE_LOGITS);
  for (int r = 0; r < rows->rows; r++)
    assert_int_equal(rows->position[r], engine->fed++);
  for (int i = 0; i < rows->outputs; i++) {
    const int position = rows->position[rows->output_row[i]];
    assert_in_range(position, 0, POSITIONS - 1);
    memcpy(engine->logits[i], engine->answers[position], sizeof engine->logits[i]);
  }
  return true;
}

bool engine_collect(struct engine *engine, struct engine_results *results, struct error *err) {
  (void)err;
  *results = (struct engine_results){.logits = engine->logits[0]};
  return true;
}

// The first sequence of the reference, with its logits.
struct fixture {
  struct engine engine;
  struct checkpoint *checkpoint;
  struct model_config config;
  int32_t *ids; // (POSITIONS)
};

static int set_up(void **state) {
  struct fixture *fixture = calloc(1, sizeof *fixture);
  size_t n;
  assert_non_null(fixture);
  *state = fixture;
  fixture->config = read_config(MODEL);
  fixture->checkpoint = open_checkpoint(MODEL);
  assert_int_equal(fixture->config.vocab, VOCAB);
  json_t *reference = read_json(MODEL "/reference.json");
  fixture->ids = read_ids(json_array_get(json_object_get(reference, "sequences"), 0), &n);
  assert_int_equal(n, POSITIONS);
  json_decref(reference);
  float *logits = read_floats(MODEL "/logits.f32", &n);
  assert_true(n >= POSITIONS * VOCAB);
  memcpy(fixture->engine.answers, logits, sizeof fixture->engine.answers);
  free(logits);
  return 0;
}

static int tear_down(void **state) {
  struct fixture *fixture = *state;
  checkpoint_close(fixture->checkpoint);
  free(fixture->ids);
  free(fixture);
  return 0;
}

static bool check(struct fixture *fixture, int n, struct error *err) {
  const struct stop_ids stop = {0};
  const struct batch_options options = {.slots = SLOTS, .chunk = CHUNK, .stop = &stop};
  return parity_check(&fixture->engine, &options, fixture->checkpoint, &fixture->config,
                      fixture->ids, n, err);
}

static void logits_of_transformers_pass(void **state) {
  struct fixture *fixture = *state;
  struct error err;
  assert_true(check(fixture, POSITIONS, &err));
  assert_int_equal(fixture->engine.fed, POSITIONS);
}

// Position 7 is wrong, but only the first 7 are checked.
static void only_n_positions_are_checked(void **state) {
  struct fixture *fixture = *state;
  struct error err;
  fixture->engine.answers[7][0] = NAN;
  assert_true(check(fixture, 7, &err));
  assert_int_equal(fixture->engine.fed, 7);
}

static double norm(const float *x) {
  double sum = 0;
  for (int i = 0; i < VOCAB; i++)
    sum += (double)x[i] * x[i];
  return sqrt(sum);
}

// One logit is wrong, by a little less and a little more than the bound.
static void one_wrong_logit_is_found(void **state) {
  struct fixture *fixture = *state;
  struct error err;
  float *logits = fixture->engine.answers[14];
  const float right = logits[1000];
  const double whole = norm(logits);
  logits[1000] = right + (float)(0.99e-3 * whole);
  assert_true(check(fixture, POSITIONS, &err));
  logits[1000] = right - (float)(1.01e-3 * whole);
  fixture->engine.fed = 0;
  assert_false(check(fixture, POSITIONS, &err));
  assert_string_equal(err.text,
                      "GETP_PARITY: position 14: want a relative L2 error of at most 0.001, "
                      "found 1.01e-03: the generated forward pass and the plain one "
                      "differ");
}

// The bound of an engine with 16-bit operands is larger.
static void halves_have_a_larger_bound(void **state) {
  struct fixture *fixture = *state;
  struct error err;
  float *logits = fixture->engine.answers[14];
  const float right = logits[1000];
  const double whole = norm(logits);
  halves = true;
  logits[1000] = right + (float)(1.49e-2 * whole);
  assert_true(check(fixture, POSITIONS, &err));
  logits[1000] = right - (float)(1.51e-2 * whole);
  fixture->engine.fed = 0;
  assert_false(check(fixture, POSITIONS, &err));
  assert_contains(err.text, "want a relative L2 error of at most 0.015, found 1.51e-02:");
  halves = false;
}

static void a_nan_is_an_error(void **state) {
  struct fixture *fixture = *state;
  struct error err;
  fixture->engine.answers[3][17] = NAN;
  fixture->engine.answers[9][17] += 100;
  assert_false(check(fixture, POSITIONS, &err));
  assert_contains(err.text, "GETP_PARITY: position 3: want a relative L2 error of at most ");
  assert_contains(err.text, "nan");
}

static void shifted_positions_are_found(void **state) {
  struct fixture *fixture = *state;
  struct error err;
  memmove(fixture->engine.answers[1], fixture->engine.answers[0],
          (POSITIONS - 1) * sizeof fixture->engine.answers[0]);
  assert_true(check(fixture, 1, &err));
  fixture->engine.fed = 0;
  assert_false(check(fixture, 2, &err));
  assert_contains(err.text, "GETP_PARITY: position 1: ");
}

static void measures_are_relative_to_the_reference(void **state) {
  struct parity_error error = {0};
  (void)state;
  parity_add(&error, 0, (float[]){3, -4, 0}, (float[]){3, -4, 0}, 3);
  assert_true(error.max_abs == 0 && error.max_rel == 0 && error.l2 == 0);
  parity_add(&error, 1, (float[]){3, -4.5f, 0}, (float[]){3, -4, 0}, 3);
  assert_true(error.max_abs == 0.5 && error.max_rel == 0.125 && error.l2 == 0.1);
  assert_int_equal(error.position, 1);
  parity_add(&error, 2, (float[]){31, -40, 0}, (float[]){30, -40, 0},
             3); // a larger error, but a smaller relative one
  assert_true(error.max_abs == 1 && error.max_rel == 0.125 && error.l2 == 0.1);
  assert_int_equal(error.position, 1);
  parity_add(&error, 3, (float[]){0, 0, 0}, (float[]){0, 0, 0}, 3);
  assert_true(error.l2 == 0.1);
  parity_add(&error, 4, (float[]){1, 0, 0}, (float[]){0, 0, 0}, 3);
  assert_true(isinf(error.l2) && isinf(error.max_rel));
  assert_int_equal(error.position, 4);
}

// A NaN on either side counts as the worst error.
static void a_nan_is_the_worst_error(void **state) {
  struct parity_error error = {0}, other = {0};
  (void)state;
  parity_add(&error, 0, (float[]){1, NAN}, (float[]){1, 2}, 2);
  parity_add(&error, 1, (float[]){9, 9}, (float[]){1, 2}, 2);
  assert_true(isnan(error.max_abs) && isnan(error.max_rel) && isnan(error.l2));
  assert_int_equal(error.position, 0);
  parity_add(&other, 5, (float[]){NAN, 1}, (float[]){NAN, 1}, 2);
  assert_true(isnan(other.l2));
  assert_int_equal(other.position, 5);
}

static void the_environment_says_how_many_positions(void **state) {
  static const char *const WRONG[] = {"",   "0",  "-1",  "x",          "3x",
                                      " 3", "+3", "1.5", "2147483648", "99999999999999999999"};
  struct error err;
  int n = 7;
  (void)state;
  unsetenv("GETP_PARITY");
  assert_true(parity_positions(&n, &err));
  assert_int_equal(n, 0);
  setenv("GETP_PARITY", "2147483647", 1);
  assert_true(parity_positions(&n, &err));
  assert_int_equal(n, INT32_MAX);
  for (size_t i = 0; i < COUNT(WRONG); i++) {
    char want[128];
    setenv("GETP_PARITY", WRONG[i], 1);
    assert_false(parity_positions(&n, &err));
    snprintf(want, sizeof want, "GETP_PARITY: want an integer from 1 to 2147483647, found \"%s\"",
             WRONG[i]);
    assert_string_equal(err.text, want);
  }
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      WITH_FIXTURE(logits_of_transformers_pass),
      WITH_FIXTURE(only_n_positions_are_checked),
      WITH_FIXTURE(one_wrong_logit_is_found),
      WITH_FIXTURE(halves_have_a_larger_bound),
      WITH_FIXTURE(a_nan_is_an_error),
      WITH_FIXTURE(shifted_positions_are_found),
      cmocka_unit_test(measures_are_relative_to_the_reference),
      cmocka_unit_test(a_nan_is_the_worst_error),
      cmocka_unit_test(the_environment_says_how_many_positions),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
