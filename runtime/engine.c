// Compiled once for each tree, against its model.h, arena.h, kv.h, weights.inc and schedule.inc:
// the memory that the plan laid out, the weights, and the one function that runs the schedule.
#include "engine.h"

#include "arena.h"
#include "kernels.h"
#include "kv.h"
#include "model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define MAPPED (-1)

// One line of weights.inc.
struct weight_row {
  const char *name;
  enum dtype stored;
  int64_t offset; // in the packed weights, or MAPPED
  int64_t shape[TENSOR_MAX_RANK];
};

// A piece of memory, zeroed by the kernel when first touched.
struct memory {
  void *at;
  size_t bytes;
};

struct engine {
  struct memory arena, kv, workspace, packed, rope;
  const uint8_t *weight[WEIGHT_COUNT];
  bool warm;
};

static const struct weight_row WEIGHTS[WEIGHT_COUNT] = {
#define WEIGHT(symbol, name, stored, offset, ...) {name, DTYPE_##stored, offset, {__VA_ARGS__}},
#include "weights.inc"
#undef WEIGHT
};

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

void engine_destroy(struct engine *engine) {
  if (engine)
    engine_finish(engine);
  free(engine);
}

static bool take(struct memory *memory, size_t bytes, const char *what, struct error *err) {
  void *at =
      mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED)
    return fail(
        err, "no memory for %s: want %zu bytes: generate with fewer --slots or a shorter --context",
        what, bytes);
  *memory = (struct memory){at, bytes};
  return true;
}

static void give_back(struct memory *memory) {
  if (memory->at)
    munmap(memory->at, memory->bytes);
  *memory = (struct memory){0};
}

static size_t packed_bytes(void) {
  size_t bytes = 64; // never an empty map
  for (int i = 0; i < WEIGHT_COUNT; i++) {
    size_t elements = 1;
    for (int d = 0; d < TENSOR_MAX_RANK && WEIGHTS[i].shape[d]; d++)
      elements *= (size_t)WEIGHTS[i].shape[d];
    const size_t end = (size_t)WEIGHTS[i].offset + elements * dtype_bytes(WEIGHTS[i].stored);
    if (WEIGHTS[i].offset != MAPPED && end > bytes)
      bytes = end;
  }
  return bytes;
}

static bool load_weight(struct engine *engine, int i, const struct safetensors *checkpoint,
                        struct error *err) {
  const struct weight_row *row = &WEIGHTS[i];
  int rank = 0;
  while (rank < TENSOR_MAX_RANK && row->shape[rank])
    rank++;
  const struct tensor *tensor = safetensors_want(checkpoint, row->name, rank, row->shape, err);
  if (!tensor)
    return false;
  const bool packed = row->offset != MAPPED;
  if (packed ? tensor->dtype == DTYPE_U8 : tensor->dtype != row->stored)
    return fail(err,
                "%s: want %s, the checkpoint has %s: generate a getp from its config.json with the "
                "right \"dtype\"",
                row->name, dtype_name(row->stored), dtype_name(tensor->dtype));
  if (!packed) {
    engine->weight[i] = tensor->data;
    return true;
  }
  uint8_t *to = (uint8_t *)engine->packed.at + row->offset;
  dtype_widen((float *)(void *)to, tensor->data, tensor->dtype,
              tensor->bytes / dtype_bytes(tensor->dtype));
  safetensors_release(tensor);
  engine->weight[i] = to;
  return true;
}

// cos and sin of every position and pair, scaled. The angle is a float product, as in transformers.
static void fill_rope(float *cosines, float *sines) {
  enum { HALF = MODEL_HEAD_DIM / 2 };
  for (int p = 0; p < LIMIT_CONTEXT; p++)
    for (int i = 0; i < HALF; i++) {
      const float angle = (float)p * MODEL_ROPE_INV_FREQ[i];
      cosines[p * HALF + i] = (float)cos((double)angle) * MODEL_ROPE_SCALE;
      sines[p * HALF + i] = (float)sin((double)angle) * MODEL_ROPE_SCALE;
    }
}

enum { ROPE_FLOATS = LIMIT_CONTEXT * (MODEL_HEAD_DIM / 2) };

bool engine_warm_up(struct engine *engine, const struct safetensors *checkpoint,
                    struct error *err) {
  if (engine->warm)
    return true;
  if (!take(&engine->arena, ARENA_BYTES, "activations", err) ||
      !take(&engine->kv, KV_FLOATS * sizeof(float), "the KV cache", err) ||
      !take(&engine->workspace, WORKSPACE_BYTES * (size_t)omp_get_max_threads(), "workspace",
            err) ||
      !take(&engine->packed, packed_bytes(), "packed weights", err) ||
      !take(&engine->rope, 2 * (size_t)ROPE_FLOATS * sizeof(float), "the RoPE table", err))
    goto failed;
  for (int i = 0; i < WEIGHT_COUNT; i++)
    if (!load_weight(engine, i, checkpoint, err))
      goto failed;
  fill_rope(engine->rope.at, (float *)engine->rope.at + ROPE_FLOATS);
  engine->warm = true;
  return true;
failed:
  engine_finish(engine);
  return false;
}

void engine_finish(struct engine *engine) {
  give_back(&engine->arena);
  give_back(&engine->kv);
  give_back(&engine->workspace);
  give_back(&engine->packed);
  give_back(&engine->rope);
  engine->warm = false;
}

// The schedule: every thread goes through all steps, and the launchers share the work out.
static void run(const struct pass *pass) {
#pragma omp parallel
  {
#define STEP(layer, role, ...) launch_##role(pass, __VA_ARGS__);
#include "schedule.inc"
#undef STEP
  }
}

bool engine_pass(struct engine *engine, const struct engine_rows *rows, struct error *err) {
  if (!engine->warm)
    return fail(err, "a pass before warm_up");
  const struct pass pass = {
      .rows = rows->rows,
      .outputs = rows->outputs,
      .token = rows->token,
      .position = rows->position,
      .slot = rows->slot,
      .output_row = rows->output_row,
      .arena = engine->arena.at,
      .kv = engine->kv.at,
      .workspace = engine->workspace.at,
      .workspace_bytes = WORKSPACE_BYTES,
      .rope_cos = engine->rope.at,
      .rope_sin = (const float *)engine->rope.at + ROPE_FLOATS,
      .weight = engine->weight,
  };
  run(&pass);
  return true;
}

const float *engine_logits(const struct engine *engine, int output) {
  return (const float *)(const void *)((const char *)engine->arena.at + BUF_LOGITS) +
         (size_t)output * MODEL_VOCAB;
}
