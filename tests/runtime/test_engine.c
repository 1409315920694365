// An engine's life, on the tree of abacus: warm_up and finish in any order, and nothing left
// behind.
#include "engine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 3 };

struct fixture {
  struct safetensors *checkpoint;
  struct engine *engine;
};

static int setup(void **state) {
  struct fixture *fixture = calloc(1, sizeof *fixture);
  struct error err;
  assert_true(safetensors_open(&fixture->checkpoint, "tests/models/abacus", &err));
  fixture->engine = engine_create();
  assert_non_null(fixture->engine);
  *state = fixture;
  return 0;
}

static int teardown(void **state) {
  struct fixture *fixture = *state;
  engine_destroy(fixture->engine);
  safetensors_close(fixture->checkpoint);
  free(fixture);
  return 0;
}

// Logits after "296 268 220", the beginning of the first reference sequence.
static void run_pass(struct engine *engine, float *logits) {
  int32_t token[ROWS] = {296, 268, 220}, position[ROWS] = {0, 1, 2}, slot[ROWS] = {0};
  int32_t output_row[1] = {ROWS - 1};
  const struct engine_rows rows = {ROWS, 1, token, position, slot, output_row};
  struct error err;
  assert_true(engine_pass(engine, &rows, &err));
  memcpy(logits, engine_logits(engine, 0), (size_t)engine_limits().vocab * sizeof *logits);
}

static void warm_up_and_finish_alternate(void **state) {
  struct fixture *fixture = *state;
  struct error err;
  const size_t vocab = (size_t)engine_limits().vocab;
  float *first = calloc(vocab, sizeof *first), *again = calloc(vocab, sizeof *again);
  for (int i = 0; i < 3; i++) {
    assert_true(engine_warm_up(fixture->engine, fixture->checkpoint, &err));
    assert_true(engine_warm_up(fixture->engine, fixture->checkpoint, &err));
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
  const struct engine_rows none = {0};
  struct error err;
  engine_finish(fixture->engine);
  assert_false(engine_pass(fixture->engine, &none, &err));
  assert_string_equal(err.text, "a pass before warm_up");
}

static void a_checkpoint_of_another_shape_leaves_it_cold(void **state) {
  struct fixture *fixture = *state;
  const struct engine_rows none = {0};
  struct safetensors *other;
  struct error err;
  assert_true(safetensors_open(&other, "tests/models/rand_mxfp4", &err));
  assert_false(engine_warm_up(fixture->engine, other, &err));
  assert_non_null(strstr(err.text, "model.embed_tokens.weight"));
  assert_false(engine_pass(fixture->engine, &none, &err));
  assert_true(engine_warm_up(fixture->engine, fixture->checkpoint, &err));
  safetensors_close(other);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(warm_up_and_finish_alternate, setup, teardown),
      cmocka_unit_test_setup_teardown(a_cold_engine_refuses_a_pass, setup, teardown),
      cmocka_unit_test_setup_teardown(a_checkpoint_of_another_shape_leaves_it_cold, setup,
                                      teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
