// Compiled once for each tree, against its model.h, arena.h, kv.h and weights.inc: the memory that
// the plan laid out, the weights, and passes from their rows to their results.
#include "engine.h"

#include "arena.h"
#include "device.h"
#include "kernels.h"
#include "kv.h"
#include "load.h"
#include "model.h"
#include "progress.h"
#include "schedule.h"
#include "timing.h"
#include "weights.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#ifndef BUF_CANDIDATES
#define BUF_CANDIDATES 0 // this tree makes none
#endif

enum { MAPPED = WEIGHT_MAPPED };

// What a pass is told of its rows: one copy to the device.
struct row_record {
  int32_t counts[PASS_COUNTS];
  int32_t token[LIMIT_ROWS], position[LIMIT_ROWS], slot[LIMIT_ROWS], output_row[LIMIT_ROWS];
  int32_t group[LIMIT_ROWS + 1];
};
_Static_assert(sizeof(struct row_record) == ROWS_BYTES, "the plan counts a row record");
_Static_assert(!HEAD_SPLIT || LIMIT_ROWS * sizeof(struct candidates) == RESULTS_BYTES,
               "the plan counts the candidates of a pass");

// A pass that the device has been given.
struct under_way {
  enum engine_want want;
  const void *results; // where they will be
};

struct engine {
  struct device *device; // NULL: cold
  struct memory arena, kv, workspace, packed, rope, rows, picked;
  struct memory host_rows[ENGINE_PASSES], host_results[ENGINE_PASSES], host_logits;
  const uint8_t *weight[WEIGHT_COUNT];
  struct device_graph *steps[ROW_BUCKET_COUNT], *greedy[ROW_BUCKET_COUNT]; // where captured
  struct under_way passes[ENGINE_PASSES];
  unsigned submitted, collected; // passes
  engine_watcher watch;          // or NULL
  void *watch_context;
  engine_timer timer; // or NULL
  void *timer_context;
  struct timing *timing; // NULL: passes are not timed
  double began;          // warm_up, by the host's clock
};

static const struct weight_row WEIGHTS[WEIGHT_COUNT] = {
#define WEIGHT(symbol, name, source, stored, layout, offset, ...)                                  \
  {name, SOURCE_##source, STORED_##stored, LAYOUT_##layout, offset, MODEL_HEAD_DIM, {__VA_ARGS__}},
#include "weights.inc"
#undef WEIGHT
};

static const struct memory_part PARTS[] = {
#define PART(what, place, bytes) {what, MEMORY_##place, bytes},
#include "memory.inc"
#undef PART
};

enum { PART_COUNT = sizeof PARTS / sizeof *PARTS };

_Static_assert(STAGING_BYTES == 0 || STAGING_BYTES == DEVICE_STAGES * (size_t)DEVICE_STAGE_BYTES,
               "the plan counts the staging buffers of runtime/device.h");

struct memory_plan engine_plan(void) {
  return (struct memory_plan){PARTS, PART_COUNT, DEVICE_BYTES};
}

static size_t packed_bytes(void) {
  size_t bytes = 0;
  for (int i = 0; i < PART_COUNT; i++)
    bytes += PARTS[i].place == MEMORY_PACKED ? PARTS[i].bytes : 0;
  return bytes;
}

struct weight_table engine_weights(void) {
  return (struct weight_table){MODEL_NAME, WEIGHTS, WEIGHT_COUNT, packed_bytes()};
}

struct engine_limits engine_limits(void) {
  const bool ring = MODEL_WINDOW > 0 && KV_SLIDING_POSITIONS < LIMIT_CONTEXT;
  return (struct engine_limits){
      .vocab = MODEL_VOCAB,
      .slots = LIMIT_SLOTS,
      .context = LIMIT_CONTEXT,
      .rows = LIMIT_ROWS,
      .chunk = LIMIT_CHUNK,
      .rewind = ring ? KV_SLIDING_POSITIONS - MODEL_WINDOW : LIMIT_CONTEXT,
      .logits = LOGITS_ROWS,
      .picks = HEAD_SPLIT,
      .halves = HALF_ACTIVATIONS,
  };
}

struct engine_peak engine_peak(void) {
  return (struct engine_peak){DEVICE_BYTES_A_SECOND, DEVICE_FLOPS};
}

void engine_model(struct model_config *config) {
  *config = (struct model_config){
      .vocab_size = MODEL_VOCAB,
      .hidden_size = MODEL_HIDDEN,
      .intermediate_size = MODEL_INTERMEDIATE,
      .n_layers = MODEL_LAYERS,
      .n_heads = MODEL_HEADS,
      .n_kv_heads = MODEL_KV_HEADS,
      .head_dim = MODEL_HEAD_DIM,
      .n_experts = MODEL_EXPERTS,
      .top_k = MODEL_TOP_K,
      .sliding_window = MODEL_WINDOW,
      .rms_norm_eps = MODEL_RMS_EPS,
      .swiglu_limit = MODEL_SWIGLU_LIMIT,
      .swiglu_alpha = MODEL_SWIGLU_ALPHA,
      .attention_bias = MODEL_ATTENTION_BIAS,
      .tie_word_embeddings = MODEL_TIED,
      .mxfp4 = MODEL_MXFP4,
      .rope = {.yarn = MODEL_YARN,
               .truncate = MODEL_ROPE_TRUNCATE,
               .theta = MODEL_ROPE_THETA,
               .factor = MODEL_ROPE_FACTOR,
               .beta_fast = MODEL_ROPE_BETA_FAST,
               .beta_slow = MODEL_ROPE_BETA_SLOW,
               .original_max_positions = MODEL_ROPE_ORIGINAL_POSITIONS,
               .attention_factor = (double)MODEL_ROPE_SCALE},
  };
  memcpy(config->layer_types, MODEL_LAYER_TYPES, sizeof MODEL_LAYER_TYPES);
}

struct engine *engine_create(void) {
  return calloc(1, sizeof(struct engine));
}

void engine_watch(struct engine *engine, engine_watcher watch, void *context) {
  engine->watch = watch;
  engine->watch_context = context;
}

void engine_time(struct engine *engine, engine_timer timer, void *context) {
  engine->timer = timer;
  engine->timer_context = context;
}

void engine_destroy(struct engine *engine) {
  if (engine)
    engine_finish(engine);
  free(engine);
}

enum { HALF = MODEL_HEAD_DIM / 2, ROPE_FLOATS = LIMIT_CONTEXT * HALF }; // ROPE_FLOATS: cos, or sin

// cos, or else sin, of the angles of n positions from `first` on, scaled. The angle is a float
// product, as in transformers.
static void fill_rope(float *out, int first, int n, bool cosine) {
  for (int p = first; p < first + n; p++)
    for (int i = 0; i < HALF; i++) {
      const double angle = (double)((float)p * MODEL_ROPE_INV_FREQ[i]);
      *out++ = (float)(cosine ? cos(angle) : sin(angle)) * MODEL_ROPE_SCALE;
    }
}

static bool upload_rope(struct engine *engine, bool cosine, struct error *err) {
  enum { MOST = DEVICE_STAGE_BYTES / (HALF * (int)sizeof(float)) };
  float *to = (float *)engine->rope.at + (cosine ? 0 : ROPE_FLOATS);
  for (int first = 0; first < LIMIT_CONTEXT; first += MOST) {
    const int n = LIMIT_CONTEXT - first < MOST ? LIMIT_CONTEXT - first : MOST;
    const size_t bytes = (size_t)n * HALF * sizeof *to;
    float *stage = device_stage(engine->device, to + first * HALF, bytes, err);
    if (!stage)
      return false;
    fill_rope(stage, first, n, cosine);
    if (!device_send(engine->device, to + first * HALF, bytes, err))
      return false;
  }
  return true;
}

// Not every tree has every kind of memory.
static bool take(struct engine *engine, struct memory *memory, size_t bytes, const char *what,
                 struct error *err) {
  return bytes == 0 || device_take(engine->device, memory, bytes, what, err);
}

static bool take_host(struct engine *engine, struct memory *memory, size_t bytes, const char *what,
                      struct error *err) {
  return bytes == 0 || device_take_host(engine->device, memory, bytes, what, err);
}

static bool take_memory(struct engine *engine, struct error *err) {
  const size_t pieces = STEPS_SHARED ? (size_t)omp_get_max_threads() : 1;
  bool ok = take(engine, &engine->packed, packed_bytes(), "weights", err) &&
            take(engine, &engine->kv, KV_BYTES, "the KV cache", err) &&
            device_clear(engine->device, &engine->kv, err) && // what pads a key stays 0
            take(engine, &engine->arena, ARENA_BYTES, "activations", err) &&
            take(engine, &engine->workspace, WORKSPACE_BYTES * pieces, "workspace", err) &&
            take(engine, &engine->rope, ROPE_BYTES, "the RoPE table", err) &&
            take(engine, &engine->rows, ROWS_BYTES, "rows", err) &&
            device_clear(engine->device, &engine->rows, err) && // no rows, until a pass has some
            take(engine, &engine->picked, PICKED_BYTES, "greedy ids", err);
  for (int i = 0; ok && i < ENGINE_PASSES; i++)
    ok = take_host(engine, &engine->host_rows[i], ROWS_BYTES, "rows", err) &&
         take_host(engine, &engine->host_results[i], RESULTS_BYTES, "results", err);
  return ok;
}

static void give_memory_back(struct engine *engine) {
  struct device *device = engine->device;
  device_give_back(device, &engine->packed);
  device_give_back(device, &engine->kv);
  device_give_back(device, &engine->arena);
  device_give_back(device, &engine->workspace);
  device_give_back(device, &engine->rope);
  device_give_back(device, &engine->rows);
  device_give_back(device, &engine->picked);
  device_give_back_host(device, &engine->host_logits);
  for (int i = 0; i < ENGINE_PASSES; i++) {
    device_give_back_host(device, &engine->host_rows[i]);
    device_give_back_host(device, &engine->host_results[i]);
  }
}

// ---- passes ----

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
  if (!device_record(engine->device, err))
    return false;
  schedule_run(pass, list, NULL, NULL);
  return device_recorded(engine->device, graph, err);
}

// Captures what every pass needs, and runs it once on no rows: what a device does only the first
// time is then done.
static bool capture_passes(struct engine *engine, struct error *err) {
  for (int b = 0; b < ROW_BUCKET_COUNT; b++) {
    const struct pass pass = describe_pass(engine, ROW_BUCKETS[b], ROW_BUCKETS[b]);
    if (!capture(engine, &pass, SCHEDULE_STEPS, &engine->steps[b], err) ||
        !capture(engine, &pass, SCHEDULE_GREEDY, &engine->greedy[b], err) ||
        !device_replay(engine->device, engine->steps[b], err) ||
        !device_replay(engine->device, engine->greedy[b], err))
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

static bool prepare_passes(struct engine *engine, struct error *err) {
  if (engine->timer)
    return timing_open(&engine->timing, engine->device, most_steps(), engine->began, engine->timer,
                       engine->timer_context, err);
  return !STEPS_CAPTURED || capture_passes(engine, err);
}

// From a checkpoint, or else from a packed file.
static bool load_weights(struct engine *engine, const struct safetensors *checkpoint,
                         const struct packed *packed, struct error *err) {
  const struct weight_table table = engine_weights();
  struct load load = {
      .device = engine->device,
      .table = &table,
      .packed = engine->packed.at,
      .weight = engine->weight,
      .watch = engine->watch,
      .context = engine->watch_context,
  };
  return checkpoint ? load_checkpoint(&load, checkpoint, err) : load_packed(&load, packed, err);
}

// Tells the timer, if there is one, of a part of warm_up that has taken from *from until now, which
// *from becomes.
static bool tell(const struct engine *engine, const char *what, double *from, double bytes,
                 struct error *err) {
  const double now = seconds_now();
  const struct engine_span span = {what, -1, *from - engine->began, now - engine->began, bytes, 0};
  *from = now;
  return !engine->timer || engine->timer(engine->timer_context, true, &span, 1, err);
}

static bool warm_up(struct engine *engine, const struct safetensors *checkpoint,
                    const struct packed *packed, struct error *err) {
  if (engine->device)
    return true;
  double from = engine->began = seconds_now();
  if (device_open(&engine->device, err) && tell(engine, "open device", &from, 0, err) &&
      take_memory(engine, err) && tell(engine, "take memory", &from, 0, err) &&
      load_weights(engine, checkpoint, packed, err) && upload_rope(engine, true, err) &&
      upload_rope(engine, false, err) && device_wait(engine->device, err) &&
      tell(engine, "load weights", &from, (double)packed_bytes(), err) &&
      prepare_passes(engine, err))
    return true;
  engine_finish(engine);
  return false;
}

bool engine_warm_up(struct engine *engine, const struct safetensors *checkpoint,
                    struct error *err) {
  return warm_up(engine, checkpoint, NULL, err);
}

bool engine_warm_up_packed(struct engine *engine, const struct packed *packed, struct error *err) {
  return warm_up(engine, NULL, packed, err);
}

void engine_finish(struct engine *engine) {
  struct device *device = engine->device;
  if (!device)
    return;
  struct error ignored;
  device_wait(device, &ignored); // nothing may be under way to memory that is given back
  for (int b = 0; b < ROW_BUCKET_COUNT; b++) {
    device_drop(engine->steps[b]);
    device_drop(engine->greedy[b]);
    engine->steps[b] = engine->greedy[b] = NULL;
  }
  timing_close(engine->timing);
  engine->timing = NULL;
  engine->submitted = engine->collected = 0;
  give_memory_back(engine);
  device_close(device);
  engine->device = NULL;
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
  return device_put(engine->device, engine->rows.at, record, ROWS_BYTES, err);
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
    return device_replay(engine->device,
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
    return device_get(engine->device, engine->picked.at, n * sizeof(int32_t), to, err);
  if (want == ENGINE_CANDIDATES)
    return device_get(engine->device, arena + BUF_CANDIDATES, n * sizeof(struct candidates), to,
                      err);
  if (!engine->host_logits.at && // few jobs want them, and pinning so much takes a while
      !take_host(engine, &engine->host_logits, LOGITS_BYTES, "logits", err))
    return NULL;
  return device_get(engine->device, arena + BUF_LOGITS, n * MODEL_VOCAB * sizeof(float),
                    engine->host_logits.at, err);
}

// What a caller may not ask for.
static bool check_submit(const struct engine *engine, const struct engine_rows *rows,
                         enum engine_want want, struct error *err) {
  const unsigned under_way = engine->submitted - engine->collected;
  if (!engine->device)
    return fail(err, "a pass before warm_up");
  if (under_way == ENGINE_PASSES || (under_way > 0 && want == ENGINE_LOGITS))
    return fail(err, "a pass while %u are under way", under_way);
  if (want != ENGINE_LOGITS && !HEAD_SPLIT)
    return fail(err, "a pass that picks: this getp has only logits");
  return want != ENGINE_LOGITS || rows->outputs <= LOGITS_ROWS
             ? true
             : fail(err, "logits of %d rows: this getp has room for %d", rows->outputs,
                    LOGITS_ROWS);
}

// Gives the device all of a pass.
static bool send_pass(struct engine *engine, const struct engine_rows *rows, enum engine_want want,
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

bool engine_submit(struct engine *engine, const struct engine_rows *rows, enum engine_want want,
                   struct error *err) {
  struct error later;
  if (!check_submit(engine, rows, want, err))
    return false;
  if (send_pass(engine, rows, want, err)) {
    engine->submitted++;
    return true;
  }
  device_wait(engine->device, &later); // for what it was given of the pass
  return false;
}

bool engine_collect(struct engine *engine, struct engine_results *results, struct error *err) {
  const int pass = (int)(engine->collected % ENGINE_PASSES);
  const struct under_way *done = &engine->passes[pass];
  *results = (struct engine_results){0};
  if (engine->collected == engine->submitted)
    return fail(err, "no pass is under way");
  engine->collected++;
  if (engine->timing && !timing_enter(engine->timing, err))
    return false;
  if (!device_wait_mark(engine->device, pass, err))
    return false;
  if (done->want == ENGINE_GREEDY)
    results->picked = done->results;
  else if (done->want == ENGINE_CANDIDATES)
    results->candidates = done->results;
  else
    results->logits = done->results;
  return !engine->timing ||
         (timing_leave(engine->timing, "collect", err) && timing_report(engine->timing, err));
}
