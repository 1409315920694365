// The parity check over a fake engine that answers with the logits of HF transformers, and with
// errors planted in them; its measures against values worked out by hand.
#include "reference/parity.h"

#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MODEL "tests/models/abacus"

enum { VOCAB = 1024, SLOTS = 2, CONTEXT = 64, ROWS = 8, CHUNK = 5, POSITIONS = 15 };

// Answers position p with row p of `answers`.
struct engine {
  float answers[POSITIONS][VOCAB];
  float logits[ROWS][VOCAB];
  int fed;
};

static bool halves; // what the engine says of itself

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
  struct safetensors *checkpoint;
  struct model_config config;
  int32_t ids[POSITIONS];
};

static int set_up(void **state) {
  struct fixture *fixture = calloc(1, sizeof *fixture);
  struct error err;
  assert_non_null(fixture);
  *state = fixture;
  assert_true(model_config_read(&fixture->config, MODEL, &err));
  assert_true(safetensors_open(&fixture->checkpoint, MODEL, &err));
  assert_int_equal(fixture->config.vocab, VOCAB);
  json_t *reference = json_load_file(MODEL "/reference.json", 0, NULL);
  const json_t *first = json_array_get(json_object_get(reference, "sequences"), 0);
  assert_int_equal(json_array_size(first), POSITIONS);
  for (size_t i = 0; i < POSITIONS; i++)
    fixture->ids[i] = (int32_t)json_integer_value(json_array_get(first, i));
  json_decref(reference);
  FILE *file = fopen(MODEL "/logits.f32", "rb");
  assert_non_null(file);
  assert_int_equal(fread(fixture->engine.answers, VOCAB * sizeof(float), POSITIONS, file),
                   POSITIONS);
  fclose(file);
  return 0;
}

static int tear_down(void **state) {
  struct fixture *fixture = *state;
  safetensors_close(fixture->checkpoint);
  free(fixture);
  return 0;
}

static bool check(struct fixture *fixture, int n, struct error *err) {
  const struct stop_ids stop = {0};
  const struct batch_options options = {.slots = SLOTS, .chunk = CHUNK, .stop = &stop};
  return parity_check(&fixture->engine, &options, fixture->checkpoint, &fixture->config,
                      fixture->ids, n, err);
}

static void test_transformers_pass(void **state) {
  struct fixture *fixture = *state;
  struct error err;
  assert_true(check(fixture, POSITIONS, &err));
  assert_int_equal(fixture->engine.fed, POSITIONS);
}

// Only the first n positions are looked at.
static void test_n(void **state) {
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

// One logit of one position is off, by a little less and a little more than the bound.
static void test_one_logit(void **state) {
  struct fixture *fixture = *state;
  struct error err;
  float *row = fixture->engine.answers[14];
  const float right = row[1000];
  const double whole = norm(row);
  row[1000] = right + (float)(0.99e-3 * whole);
  assert_true(check(fixture, POSITIONS, &err));
  row[1000] = right - (float)(1.01e-3 * whole);
  fixture->engine.fed = 0;
  assert_false(check(fixture, POSITIONS, &err));
  assert_string_equal(err.text,
                      "GETP_PARITY: position 14: want a relative L2 error of at most 0.001, "
                      "found 1.01e-03: the generated forward pass and the plain one "
                      "differ");
}

// The same of an engine with halves.
static void test_one_logit_of_halves(void **state) {
  struct fixture *fixture = *state;
  struct error err;
  float *row = fixture->engine.answers[14];
  const float right = row[1000];
  const double whole = norm(row);
  halves = true;
  row[1000] = right + (float)(1.49e-2 * whole);
  assert_true(check(fixture, POSITIONS, &err));
  row[1000] = right - (float)(1.51e-2 * whole);
  fixture->engine.fed = 0;
  assert_false(check(fixture, POSITIONS, &err));
  assert_non_null(strstr(err.text, "want a relative L2 error of at most 0.015, found 1.51e-02:"));
  halves = false;
}

static void test_not_a_number(void **state) {
  struct fixture *fixture = *state;
  struct error err;
  fixture->engine.answers[3][17] = NAN;
  fixture->engine.answers[9][17] += 100;
  assert_false(check(fixture, POSITIONS, &err));
  assert_non_null(
      strstr(err.text, "GETP_PARITY: position 3: want a relative L2 error of at most "));
  assert_non_null(strstr(err.text, "nan"));
}

static void test_shifted_positions(void **state) {
  struct fixture *fixture = *state;
  struct error err;
  memmove(fixture->engine.answers[1], fixture->engine.answers[0],
          (POSITIONS - 1) * sizeof fixture->engine.answers[0]);
  assert_true(check(fixture, 1, &err));
  fixture->engine.fed = 0;
  assert_false(check(fixture, 2, &err));
  assert_non_null(strstr(err.text, "GETP_PARITY: position 1: "));
}

static void test_measures(void **state) {
  struct parity_error error = {0};
  (void)state;
  parity_add(&error, 0, (float[]){3, -4, 0}, (float[]){3, -4, 0}, 3);
  assert_true(error.max_abs == 0 && error.max_rel == 0 && error.l2 == 0);
  parity_add(&error, 1, (float[]){3, -4.5f, 0}, (float[]){3, -4, 0}, 3);
  assert_true(error.max_abs == 0.5 && error.max_rel == 0.125 && error.l2 == 0.1);
  assert_int_equal(error.position, 1);
  parity_add(&error, 2, (float[]){31, -40, 0}, (float[]){30, -40, 0},
             3); // larger, but relatively not
  assert_true(error.max_abs == 1 && error.max_rel == 0.125 && error.l2 == 0.1);
  assert_int_equal(error.position, 1);
  parity_add(&error, 3, (float[]){0, 0, 0}, (float[]){0, 0, 0}, 3);
  assert_true(error.l2 == 0.1);
  parity_add(&error, 4, (float[]){1, 0, 0}, (float[]){0, 0, 0}, 3);
  assert_true(isinf(error.l2) && isinf(error.max_rel));
  assert_int_equal(error.position, 4);
}

// A NaN on either side stays the worst.
static void test_measures_of_nan(void **state) {
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

static void test_environment(void **state) {
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
  for (size_t i = 0; i < sizeof WRONG / sizeof *WRONG; i++) {
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
      WITH_FIXTURE(test_transformers_pass), WITH_FIXTURE(test_n),
      WITH_FIXTURE(test_one_logit),         WITH_FIXTURE(test_one_logit_of_halves),
      WITH_FIXTURE(test_not_a_number),      WITH_FIXTURE(test_shifted_positions),
      cmocka_unit_test(test_measures),      cmocka_unit_test(test_measures_of_nan),
      cmocka_unit_test(test_environment),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
