// Continuous batching over a fake engine whose next token is a hash of everything that the slot was
// fed: a row that comes twice, late, or to the wrong slot changes what follows.
#include "batch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

enum { VOCAB = 50, SLOTS = 4, CONTEXT = 64, ROWS = 8, CHUNK = 6, STOP = 0 };

struct engine {
  uint32_t hash[SLOTS];
  int fed[SLOTS];
  float logits[ROWS][VOCAB];
  int passes, widest, longest; // rows of a pass, rows of a slot in a pass
};

static uint32_t step(uint32_t hash, int32_t token) {
  return (hash ^ (uint32_t)token) * 2654435761u + 12345u;
}

struct engine_limits engine_limits(void) {
  return (struct engine_limits){VOCAB, SLOTS, CONTEXT, ROWS, CHUNK, CONTEXT};
}

const float *engine_logits(const struct engine *engine, int output) {
  return engine->logits[output];
}

static void feed(struct engine *engine, const struct engine_rows *rows, int r) {
  const int slot = rows->slot[r];
  assert_in_range(slot, 0, SLOTS - 1);
  if (rows->position[r] == 0) {
    engine->hash[slot] = 1;
    engine->fed[slot] = 0;
  }
  assert_int_equal(rows->position[r], engine->fed[slot]);
  engine->hash[slot] = step(engine->hash[slot], rows->token[r]);
  engine->fed[slot]++;
}

bool engine_pass(struct engine *engine, const struct engine_rows *rows, struct error *err) {
  int output = 0, of_slot[SLOTS] = {0};
  (void)err;
  engine->passes++;
  assert_in_range(rows->rows, 1, ROWS);
  for (int r = 0; r < rows->rows; r++) {
    feed(engine, rows, r);
    const int count = ++of_slot[rows->slot[r]];
    engine->longest = count > engine->longest ? count : engine->longest;
    if (output < rows->outputs && rows->output_row[output] == r) {
      memset(engine->logits[output], 0, sizeof engine->logits[output]);
      engine->logits[output++][engine->hash[rows->slot[r]] >> 8 & 31] = 1;
    }
  }
  assert_int_equal(output, rows->outputs);
  engine->widest = rows->rows > engine->widest ? rows->rows : engine->widest;
  return true;
}

// The output of a request alone, straight from the hash.
static int expect(const int32_t *prompt, int n, int limit, int32_t *output) {
  uint32_t hash = 1;
  int count = 0;
  for (int i = 0; i < n; i++)
    hash = step(hash, prompt[i]);
  while (n + count < limit) {
    output[count++] = (int32_t)(hash >> 8 & 31);
    if (output[count - 1] == STOP)
      break;
    hash = step(hash, output[count - 1]);
  }
  return count;
}

enum { REQUESTS = 23 };

struct work {
  int32_t prompts[REQUESTS][CONTEXT], outputs[REQUESTS][CONTEXT];
  struct request requests[REQUESTS];
  int finished, tokens, logits, stop_after;
};

static void make_work(struct work *work) {
  uint32_t random = 99;
  memset(work, 0, sizeof *work);
  for (int i = 0; i < REQUESTS; i++) {
    const int n = 1 + i * 7 % 30;
    for (int t = 0; t < n; t++)
      work->prompts[i][t] = (int32_t)((random = random * 1664525u + 1013904223u) >> 8 & 31);
    work->requests[i] = (struct request){.prompt = work->prompts[i],
                                         .n_prompt = n,
                                         .limit = i % 5 == 4 ? n : n + i % 9 + 1,
                                         .output = work->outputs[i],
                                         .stream = (uint64_t)i};
  }
}

static bool on_token(void *context, const struct request *request, struct error *err) {
  struct work *work = context;
  (void)request;
  (void)err;
  work->tokens++;
  return true;
}

static bool on_finished(void *context, const struct request *request, struct error *err) {
  struct work *work = context;
  (void)err;
  assert_true(request->done);
  work->finished++;
  return true;
}

static bool on_logits(void *context, const struct request *request, int position,
                      const float *logits, struct error *err) {
  struct work *work = context;
  uint32_t hash = 1;
  (void)err;
  for (int i = 0; i <= position; i++)
    hash = step(hash, request->prompt[i]);
  assert_true(logits[hash >> 8 & 31] == 1);
  work->logits++;
  return true;
}

static bool go_on(void *context) {
  struct work *work = context;
  return work->stop_after-- > 0;
}

static void run(struct work *work, struct engine *engine, int slots, int chunk,
                const struct batch_events *events) {
  static const struct stop_ids stop = {1, {STOP}};
  struct sampler sampler;
  struct error err;
  memset(engine, 0, sizeof *engine);
  assert_true(sampler_open(&sampler, 0, 0, 1, VOCAB, &err));
  const struct batch_options options = {slots, chunk, &sampler, &stop};
  assert_true(batch_run(engine, work->requests, REQUESTS, &options, events, &err));
  sampler_close(&sampler);
}

static void outputs_do_not_depend_on_slots_and_chunks(void **state) {
  static struct work work;
  static struct engine engine;
  const struct batch_events events = {.context = &work, .token = on_token, .finished = on_finished};
  (void)state;
  for (int slots = 1; slots <= SLOTS; slots++)
    for (int chunk = 1; chunk <= CHUNK; chunk++) {
      int tokens = 0;
      make_work(&work);
      run(&work, &engine, slots, chunk, &events);
      for (int i = 0; i < REQUESTS; i++) {
        const struct request *request = &work.requests[i];
        int32_t want[CONTEXT];
        const int n = expect(request->prompt, request->n_prompt, request->limit, want);
        assert_int_equal(request->n_output, n);
        assert_memory_equal(request->output, want, (size_t)n * sizeof *want);
        tokens += n;
      }
      assert_int_equal(work.finished, REQUESTS);
      assert_int_equal(work.tokens, tokens);
      assert_true(engine.longest <= chunk);
    }
}

static void passes_are_filled(void **state) {
  static struct work work;
  static struct engine engine;
  const struct batch_events events = {.context = &work};
  (void)state;
  make_work(&work);
  run(&work, &engine, SLOTS, CHUNK, &events);
  assert_int_equal(engine.widest, ROWS);
  const int wide = engine.passes;
  make_work(&work);
  run(&work, &engine, 1, CHUNK, &events);
  assert_true(engine.passes > 2 * wide);
}

static void logits_of_every_position(void **state) {
  static struct work work;
  static struct engine engine;
  const struct batch_events events = {
      .context = &work, .logits = on_logits, .finished = on_finished};
  int positions = 0;
  (void)state;
  make_work(&work);
  for (int i = 0; i < REQUESTS; i++) {
    work.requests[i].limit = work.requests[i].n_prompt;
    positions += work.requests[i].n_prompt;
  }
  run(&work, &engine, 3, 4, &events);
  assert_int_equal(work.logits, positions);
  assert_int_equal(work.finished, REQUESTS);
}

static void stopping_leaves_the_rest_undone(void **state) {
  static struct work work;
  static struct engine engine;
  const struct batch_events events = {.context = &work, .finished = on_finished, .go_on = go_on};
  int done = 0;
  (void)state;
  make_work(&work);
  work.stop_after = 9;
  run(&work, &engine, 2, CHUNK, &events);
  assert_int_equal(engine.passes, 9);
  for (int i = 0; i < REQUESTS; i++)
    done += work.requests[i].done;
  assert_int_equal(done, work.finished);
  assert_in_range(done, 1, REQUESTS - 1);
}

static void cached_positions_are_not_fed_again(void **state) {
  static struct work work;
  static struct engine engine;
  static const struct stop_ids stop = {1, {STOP}};
  const struct batch_events events = {.context = &work};
  struct sampler sampler;
  struct error err;
  int32_t want[CONTEXT];
  (void)state;
  make_work(&work);
  struct request request = work.requests[3];
  memset(&engine, 0, sizeof engine);
  assert_true(sampler_open(&sampler, 0, 0, 1, VOCAB, &err));
  const struct batch_options options = {1, CHUNK, &sampler, &stop};
  engine.hash[0] = 1;
  for (int i = 0; i < request.n_prompt - 2; i++)
    engine.hash[0] = step(engine.hash[0], request.prompt[i]);
  request.cached = engine.fed[0] = request.n_prompt - 2;
  assert_true(batch_run(&engine, &request, 1, &options, &events, &err));
  const int n = expect(request.prompt, request.n_prompt, request.limit, want);
  assert_int_equal(request.n_output, n);
  assert_memory_equal(request.output, want, (size_t)n * sizeof *want);
  sampler_close(&sampler);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(outputs_do_not_depend_on_slots_and_chunks),
      cmocka_unit_test(passes_are_filled),
      cmocka_unit_test(logits_of_every_position),
      cmocka_unit_test(stopping_leaves_the_rest_undone),
      cmocka_unit_test(cached_positions_are_not_fed_again),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
