// Compiled once per tree: passes from their rows to where their results will be.
#include "engine/passes.h"

#include "arena.h"
#include "engine/memory.h"
#include "engine/schedule.h"

#include <string.h>

#ifndef BUF_CANDIDATES
#define BUF_CANDIDATES 0 // this tree makes none
#endif

// A pass of so many rows and outputs; in a tree whose steps are captured, at most so many.
static struct pass describe_pass(const struct engine *engine, int rows, int outputs) {
  const struct row_record *record = engine->rows.at; // its address on the device
  return (struct pass){
      .rows = rows,
      .outputs = outputs,
      .counts = record->counts,
      .token = record->token,
      .position = record->position,
      .slot = record->slot,
      .output_row = record->output_row,
      .group = record->group,
      .picked = engine->picked.at,
      .picked_before = engine->picked.at, // a pass reads them first and picks last
      .arena = engine->arena.at,
      .kv = engine->kv.at,
      .workspace = engine->workspace.at,
      .workspace_bytes = WORKSPACE_BYTES,
      .rope_cos = engine->rope.at,
      .rope_sin = (const float *)engine->rope.at + ROPE_FLOATS,
      .weight = engine->weight,
      .stream = device_stream(engine->device),
  };
}

// The smallest bucket that holds n.
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

// Captures what every pass needs, and runs it once on no rows: what a device does only the first
// time is then done.
static bool capture_passes(struct engine *engine, struct error *err) {
  for (int b = 0; b < ROW_BUCKET_COUNT; b++) {
    const struct pass pass = describe_pass(engine, ROW_BUCKETS[b], ROW_BUCKETS[b]);
    if (!capture(engine, &pass, SCHEDULE_STEPS, &engine->steps[b], err) ||
        !capture(engine, &pass, SCHEDULE_GREEDY, &engine->greedy[b], err) ||
        !device_graph_launch(engine->device, engine->steps[b], err) ||
        !device_graph_launch(engine->device, engine->greedy[b], err))
      return false;
  }
  const struct pass none = describe_pass(engine, ROW_BUCKETS[0], 1);
  schedule_run(&none, SCHEDULE_LOGITS, NULL, NULL);
  schedule_run(&none, SCHEDULE_SAMPLED, NULL, NULL);
  return device_wait(engine->device, err);
}

// The most steps that a pass runs: whole logits are made, and sampled, a piece at a time.
static int most_steps(void) {
  const int greedy = schedule_steps(SCHEDULE_GREEDY);
  const int piece = schedule_steps(SCHEDULE_LOGITS) + schedule_steps(SCHEDULE_SAMPLED);
  const int pieces = (LIMIT_ROWS + LOGITS_ROWS - 1) / LOGITS_ROWS * piece;
  return schedule_steps(SCHEDULE_STEPS) + (greedy > pieces ? greedy : pieces);
}

bool passes_prepare(struct engine *engine, struct error *err) {
  if (engine->timer)
    return timing_open(&engine->timing, engine->device, most_steps(), engine->began, engine->timer,
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

// Cuts the rows into groups that attention takes together; returns how many.
static int group_rows(const struct engine_rows *rows, int32_t *group) {
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

static bool put_rows(struct engine *engine, const struct engine_rows *rows, struct error *err) {
  struct row_record *record = engine->host_rows[engine->submitted % ENGINE_PASSES].at;
  const size_t bytes = (size_t)rows->rows * sizeof *rows->token;
  memcpy(record->token, rows->token, bytes);
  memcpy(record->position, rows->position, bytes);
  memcpy(record->slot, rows->slot, bytes);
  memcpy(record->output_row, rows->output_row, (size_t)rows->outputs * sizeof *rows->output_row);
  record->counts[PASS_ROWS] = rows->rows;
  record->counts[PASS_OUTPUTS] = rows->outputs;
  record->counts[PASS_GROUPS] = group_rows(rows, record->group);
  if (engine->timing) {
    const struct schedule_load load =
        schedule_load(record->counts, record->position, record->group);
    timing_begin(engine->timing);
    timing_load(engine->timing, &load);
  }
  return device_upload(engine->device, engine->rows.at, record, ROWS_BYTES, err);
}

// Runs a list launch by launch.
static void launch(struct engine *engine, const struct pass *pass, enum schedule_list list) {
  schedule_run(pass, list, engine->timing ? timing_step : NULL, engine->timing);
}

// Runs a list on at most n rows or outputs: where it was captured, as a whole.
static bool run_bucket(struct engine *engine, enum schedule_list list, int n, struct error *err) {
  const int b = bucket_of(n);
  const struct pass pass = describe_pass(engine, ROW_BUCKETS[b], ROW_BUCKETS[b]);
  if (!engine->timing)
    return device_graph_launch(engine->device,
                               list == SCHEDULE_STEPS ? engine->steps[b] : engine->greedy[b], err);
  launch(engine, &pass, list);
  return true;
}

// Whole logits, and of them candidates, as many outputs at a time as there is room for.
static void run_pieces(struct engine *engine, const struct engine_rows *rows,
                       enum engine_want want) {
  struct pass pass = describe_pass(engine, ROW_BUCKETS[bucket_of(rows->rows)], rows->outputs);
  pass.sharpness = rows->sharpness;
  for (; pass.first_output < rows->outputs; pass.first_output += LOGITS_ROWS) {
    launch(engine, &pass, SCHEDULE_LOGITS);
    if (want == ENGINE_CANDIDATES)
      launch(engine, &pass, SCHEDULE_SAMPLED);
  }
}

static bool run_pass(struct engine *engine, const struct engine_rows *rows, enum engine_want want,
                     struct error *err) {
  if (!STEPS_CAPTURED) {
    const struct pass pass = describe_pass(engine, rows->rows, rows->outputs);
    launch(engine, &pass, SCHEDULE_STEPS);
    return true;
  }
  if (!run_bucket(engine, SCHEDULE_STEPS, rows->rows, err))
    return false;
  if (rows->outputs > 0 && want == ENGINE_GREEDY)
    return run_bucket(engine, SCHEDULE_GREEDY, rows->outputs, err);
  run_pieces(engine, rows, want);
  return true;
}

// Asks for what a pass leaves for its outputs; returns where it will be.
static const void *get_results(struct engine *engine, int outputs, enum engine_want want,
                               struct error *err) {
  const char *arena = engine->arena.at;
  void *to = engine->host_results[engine->submitted % ENGINE_PASSES].at;
  const size_t n = (size_t)outputs;
  if (want == ENGINE_GREEDY)
    return device_download(engine->device, engine->picked.at, n * sizeof(int32_t), to, err);
  if (want == ENGINE_CANDIDATES)
    return device_download(engine->device, arena + BUF_CANDIDATES, n * sizeof(struct candidates),
                           to, err);
  if (!engine->host_logits.at && // few jobs want them, and pinning so much takes a while
      !memory_alloc_host(engine, &engine->host_logits, LOGITS_BYTES, "logits", err))
    return NULL;
  return device_download(engine->device, arena + BUF_LOGITS, n * MODEL_VOCAB * sizeof(float),
                         engine->host_logits.at, err);
}

bool passes_send(struct engine *engine, const struct engine_rows *rows, enum engine_want want,
                 struct error *err) {
  const int pass = (int)(engine->submitted % ENGINE_PASSES);
  if (engine->timing && !timing_enter(engine->timing, err))
    return false;
  if (!put_rows(engine, rows, err) || !run_pass(engine, rows, want, err))
    return false;
  const void *results = get_results(engine, rows->outputs, want, err);
  engine->passes[pass] = (struct under_way){want, results};
  return results && device_mark(engine->device, pass, err) &&
         (!engine->timing || timing_leave(engine->timing, "submit", err));
}
