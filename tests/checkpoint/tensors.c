#include "tensors.h"
#include "base/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
  GROUP = 32,             // weights that share a scale in MXFP4
  GROUP_BYTES = 16,       // of their codes
  TENSORS_PER_LAYER = 19, // at most
  TENSORS_OUTSIDE = 3,    // of layers
};

// ---- the list ----

// Allocates the list for the largest gpt-oss of HF with that many layers.
static bool plan_alloc(struct plan *plan) {
  const size_t n = (size_t)plan->config.n_layers * TENSORS_PER_LAYER + TENSORS_OUTSIDE;
  plan->specs = calloc(n, sizeof *plan->specs);
  return plan->specs || fail(plan->err, "out of memory for a list of %zu tensors", n);
}

// Appends `spec` under its full name; a shape ends at a 0 or after four sizes.
static void add(struct plan *plan, const char *suffix, struct spec spec) {
  if (plan->layer < 0)
    snprintf(spec.name, sizeof spec.name, "%s", suffix);
  else
    snprintf(spec.name, sizeof spec.name, "model.layers.%d.%s", plan->layer, suffix);
  spec.dtype = spec.content == CONTENT_NORMAL ? plan->dtype : DTYPE_U8;
  spec.bytes = dtype_bytes(spec.dtype);
  spec.key = name_key(plan->seed, spec.name);
  bool fits = true;
  for (; spec.rank < TENSOR_MAX_RANK && spec.shape[spec.rank]; spec.rank++)
    fits = fits && !__builtin_mul_overflow(spec.bytes, spec.shape[spec.rank], &spec.bytes);
  fits = fits && !__builtin_add_overflow(plan->total_bytes, spec.bytes, &plan->total_bytes) &&
         plan->total_bytes < INT64_MAX / 2;
  if (plan->ok && !fits)
    plan->ok = fail(plan->err, "%s: want a model that fits a disk", spec.name);
  plan->specs[plan->n++] = spec;
}

static void add_norm(struct plan *plan, const char *suffix) {
  const uint64_t hidden = (uint64_t)plan->config.d_model;
  add(plan, suffix, (struct spec){.shape = {hidden}, .mean = 1, .std = 0.1});
}

// A matrix (features, columns) and its bias. Inputs of mean square 1 give outputs of mean square
// gain^2; biases have a tenth of that deviation.
static void add_linear(struct plan *plan, const char *prefix, int64_t features, int64_t columns,
                       bool bias, double gain) {
  const uint64_t n = (uint64_t)features, k = (uint64_t)columns;
  char suffix[NAME_SIZE];
  snprintf(suffix, sizeof suffix, "%s.weight", prefix);
  add(plan, suffix, (struct spec){.shape = {n, k}, .std = gain / sqrt((double)k)});
  snprintf(suffix, sizeof suffix, "%s.bias", prefix);
  if (bias)
    add(plan, suffix, (struct spec){.shape = {n}, .std = 0.1 * gain});
}

// One matrix (features, columns) of all experts. Codes run along the columns; HF stores unpacked
// experts as (experts, columns, features).
static void add_experts(struct plan *plan, const char *prefix, int64_t features, int64_t columns,
                        double gain) {
  const uint64_t experts = (uint64_t)plan->config.n_experts;
  const uint64_t n = (uint64_t)features, k = (uint64_t)columns;
  const double std = gain / sqrt((double)k);
  char suffix[NAME_SIZE];
  if (plan->config.mxfp4) {
    snprintf(suffix, sizeof suffix, "%s_blocks", prefix);
    add(plan, suffix,
        (struct spec){
            .content = CONTENT_CODES, .shape = {experts, n, k / GROUP, GROUP_BYTES}, .std = std});
    snprintf(suffix, sizeof suffix, "%s_scales", prefix);
    add(plan, suffix,
        (struct spec){.content = CONTENT_SCALES, .shape = {experts, n, k / GROUP}, .std = std});
  } else {
    add(plan, prefix, (struct spec){.shape = {experts, k, n}, .std = std});
  }
  snprintf(suffix, sizeof suffix, "%s_bias", prefix);
  add(plan, suffix, (struct spec){.shape = {experts, n}, .std = 0.1 * gain});
}

// The two matrices whose results are added to the residual stream are damped by the number of such
// additions, so that its mean square at most doubles from the embedding to the last layer. Router
// logits have a deviation of 4, so that the softmax is uneven and the last chosen expert has little
// weight.
static void add_layer(struct plan *plan) {
  const struct model_config *c = &plan->config;
  const int64_t hidden = c->d_model, heads = c->n_heads;
  const int64_t q = heads * c->d_head, kv = (int64_t)c->n_kv_heads * c->d_head;
  const double damped = 1 / sqrt(2.0 * c->n_layers), router = 4;
  add_norm(plan, "input_layernorm.weight");
  add_linear(plan, "self_attn.q_proj", q, hidden, c->attention_bias, 1);
  add_linear(plan, "self_attn.k_proj", kv, hidden, c->attention_bias, 1);
  add_linear(plan, "self_attn.v_proj", kv, hidden, c->attention_bias, 1);
  add_linear(plan, "self_attn.o_proj", hidden, q, c->attention_bias, damped);
  add(plan, "self_attn.sinks", (struct spec){.shape = {(uint64_t)heads}, .std = 1});
  add_norm(plan, "post_attention_layernorm.weight");
  add_linear(plan, "mlp.router", c->n_experts, hidden, true, router);
  add_experts(plan, "mlp.experts.gate_up_proj", 2 * (int64_t)c->d_ff, hidden, 1);
  add_experts(plan, "mlp.experts.down_proj", hidden, c->d_ff, damped);
}

// A tied embedding has the deviation that the head needs; the norms make up for it.
static void add_all(struct plan *plan) {
  const struct model_config *c = &plan->config;
  const uint64_t vocab = (uint64_t)c->vocab, hidden = (uint64_t)c->d_model;
  const double head = 1 / sqrt((double)hidden);
  const double embedding = c->tied ? head : 1;
  plan->layer = -1;
  add(plan, "model.embed_tokens.weight", (struct spec){.shape = {vocab, hidden}, .std = embedding});
  for (plan->layer = 0; plan->layer < c->n_layers; plan->layer++)
    add_layer(plan);
  plan->layer = -1;
  add_norm(plan, "model.norm.weight");
  if (!c->tied)
    add(plan, "lm_head.weight", (struct spec){.shape = {vocab, hidden}, .std = head});
}

// The key is "dtype" in transformers 5 and "torch_dtype" in 4.
static bool read_dtype(enum dtype *dtype, const char *directory, struct error *err) {
  static const struct {
    const char *name;
    enum dtype dtype;
  } NAMES[] = {{"bfloat16", DTYPE_BF16}, {"float16", DTYPE_F16}, {"float32", DTYPE_F32}};
  struct json_file file;
  if (!json_file_open(&file, directory, "config.json", err))
    return false;
  const char *key = json_object_get(file.root, "dtype") ? "dtype" : "torch_dtype";
  const json_t *value = json_object_get(file.root, key);
  const char *name = !value || json_is_null(value) ? NAMES[0].name : json_string_value(value);
  size_t i = 0;
  while (i < 3 && !(name && !strcmp(name, NAMES[i].name)))
    i++;
  const bool ok =
      i < 3 || json_refuse(file.path, key, "\"bfloat16\", \"float16\" or \"float32\"", value, err);
  if (ok)
    *dtype = NAMES[i].dtype;
  json_file_close(&file);
  return ok;
}

static bool check_groups(const struct model_config *config, struct error *err) {
  if (!config->mxfp4 || (config->d_model % GROUP == 0 && config->d_ff % GROUP == 0))
    return true;
  return fail(err,
              "hidden_size, intermediate_size: want multiples of %d for MXFP4, found %d and %d",
              GROUP, config->d_model, config->d_ff);
}

bool plan_make(struct plan *plan, const char *folder, struct error *err) {
  plan->ok = true;
  plan->err = err;
  if (!model_config_read(&plan->config, folder, err) || !check_groups(&plan->config, err) ||
      !read_dtype(&plan->dtype, folder, err) ||
      !stop_ids_read(&plan->stop, folder, plan->config.vocab, err) || !plan_alloc(plan))
    return false;
  add_all(plan);
  return plan->ok;
}

// ---- shards ----

// The order in the files: by shard; wider types first, so that every element is aligned; then by
// name, as HF writes them.
static int compare_order(const void *a, const void *b) {
  const struct spec *left = a, *right = b;
  const size_t left_size = dtype_bytes(left->dtype), right_size = dtype_bytes(right->dtype);
  if (left->shard != right->shard)
    return left->shard < right->shard ? -1 : 1;
  if (left_size != right_size)
    return left_size > right_size ? -1 : 1;
  return strcmp(left->name, right->name);
}

// Fills shards in the order of the model, as split_state_dict of huggingface_hub does: a tensor
// that does not fit begins the next shard, and one that is larger than a shard gets its own.
void plan_shards(struct plan *plan, uint64_t shard_bytes) {
  uint64_t used = 0;
  for (size_t i = 0; i < plan->n; i++) {
    struct spec *spec = &plan->specs[i];
    if (used > 0 && (used > shard_bytes || spec->bytes > shard_bytes - used)) {
      plan->n_shards++;
      used = 0;
    }
    spec->shard = plan->n_shards;
    used += spec->bytes;
  }
  plan->n_shards++;
  qsort(plan->specs, plan->n, sizeof *plan->specs, compare_order);
  for (size_t i = 1; i < plan->n; i++)
    if (plan->specs[i].shard == plan->specs[i - 1].shard)
      plan->specs[i].offset = plan->specs[i - 1].offset + plan->specs[i - 1].bytes;
}
