// Compiled once per tree: queues passes, from the copy of their rows to the copy of their results.
#include "engine/passes.h"

#include "arena.h"
#include "engine/memory.h"
#include "engine/schedule.h"

#include <string.h>

// A pass of `rows` rows and `outputs` outputs, or, if its steps are captured, of at most so many.
static struct pass make_pass(const struct engine *engine, int rows, int outputs) {
  const struct row_record *record = engine->rows.at; // an address on the device, never read here
  return (struct pass){
      .rows = rows,
      .outputs = outputs,
      .counts = record->counts,
      .token = record->token,
      .position = record->position,
      .slot = record->slot,
      .output_row = record->output_row,
      .group = record->group,
      .draw = engine->draws.at,
      .picked = engine->picked.at,
      .picked_before = engine->picked.at, // its first step reads them, its last one picks
      .arena = engine->arena.at,
      .kv = engine->kv.at,
      .rope_cos = engine->rope.at,
      .rope_sin = (const float *)engine->rope.at + ROPE_FLOATS,
      .weight = engine->weight,
      .stream = device_stream(engine->device),
  };
}

// The smallest bucket for n rows or outputs.
static int bucket_of(int n) {
  int b = 0;
  while (ROW_BUCKETS[b] < n)
    b++;
  return b;
}

static bool capture(struct engine *engine, const struct pass *pass, enum schedule_list list,
                    struct device_graph **graph, struct error *err) {
  if (!device_capture_begin(engine->device, err))
    return false;
  schedule_run(pass, list, NULL, NULL);
  return device_capture_end(engine->device, graph, err);
}

// Captures the graphs of all buckets and replays each once without rows, so that the device does
// its first-time work now.
static bool capture_passes(struct engine *engine, struct error *err) {
  for (int b = 0; b < ROW_BUCKET_COUNT; b++) {
    const struct pass pass = make_pass(engine, ROW_BUCKETS[b], ROW_BUCKETS[b]);
    if (!capture(engine, &pass, SCHEDULE_STEPS, &engine->steps[b], err) ||
        !capture(engine, &pass, SCHEDULE_GREEDY, &engine->greedy[b], err) ||
        !device_graph_launch(engine->device, engine->steps[b], err) ||
        !device_graph_launch(engine->device, engine->greedy[b], err))
      return false;
  }
  const struct pass empty = make_pass(engine, ROW_BUCKETS[0], 1);
  schedule_run(&empty, SCHEDULE_LOGITS, NULL, NULL);
  schedule_run(&empty, SCHEDULE_SAMPLED, NULL, NULL);
  return device_wait(engine->device, err);
}

// The most steps that a pass runs. LOGITS and SAMPLED run once per LOGITS_ROWS outputs.
static int max_steps(void) {
  const int greedy = schedule_steps(SCHEDULE_GREEDY);
  const int sampled = (LIMIT_ROWS + LOGITS_ROWS - 1) / LOGITS_ROWS *
                      (schedule_steps(SCHEDULE_LOGITS) + schedule_steps(SCHEDULE_SAMPLED));
  return schedule_steps(SCHEDULE_STEPS) + (greedy > sampled ? greedy : sampled);
}

bool passes_prepare(struct engine *engine, struct error *err) {
  if (engine->timer)
    return timing_open(&engine->timing, engine->device, max_steps(), engine->began, engine->timer,
                       engine->timer_context, err);
  return !STEPS_CAPTURED || capture_passes(engine, err);
}

void passes_drop(struct engine *engine) {
  for (int b = 0; b < ROW_BUCKET_COUNT; b++) {
    device_graph_destroy(engine->steps[b]);
    device_graph_destroy(engine->greedy[b]);
    engine->steps[b] = engine->greedy[b] = NULL;
  }
  timing_close(engine->timing);
  engine->timing = NULL;
}

int passes_group(const struct engine_rows *rows, int32_t *group) {
  int n = 0;
  for (int r = 0; r < rows->rows; r++) {
    const bool follows = r > 0 && rows->slot[r] == rows->slot[r - 1] &&
                         rows->position[r] == rows->position[r - 1] + 1;
    if (!follows || r - group[n - 1] == GROUP_ROWS)
      group[n++] = r;
  }
  group[n] = rows->rows;
  return n;
}

// Whether an output is drawn, not picked greedily.
static bool any_drawn(const struct engine_rows *rows) {
  for (int i = 0; i < rows->outputs; i++)
    if (rows->draw[i].sharpness != 0)
      return true;
  return false;
}

// Fills in the row record of the next pass and starts its copy to the device.
static bool send_rows(struct engine *engine, const struct engine_rows *rows, struct error *err) {
  struct row_record *record = engine->host_rows[engine->submitted % ENGINE_PASSES].at;
  const size_t bytes = (size_t)rows->rows * sizeof *rows->token;
  memcpy(record->token, rows->token, bytes);
  memcpy(record->position, rows->position, bytes);
  memcpy(record->slot, rows->slot, bytes);
  memcpy(record->output_row, rows->output_row, (size_t)rows->outputs * sizeof *rows->output_row);
  record->counts[PASS_ROWS] = rows->rows;
  record->counts[PASS_OUTPUTS] = rows->outputs;
  record->counts[PASS_GROUPS] = passes_group(rows, record->group);
  if (engine->timing) {
    const struct schedule_load load =
        schedule_load(record->counts, record->position, record->group);
    timing_begin(engine->timing);
    timing_load(engine->timing, &load);
  }
  return device_upload(engine->device, engine->rows.at, record, ROWS_BYTES, err);
}

static bool send_draws(struct engine *engine, const struct engine_rows *rows, struct error *err) {
  void *draws = engine->host_draws[engine->submitted % ENGINE_PASSES].at;
  const size_t bytes = (size_t)rows->outputs * sizeof *rows->draw;
  memcpy(draws, rows->draw, bytes);
  return device_upload(engine->device, engine->draws.at, draws, bytes, err);
}

// Runs a list step by step, without a graph.
static void launch(struct engine *engine, const struct pass *pass, enum schedule_list list) {
  schedule_run(pass, list, engine->timing ? timing_step : NULL, engine->timing);
}

// Runs a captured list in the bucket of n rows or outputs: replays its graph, unless the engine is
// timed.
static bool run_bucket(struct engine *engine, enum schedule_list list, int n, struct error *err) {
  const int b = bucket_of(n);
  const struct pass pass = make_pass(engine, ROW_BUCKETS[b], ROW_BUCKETS[b]);
  if (!engine->timing)
    return device_graph_launch(engine->device,
                               list == SCHEDULE_STEPS ? engine->steps[b] : engine->greedy[b], err);
  launch(engine, &pass, list);
  return true;
}

// Computes whole logits and draws from them if `drawn`, for LOGITS_ROWS outputs at a time.
static void run_logits(struct engine *engine, const struct engine_rows *rows, bool drawn) {
  struct pass pass = make_pass(engine, ROW_BUCKETS[bucket_of(rows->rows)], 0);
  for (; pass.first_output < rows->outputs; pass.first_output += LOGITS_ROWS) {
    const int left = rows->outputs - pass.first_output;
    pass.outputs = left < LOGITS_ROWS ? left : LOGITS_ROWS;
    launch(engine, &pass, SCHEDULE_LOGITS);
    if (drawn)
      launch(engine, &pass, SCHEDULE_SAMPLED);
  }
}

static bool run_pass(struct engine *engine, const struct engine_rows *rows,
                     enum engine_result result, bool drawn, struct error *err) {
  if (!STEPS_CAPTURED) {
    const struct pass pass = make_pass(engine, rows->rows, rows->outputs);
    launch(engine, &pass, SCHEDULE_STEPS);
    return true;
  }
  if (!run_bucket(engine, SCHEDULE_STEPS, rows->rows, err))
    return false;
  if (rows->outputs > 0 && result == ENGINE_PICKED && !drawn)
    return run_bucket(engine, SCHEDULE_GREEDY, rows->outputs, err);
  run_logits(engine, rows, drawn);
  return true;
}

// Starts the copy of the results to the host; returns where they arrive.
static const void *request_results(struct engine *engine, int outputs, enum engine_result result,
                                   struct error *err) {
  const char *arena = engine->arena.at;
  const size_t n = (size_t)outputs;
  if (result == ENGINE_PICKED)
    return device_download(engine->device, engine->picked.at, n * sizeof(int32_t),
                           engine->host_picked[engine->submitted % ENGINE_PASSES].at, err);
  if (!engine->host_logits.at && // allocated late: few jobs need them, and pinning is slow
      !memory_alloc_host(engine, &engine->host_logits, LOGITS_BYTES, "logits", err))
    return NULL;
  return device_download(engine->device, arena + BUF_LOGITS, n * MODEL_VOCAB * sizeof(float),
                         engine->host_logits.at, err);
}

bool passes_submit(struct engine *engine, const struct engine_rows *rows, enum engine_result result,
                   struct error *err) {
  const int pass = (int)(engine->submitted % ENGINE_PASSES);
  const bool drawn = result == ENGINE_PICKED && any_drawn(rows);
  if (engine->timing && !timing_enter(engine->timing, err))
    return false;
  if (!send_rows(engine, rows, err) || (drawn && !send_draws(engine, rows, err)) ||
      !run_pass(engine, rows, result, drawn, err))
    return false;
  const void *results = request_results(engine, rows->outputs, result, err);
  engine->in_flight[pass] = (struct pass_in_flight){result, results};
  return results && device_mark(engine->device, pass, err) &&
         (!engine->timing || timing_leave(engine->timing, "submit", err));
}
