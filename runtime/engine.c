// Compiled once for each tree, against its model.h, arena.h, kv.h, weights.inc and schedule.inc:
// the memory that the plan laid out, the weights, and the one function that runs the schedule.
#include "engine.h"

#include "arena.h"
#include "device.h"
#include "kernels.h"
#include "kv.h"
#include "model.h"
#include "weights.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAPPED = WEIGHT_MAPPED };

struct engine {
  struct device *device; // NULL: cold
  struct memory arena, kv, workspace, packed, rope, rows;
  struct memory host_rows, host_logits;
  const uint8_t *weight[WEIGHT_COUNT];
  const float *logits;  // (outputs, vocab) of the last pass
  engine_watcher watch; // or NULL
  void *watch_context;
  size_t sent; // bytes of the weights
};

static const struct weight_row WEIGHTS[WEIGHT_COUNT] = {
#define WEIGHT(symbol, name, source, stored, offset, ...)                                          \
  {name, SOURCE_##source, DTYPE_##stored, offset, {__VA_ARGS__}},
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

struct engine_limits engine_limits(void) {
  const bool ring = MODEL_WINDOW > 0 && KV_SLIDING_POSITIONS < LIMIT_CONTEXT;
  return (struct engine_limits){
      MODEL_VOCAB, LIMIT_SLOTS, LIMIT_CONTEXT,
      LIMIT_ROWS,  LIMIT_CHUNK, ring ? KV_SLIDING_POSITIONS - MODEL_WINDOW : LIMIT_CONTEXT};
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

void engine_destroy(struct engine *engine) {
  if (engine)
    engine_finish(engine);
  free(engine);
}

// Sends a tensor to its place, a stage at a time: converting one overlaps with sending the other.
static bool upload(struct engine *engine, const struct weight_view *weight, uint8_t *to,
                   struct error *err) {
  struct device *device = engine->device;
  const size_t width = dtype_bytes(weight->row->stored), most = DEVICE_STAGE_BYTES / width;
  for (size_t first = 0; first < weight->elements; first += most) {
    const size_t left = weight->elements - first, n = left < most ? left : most;
    void *stage = device_stage(device, to + first * width, n * width, err);
    if (!stage)
      return false;
    weight_read(weight, first, n, stage);
    if (!device_send(device, to + first * width, n * width, err))
      return false;
    engine->sent += n * width;
    if (engine->watch)
      engine->watch(engine->watch_context, engine->sent, engine->packed.bytes);
  }
  return true;
}

static bool load_weights(struct engine *engine, const struct safetensors *checkpoint,
                         struct error *err) {
  engine->sent = 0;
  for (int i = 0; i < WEIGHT_COUNT; i++) {
    struct weight_view weight;
    if (!weight_find(&weight, &WEIGHTS[i], checkpoint, err))
      return false;
    if (WEIGHTS[i].offset == MAPPED) {
      engine->weight[i] = weight.tensor->data;
      continue;
    }
    uint8_t *to = (uint8_t *)engine->packed.at + WEIGHTS[i].offset;
    if (!upload(engine, &weight, to, err))
      return false;
    safetensors_release(weight.tensor);
    engine->weight[i] = to;
  }
  return true;
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

static size_t packed_bytes(void) {
  size_t bytes = 0;
  for (int i = 0; i < PART_COUNT; i++)
    bytes += PARTS[i].place == MEMORY_PACKED ? PARTS[i].bytes : 0;
  return bytes;
}

static bool take_memory(struct engine *engine, struct error *err) {
  struct device *device = engine->device;
  const size_t pieces = STEPS_SHARED ? (size_t)omp_get_max_threads() : 1;
  return device_take(device, &engine->packed, packed_bytes(), "weights", err) &&
         device_take(device, &engine->kv, KV_BYTES, "the KV cache", err) &&
         device_take(device, &engine->arena, ARENA_BYTES, "activations", err) &&
         (WORKSPACE_BYTES == 0 ||
          device_take(device, &engine->workspace, WORKSPACE_BYTES * pieces, "workspace", err)) &&
         device_take(device, &engine->rope, ROPE_BYTES, "the RoPE table", err) &&
         device_take(device, &engine->rows, ROWS_BYTES, "rows", err) &&
         device_take_host(device, &engine->host_rows, ROWS_BYTES, "rows", err) &&
         device_take_host(device, &engine->host_logits, LOGITS_BYTES, "logits", err);
}

bool engine_warm_up(struct engine *engine, const struct safetensors *checkpoint,
                    struct error *err) {
  if (engine->device)
    return true;
  if (device_open(&engine->device, err) && take_memory(engine, err) &&
      load_weights(engine, checkpoint, err) && upload_rope(engine, true, err) &&
      upload_rope(engine, false, err) && device_wait(engine->device, err))
    return true;
  engine_finish(engine);
  return false;
}

void engine_finish(struct engine *engine) {
  struct device *device = engine->device;
  if (!device)
    return;
  struct error ignored;
  device_wait(device, &ignored); // nothing may be under way to memory that is given back
  device_give_back(device, &engine->packed);
  device_give_back(device, &engine->kv);
  device_give_back(device, &engine->arena);
  device_give_back(device, &engine->workspace);
  device_give_back(device, &engine->rope);
  device_give_back(device, &engine->rows);
  device_give_back_host(device, &engine->host_rows);
  device_give_back_host(device, &engine->host_logits);
  device_close(device);
  engine->device = NULL;
}

// The schedule. Where steps are shared, every thread goes through all of them, and the launchers
// share the work out; else one thread launches.
static void run(const struct pass *pass) {
#pragma omp parallel if (STEPS_SHARED)
  {
#define STEP(layer, role, ...) launch_##role(pass, __VA_ARGS__);
#include "schedule.inc"
#undef STEP
  }
}

static bool put_rows(struct engine *engine, const struct engine_rows *rows, struct error *err) {
  int32_t *numbers = engine->host_rows.at;
  const size_t bytes = (size_t)rows->rows * sizeof *numbers;
  memcpy(numbers, rows->token, bytes);
  memcpy(numbers + LIMIT_ROWS, rows->position, bytes);
  memcpy(numbers + 2 * LIMIT_ROWS, rows->slot, bytes);
  memcpy(numbers + 3 * LIMIT_ROWS, rows->output_row, (size_t)rows->outputs * sizeof *numbers);
  return device_put(engine->device, engine->rows.at, numbers, ROWS_BYTES, err);
}

bool engine_pass(struct engine *engine, const struct engine_rows *rows, struct error *err) {
  if (!engine->device)
    return fail(err, "a pass before warm_up");
  if (!put_rows(engine, rows, err))
    return false;
  const int32_t *numbers = engine->rows.at;
  const struct pass pass = {
      .rows = rows->rows,
      .outputs = rows->outputs,
      .token = numbers,
      .position = numbers + LIMIT_ROWS,
      .slot = numbers + 2 * LIMIT_ROWS,
      .output_row = numbers + 3 * LIMIT_ROWS,
      .arena = engine->arena.at,
      .kv = engine->kv.at,
      .workspace = engine->workspace.at,
      .workspace_bytes = WORKSPACE_BYTES,
      .rope_cos = engine->rope.at,
      .rope_sin = (const float *)engine->rope.at + ROPE_FLOATS,
      .weight = engine->weight,
      .stream = device_stream(engine->device),
  };
  run(&pass);
  const size_t bytes = (size_t)rows->outputs * MODEL_VOCAB * sizeof(float);
  engine->logits = device_get(engine->device, (char *)engine->arena.at + BUF_LOGITS, bytes,
                              engine->host_logits.at, err);
  return engine->logits && device_wait(engine->device, err);
}

const float *engine_logits(const struct engine *engine, int output) {
  return engine->logits + (size_t)output * MODEL_VOCAB;
}
