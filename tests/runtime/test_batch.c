// Continuous batching over a fake engine. Its next token is a hash of all tokens that the slot has
// read, so a row that comes twice, late or to the wrong slot changes the output. Like a device, it
// may run a pass as late as it is collected, and reads handed tokens itself.
#include "formats/handed_token.h"
#include "serve/batch.h"

#include "support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
  VOCAB = 50,
  SLOTS = 4,
  CONTEXT = 64,
  ROWS = 8,
  CHUNK = 6,
  STOP = 0,
  REQUESTS = 23,
  SEED = 1
};

struct pass {
  enum engine_result result;
  int rows, outputs;
  int32_t token[ROWS], position[ROWS], slot[ROWS], output_row[ROWS];
  struct draw draw[ROWS];
};

struct engine {
  uint32_t hash[SLOTS];
  int fed[SLOTS];
  struct pass passes[ENGINE_PASSES];
  int submitted, collected; // passes
  int32_t picked[ROWS];     // by the last pass that was run
  float logits[ROWS][VOCAB];
  int most;                      // most passes under way
  int rows;                      // of all passes
  int widest, longest;           // most rows of a pass, and of a slot in a pass
  int fail_submit, fail_collect; // number of the first call that fails, from 1 on; 0: none does
  int32_t spoiled;               // an id that is never picked: the logits are NaN; 0: none
  bool dirty[SLOTS];             // a spoiled sequence had the slot
};

// The limits of the engine; a test sets them.
static struct engine_limits limits;

struct engine_limits engine_limits(void) {
  return limits;
}

static uint32_t add_to_hash(uint32_t hash, int32_t token) {
  return (hash ^ (uint32_t)token) * 2654435761u + 12345u;
}

static int32_t next_token(uint32_t hash) {
  return (int32_t)(hash >> 8 & 31);
}

bool engine_submit(struct engine *engine, const struct engine_rows *rows, enum engine_result result,
                   struct error *err) {
  const int under_way = engine->submitted - engine->collected;
  struct pass *pass = &engine->passes[engine->submitted % ENGINE_PASSES];
  if (engine->fail_submit > 0 && engine->submitted + 1 >= engine->fail_submit)
    return fail(err, "the fake submit fails");
  assert_in_range(rows->rows, 1, ROWS);
  assert_true(under_way < ENGINE_PASSES && (result != ENGINE_LOGITS || under_way == 0));
  assert_true(result == ENGINE_LOGITS ? rows->outputs <= limits.logits : limits.picks);
  *pass = (struct pass){.result = result, .rows = rows->rows, .outputs = rows->outputs};
  const size_t bytes = (size_t)rows->rows * sizeof *rows->token;
  memcpy(pass->token, rows->token, bytes);
  memcpy(pass->position, rows->position, bytes);
  memcpy(pass->slot, rows->slot, bytes);
  memcpy(pass->output_row, rows->output_row, (size_t)rows->outputs * sizeof *rows->output_row);
  if (result == ENGINE_PICKED)
    memcpy(pass->draw, rows->draw, (size_t)rows->outputs * sizeof *rows->draw);
  engine->submitted++;
  engine->most = under_way + 1 > engine->most ? under_way + 1 : engine->most;
  return true;
}

static void read_row(struct engine *engine, const struct pass *pass, int r) {
  const int slot = pass->slot[r];
  const int32_t token = pass->token[r];
  assert_in_range(slot, 0, SLOTS - 1);
  if (pass->position[r] == 0) {
    assert_false(engine->dirty[slot]);
    engine->hash[slot] = 1;
    engine->fed[slot] = 0;
  }
  assert_int_equal(pass->position[r], engine->fed[slot]);
  engine->hash[slot] = add_to_hash(
      engine->hash[slot], IS_HANDED_TOKEN(token) ? engine->picked[HANDED_TOKEN(token)] : token);
  engine->fed[slot]++;
}

static void write_logits(struct engine *engine, int output, int32_t id) {
  memset(engine->logits[output], 0, sizeof engine->logits[output]);
  engine->logits[output][id] = id && id == engine->spoiled ? NAN : 1000; // no other id is drawn
}

bool engine_clear_slot(struct engine *engine, int slot, struct error *err) {
  (void)err;
  assert_true(engine->dirty[slot]);
  engine->dirty[slot] = false;
  return true;
}

// The random number of an output must be that of one of the requests at the next position.
static void check_draw(const struct pass *pass, int output) {
  const uint64_t next = (uint64_t)pass->position[pass->output_row[output]] + 1;
  int same = 0;
  for (uint64_t stream = 0; stream < REQUESTS; stream++)
    same += pass->draw[output].uniform == sampler_uniform(SEED, stream, next);
  assert_int_equal(same, 1);
}

static void run_pass(struct engine *engine, const struct pass *pass) {
  int output = 0, of_slot[SLOTS] = {0};
  int32_t picked[ROWS];
  for (int r = 0; r < pass->rows; r++) {
    read_row(engine, pass, r);
    const int count = ++of_slot[pass->slot[r]];
    engine->longest = count > engine->longest ? count : engine->longest;
    if (output < pass->outputs && pass->output_row[output] == r) {
      picked[output] = next_token(engine->hash[pass->slot[r]]);
      write_logits(engine, output, picked[output]);
      if (engine->spoiled && picked[output] == engine->spoiled) {
        picked[output] = PICKED_NAN;
        engine->dirty[pass->slot[r]] = true;
      }
      if (pass->result == ENGINE_PICKED)
        check_draw(pass, output);
      output++;
    }
  }
  assert_int_equal(output, pass->outputs);
  memcpy(engine->picked, picked, (size_t)output * sizeof *picked);
  engine->rows += pass->rows;
  engine->widest = pass->rows > engine->widest ? pass->rows : engine->widest;
}

bool engine_collect(struct engine *engine, struct engine_results *results, struct error *err) {
  assert_true(engine->collected < engine->submitted);
  const struct pass *pass = &engine->passes[engine->collected++ % ENGINE_PASSES];
  if (engine->fail_collect > 0 && engine->collected >= engine->fail_collect)
    return fail(err, "the fake collect fails");
  run_pass(engine, pass);
  *results = (struct engine_results){
      .logits = pass->result == ENGINE_LOGITS ? engine->logits[0] : NULL,
      .picked = pass->result == ENGINE_PICKED ? engine->picked : NULL,
  };
  return true;
}

// Computes the output of a request directly from the hash.
static int expect(const int32_t *prompt, int n, int limit, int32_t *output) {
  uint32_t hash = 1;
  int count = 0;
  for (int i = 0; i < n; i++)
    hash = add_to_hash(hash, prompt[i]);
  while (n + count < limit) {
    output[count++] = next_token(hash);
    if (output[count - 1] == STOP)
      break;
    hash = add_to_hash(hash, output[count - 1]);
  }
  return count;
}

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
                                         .max_tokens = i % 5 == 4 ? n : n + i % 9 + 1,
                                         .output = work->outputs[i],
                                         .stream = (uint64_t)i};
  }
}

static bool on_token(void *context, const struct request *request, struct error *err) {
  struct work *work = context;
  (void)request;
  return ++work->tokens != work->stop_after ? true : fail(err, "enough tokens");
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
    hash = add_to_hash(hash, request->prompt[i]);
  assert_true(logits[next_token(hash)] == 1000);
  work->logits++;
  return true;
}

static bool go_on(void *context) {
  struct work *work = context;
  return work->stop_after-- > 0;
}

// The ways to get the next token: from whole logits, which every engine has, or picked by the
// device; greedily or drawn.
enum way { FROM_LOGITS, PICKED, DRAWN_FROM_LOGITS, DRAWN, WAYS };

static bool try_run(struct work *work, struct engine *engine, enum way way, int slots, int chunk,
                    const struct batch_events *events, struct error *err) {
  static const struct stop_ids stop = {1, {STOP}};
  const bool picks = way == PICKED || way == DRAWN;
  const struct sampling sampling = {.temperature = way >= DRAWN_FROM_LOGITS, .seed = SEED};
  struct sampler sampler;
  limits = (struct engine_limits){.vocab = VOCAB,
                                  .slots = SLOTS,
                                  .context = CONTEXT,
                                  .rows = ROWS,
                                  .chunk = CHUNK,
                                  .rewind = CONTEXT,
                                  .logits = picks ? 3 : ROWS,
                                  .picks = picks};
  assert_true(sampler_open(&sampler, &sampling, VOCAB, err));
  const struct batch_options options = {slots, chunk, &sampler, &stop};
  const bool ok = batch_run(engine, work->requests, REQUESTS, &options, events, err);
  assert_int_equal(engine->submitted, engine->collected);
  sampler_close(&sampler);
  return ok;
}

static void run(struct work *work, struct engine *engine, enum way way, int slots, int chunk,
                const struct batch_events *events) {
  struct error err;
  memset(engine, 0, sizeof *engine);
  assert_true(try_run(work, engine, way, slots, chunk, events, &err));
}

// Asserts that the tokens of a request are the first ones of its output, or all if it is done.
static void assert_begins(const struct request *request) {
  int32_t want[CONTEXT];
  const int n = expect(request->prompt, request->n_prompt, request->max_tokens, want);
  assert_true(request->done ? request->n_output == n : n == 0 || request->n_output < n);
  assert_memory_equal(request->output, want, (size_t)request->n_output * sizeof *want);
}

static void outputs_do_not_depend_on_slots_and_chunks(void **state) {
  static struct work work;
  static struct engine engine;
  const struct batch_events events = {.context = &work, .token = on_token, .finished = on_finished};
  (void)state;
  for (int run_number = 0; run_number < WAYS * SLOTS * CHUNK; run_number++) {
    const int slots = 1 + run_number / WAYS % SLOTS, chunk = 1 + run_number / WAYS / SLOTS;
    int tokens = 0;
    make_work(&work);
    run(&work, &engine, run_number % WAYS, slots, chunk, &events);
    for (int i = 0; i < REQUESTS; i++) {
      assert_true(work.requests[i].done);
      assert_begins(&work.requests[i]);
      tokens += work.requests[i].n_output;
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
  for (enum way way = FROM_LOGITS; way < WAYS; way++) {
    make_work(&work);
    run(&work, &engine, way, SLOTS, CHUNK, &events);
    assert_int_equal(engine.widest, ROWS);
    const int wide = engine.submitted;
    make_work(&work);
    run(&work, &engine, way, 1, CHUNK, &events);
    assert_true(engine.submitted > 2 * wide);
  }
}

// Only a device that picks gets the next pass early. That wastes one row for each request that ends
// with a stop id before its limit, and no other row.
static void a_device_that_picks_is_a_pass_ahead(void **state) {
  static struct work work;
  static struct engine engine;
  const struct batch_events events = {.context = &work};
  int stopped = 0;
  (void)state;
  make_work(&work);
  run(&work, &engine, FROM_LOGITS, SLOTS, CHUNK, &events);
  const int rows = engine.rows;
  assert_int_equal(engine.most, 1);
  for (int i = 0; i < REQUESTS; i++)
    stopped += work.requests[i].n_prompt + work.requests[i].n_output < work.requests[i].max_tokens;
  assert_true(stopped > 0);
  make_work(&work);
  run(&work, &engine, DRAWN_FROM_LOGITS, SLOTS, CHUNK, &events);
  assert_int_equal(engine.most, 1);
  assert_int_equal(engine.rows, rows);
  for (int drawn = 0; drawn < 2; drawn++) {
    make_work(&work);
    run(&work, &engine, drawn ? DRAWN : PICKED, SLOTS, CHUNK, &events);
    assert_int_equal(engine.most, 2);
    assert_int_equal(engine.rows, rows + stopped);
  }
}

static void every_position_gets_its_logits(void **state) {
  static struct work work;
  static struct engine engine;
  const struct batch_events events = {
      .context = &work, .logits = on_logits, .finished = on_finished};
  int positions = 0;
  (void)state;
  for (enum way way = FROM_LOGITS; way < WAYS; way++) {
    make_work(&work);
    positions = 0;
    for (int i = 0; i < REQUESTS; i++) {
      work.requests[i].max_tokens = work.requests[i].n_prompt;
      positions += work.requests[i].n_prompt;
    }
    run(&work, &engine, way, SLOTS, 4, &events);
    assert_int_equal(work.logits, positions);
    assert_int_equal(work.finished, REQUESTS);
    assert_int_equal(engine.rows, positions);
    assert_true(engine.widest <= limits.logits);
  }
}

static void stopping_leaves_the_rest_undone(void **state) {
  static struct work work;
  static struct engine engine;
  const struct batch_events events = {.context = &work, .finished = on_finished, .go_on = go_on};
  (void)state;
  for (int run_number = 0; run_number < 20 * WAYS; run_number++) {
    const int passes = run_number / WAYS;
    int done = 0;
    make_work(&work);
    work.stop_after = passes;
    run(&work, &engine, run_number % WAYS, 2, CHUNK, &events);
    assert_int_equal(engine.submitted, passes);
    for (int i = 0; i < REQUESTS; i++) {
      assert_begins(&work.requests[i]);
      done += work.requests[i].done;
    }
    assert_int_equal(done, work.finished);
    assert_true(done < REQUESTS);
  }
}

// After any failure the batch ends with its message, and no pass is under way.
static void failures_leave_nothing_under_way(void **state) {
  static struct work work;
  static struct engine engine;
  const struct batch_events events = {.context = &work, .token = on_token};
  static const char *const WANT[] = {"the fake submit fails", "the fake collect fails",
                                     "enough tokens"};
  (void)state;
  for (int run_number = 0; run_number < 3 * 7 * WAYS; run_number++) {
    const int kind = run_number / WAYS % 3, when = 1 + run_number / WAYS / 3;
    struct error err;
    make_work(&work);
    engine =
        (struct engine){.fail_submit = kind == 0 ? when : 0, .fail_collect = kind == 1 ? when : 0};
    work.stop_after = kind == 2 ? when : 0;
    assert_false(try_run(&work, &engine, run_number % WAYS, 3, CHUNK, &events, &err));
    assert_string_equal(err.text, WANT[kind]);
  }
}

// Requests whose logits are NaN end there, and only they. Their slots are cleared before others get
// them.
static void a_request_without_a_next_id_fails_alone(void **state) {
  enum { SPOILED = 17 };
  static struct work work;
  static struct engine engine;
  const struct batch_events events = {.context = &work, .token = on_token, .finished = on_finished};
  (void)state;
  for (int run_number = 0; run_number < WAYS * SLOTS * 2; run_number++) {
    const int slots = 1 + run_number / WAYS % SLOTS, chunk = run_number < WAYS * SLOTS ? 2 : CHUNK;
    struct error err;
    int failed = 0;
    make_work(&work);
    engine = (struct engine){.spoiled = SPOILED};
    assert_true(try_run(&work, &engine, run_number % WAYS, slots, chunk, &events, &err));
    for (int i = 0; i < REQUESTS; i++) {
      const struct request *request = &work.requests[i];
      int32_t want[CONTEXT];
      const int all = expect(request->prompt, request->n_prompt, request->max_tokens, want);
      int n = 0;
      while (n < all && want[n] != SPOILED)
        n++;
      assert_true(request->done);
      assert_int_equal(request->n_output, n);
      assert_memory_equal(request->output, want, (size_t)n * sizeof *want);
      assert_int_equal(request->failure, n < all ? PICKED_NAN : 0);
      assert_int_equal(request_check(request, "here", &err), n == all);
      failed += n < all;
    }
    assert_in_range(failed, 2, REQUESTS / 2);
    assert_int_equal(work.finished, REQUESTS);
  }
}

static void messages_name_what_was_seen(void **state) {
  struct request request = {.n_prompt = 4, .n_output = 2, .failure = PICKED_NAN};
  struct error err;
  (void)state;
  assert_false(request_check(&request, "prompts:7", &err));
  assert_string_equal(err.text, "prompts:7: position 5: want logits that are numbers, found NaN");
  request.failure = PICKED_NOTHING;
  assert_false(request_check(&request, "prompts:7", &err));
  assert_string_equal(err.text, "prompts:7: position 5: want a logit above -inf, found none");
}

static void cached_positions_are_not_read_again(void **state) {
  static struct work work;
  static struct engine engine;
  static const struct stop_ids stop = {1, {STOP}};
  const struct batch_events events = {.context = &work};
  struct sampler sampler;
  struct error err;
  int32_t want[CONTEXT];
  (void)state;
  for (int picks = 0; picks < 2; picks++) {
    make_work(&work);
    struct request request = work.requests[3];
    memset(&engine, 0, sizeof engine);
    limits.picks = picks;
    assert_true(sampler_open(&sampler, &(struct sampling){.seed = SEED}, VOCAB, &err));
    const struct batch_options options = {1, CHUNK, &sampler, &stop};
    engine.hash[0] = 1;
    for (int i = 0; i < request.n_prompt - 2; i++)
      engine.hash[0] = add_to_hash(engine.hash[0], request.prompt[i]);
    request.cached = engine.fed[0] = request.n_prompt - 2;
    assert_true(batch_run(&engine, &request, 1, &options, &events, &err));
    const int n = expect(request.prompt, request.n_prompt, request.max_tokens, want);
    assert_int_equal(request.n_output, n);
    assert_memory_equal(request.output, want, (size_t)n * sizeof *want);
    sampler_close(&sampler);
  }
}

// A pool of as many requests as there are slots. Each is used again as soon as it has finished.
struct pool {
  struct work *work;
  struct request running[SLOTS];
  int32_t output[SLOTS][CONTEXT];
  bool used[SLOTS];
  int next; // request of the work
};

// Requests without room for an output are left out.
static bool next_of_pool(void *context, struct request **request, struct error *err) {
  struct pool *pool = context;
  const struct request *requests = pool->work->requests;
  int i = 0;
  (void)err;
  *request = NULL;
  while (pool->next < REQUESTS && requests[pool->next].n_prompt == requests[pool->next].max_tokens)
    pool->next++;
  if (pool->next == REQUESTS)
    return true;
  while (pool->used[i])
    i++;
  assert_true(i < SLOTS);
  pool->used[i] = true;
  pool->running[i] = requests[pool->next++];
  pool->running[i].output = pool->output[i];
  *request = &pool->running[i];
  return true;
}

// Compares the output with what it must be, and spoils the memory that is the caller's again.
static bool finished_in_pool(void *context, const struct request *request, struct error *err) {
  struct pool *pool = context;
  const int i = (int)(request - pool->running);
  (void)err;
  assert_true(pool->used[i]);
  assert_true(request->done);
  assert_begins(request);
  pool->used[i] = false;
  pool->work->finished++;
  memset(pool->output[i], 0xff, sizeof pool->output[i]);
  pool->running[i].prompt = NULL;
  return true;
}

// With a device that picks, a pass of the request before is still in flight when its memory is used
// for the next one.
static void requests_may_use_the_memory_of_finished_ones(void **state) {
  static struct work work;
  static struct engine engine;
  static struct pool pool;
  const struct batch_events events = {
      .context = &pool, .next = next_of_pool, .finished = finished_in_pool};
  struct error err;
  (void)state;
  for (enum way way = FROM_LOGITS; way < WAYS; way++)
    for (int slots = 1; slots <= SLOTS; slots++) {
      make_work(&work);
      memset(&engine, 0, sizeof engine);
      pool = (struct pool){.work = &work};
      assert_true(try_run(&work, &engine, way, slots, CHUNK, &events, &err));
      assert_int_equal(work.finished, REQUESTS - REQUESTS / 5);
    }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(outputs_do_not_depend_on_slots_and_chunks),
      cmocka_unit_test(passes_are_filled),
      cmocka_unit_test(a_device_that_picks_is_a_pass_ahead),
      cmocka_unit_test(every_position_gets_its_logits),
      cmocka_unit_test(stopping_leaves_the_rest_undone),
      cmocka_unit_test(failures_leave_nothing_under_way),
      cmocka_unit_test(a_request_without_a_next_id_fails_alone),
      cmocka_unit_test(messages_name_what_was_seen),
      cmocka_unit_test(cached_positions_are_not_read_again),
      cmocka_unit_test(requests_may_use_the_memory_of_finished_ones),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
