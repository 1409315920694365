// The names are those of OpenAI's torch/weights.py and torch/model.py.
#include "checkpoint/original.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum part { WHOLE, PART_Q, PART_K, PART_V, FLIPPED };

struct pair {
  const char *hf, *original;
  enum part part;
};

static const struct pair TOP[] = {
    {"model.embed_tokens.weight", "embedding.weight", WHOLE},
    {"model.norm.weight", "norm.scale", WHOLE},
    {"lm_head.weight", "unembedding.weight", WHOLE},
};

static const struct pair LAYER[] = {
    {"input_layernorm.weight", "attn.norm.scale", WHOLE},
    {"self_attn.q_proj.weight", "attn.qkv.weight", PART_Q},
    {"self_attn.k_proj.weight", "attn.qkv.weight", PART_K},
    {"self_attn.v_proj.weight", "attn.qkv.weight", PART_V},
    {"self_attn.q_proj.bias", "attn.qkv.bias", PART_Q},
    {"self_attn.k_proj.bias", "attn.qkv.bias", PART_K},
    {"self_attn.v_proj.bias", "attn.qkv.bias", PART_V},
    {"self_attn.o_proj.weight", "attn.out.weight", WHOLE},
    {"self_attn.o_proj.bias", "attn.out.bias", WHOLE},
    {"self_attn.sinks", "attn.sinks", WHOLE},
    {"post_attention_layernorm.weight", "mlp.norm.scale", WHOLE},
    {"mlp.router.weight", "mlp.gate.weight", WHOLE},
    {"mlp.router.bias", "mlp.gate.bias", WHOLE},
    {"mlp.experts.gate_up_proj_blocks", "mlp.mlp1_weight.blocks", WHOLE},
    {"mlp.experts.gate_up_proj_scales", "mlp.mlp1_weight.scales", WHOLE},
    {"mlp.experts.gate_up_proj", "mlp.mlp1_weight", FLIPPED},
    {"mlp.experts.gate_up_proj_bias", "mlp.mlp1_bias", WHOLE},
    {"mlp.experts.down_proj_blocks", "mlp.mlp2_weight.blocks", WHOLE},
    {"mlp.experts.down_proj_scales", "mlp.mlp2_weight.scales", WHOLE},
    {"mlp.experts.down_proj", "mlp.mlp2_weight", FLIPPED},
    {"mlp.experts.down_proj_bias", "mlp.mlp2_bias", WHOLE},
};

enum { TOP_COUNT = sizeof TOP / sizeof *TOP, LAYER_COUNT = sizeof LAYER / sizeof *LAYER };

static int64_t q_rows(const struct model_config *config) {
  return (int64_t)config->n_heads * config->d_head;
}

static int64_t kv_rows(const struct model_config *config) {
  return (int64_t)config->n_kv_heads * config->d_head;
}

static void set_part(struct original *out, enum part part, const struct model_config *config) {
  const int64_t q = q_rows(config), kv = kv_rows(config);
  out->is_part = part == PART_Q || part == PART_K || part == PART_V;
  out->first = part == PART_K ? q : part == PART_V ? q + kv : 0;
  out->count = part == PART_Q ? q : kv;
  out->flipped = part == FLIPPED;
}

static const struct pair *find(const struct pair *pairs, size_t n, const char *hf) {
  for (size_t i = 0; i < n; i++)
    if (strcmp(pairs[i].hf, hf) == 0)
      return &pairs[i];
  return NULL;
}

bool original_of(struct original *out, const char *name, const struct model_config *config) {
  static const char LAYERS[] = "model.layers.";
  *out = (struct original){.is_part = false};
  const struct pair *pair = find(TOP, TOP_COUNT, name);
  if (pair) {
    snprintf(out->name, sizeof out->name, "%s", pair->original);
    return true;
  }
  if (strncmp(name, LAYERS, strlen(LAYERS)) != 0)
    return false;
  char *end;
  const long layer = strtol(name + strlen(LAYERS), &end, 10);
  pair = *end == '.' ? find(LAYER, LAYER_COUNT, end + 1) : NULL;
  if (!pair)
    return false;
  snprintf(out->name, sizeof out->name, "block.%ld.%s", layer, pair->original);
  set_part(out, pair->part, config);
  return true;
}

bool original_list(char name[static ORIGINAL_NAME_BYTES], size_t index,
                   const struct model_config *config) {
  const size_t layer = index < TOP_COUNT ? 0 : (index - TOP_COUNT) / LAYER_COUNT;
  if (layer >= (size_t)config->n_layers)
    return false;
  if (index < TOP_COUNT)
    snprintf(name, ORIGINAL_NAME_BYTES, "%s", TOP[index].hf);
  else
    snprintf(name, ORIGINAL_NAME_BYTES, "model.layers.%zu.%s", layer,
             LAYER[(index - TOP_COUNT) % LAYER_COUNT].hf);
  return true;
}

bool original_part(struct tensor *out, const struct tensor *whole, const struct original *original,
                   const struct model_config *config) {
  *out = *whole;
  out->flipped = original->flipped;
  if (!original->is_part)
    return true;
  const int64_t rows = q_rows(config) + 2 * kv_rows(config);
  if (whole->rank < 1 || whole->shape[0] != rows)
    return false;
  const size_t row_bytes = whole->bytes / (size_t)rows;
  out->data = whole->data + (size_t)original->first * row_bytes;
  out->bytes = (size_t)original->count * row_bytes;
  out->shape[0] = original->count;
  return true;
}

void original_shape(int64_t *out, const int64_t *shape, int rank, const struct original *original,
                    const struct model_config *config) {
  memcpy(out, shape, (size_t)rank * sizeof *out);
  if (original->is_part)
    out[0] = q_rows(config) + 2 * kv_rows(config);
  if (original->flipped && rank >= 2) {
    out[rank - 2] = shape[rank - 1];
    out[rank - 1] = shape[rank - 2];
  }
}
