// Compiled once per tree: the numbers of its headers and lists as values.
#include "engine/description.h"

#include "arena.h"
#include "kernels.h"
#include "model.h"

#include <string.h>

enum { MAPPED = WEIGHT_MAPPED }; // the word that weights.inc writes for an offset

static const struct weight_spec WEIGHTS[WEIGHT_COUNT] = {
#define WEIGHT(symbol, name, form, stored, layout, offset, ...)                                    \
  {name, FORM_##form, STORED_##stored, LAYOUT_##layout, offset, MODEL_D_HEAD, {__VA_ARGS__}},
#include "weights.inc"
#undef WEIGHT
};

static const struct memory_item ITEMS[] = {
#define MEMORY(what, kind, bytes) {what, MEMORY_##kind, bytes},
#include "memory.inc"
#undef MEMORY
};

enum { ITEM_COUNT = sizeof ITEMS / sizeof *ITEMS };

struct memory_plan engine_plan(void) {
  return (struct memory_plan){ITEMS, ITEM_COUNT, DEVICE_BYTES};
}

static size_t packed_bytes(void) {
  size_t bytes = 0;
  for (int i = 0; i < ITEM_COUNT; i++)
    bytes += ITEMS[i].kind == MEMORY_PACKED ? ITEMS[i].bytes : 0;
  return bytes;
}

struct weight_table engine_weights(void) {
  return (struct weight_table){MODEL_NAME, WEIGHTS, WEIGHT_COUNT, packed_bytes(),
                               STEPS_ON_ALL_THREADS};
}

struct engine_tree engine_tree(void) {
  return (struct engine_tree){MODEL_NAME, MODEL_TARGET, MODEL_PRECISION};
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
  return (struct engine_peak){DEVICE_BYTES_PER_SECOND, DEVICE_FLOPS};
}

void engine_model(struct model_config *config) {
  *config = (struct model_config){
      .vocab = MODEL_VOCAB,
      .d_model = MODEL_D_MODEL,
      .d_ff = MODEL_D_FF,
      .n_layers = MODEL_N_LAYERS,
      .n_heads = MODEL_N_HEADS,
      .n_kv_heads = MODEL_N_KV_HEADS,
      .d_head = MODEL_D_HEAD,
      .n_experts = MODEL_N_EXPERTS,
      .top_k = MODEL_TOP_K,
      .window = MODEL_WINDOW,
      .eps = MODEL_EPS,
      .limit = MODEL_SWIGLU_LIMIT,
      .alpha = MODEL_SWIGLU_ALPHA,
      .attention_bias = MODEL_ATTENTION_BIAS,
      .tied = MODEL_TIED,
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
