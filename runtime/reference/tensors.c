// The names, shapes and layouts of a HF checkpoint (HF modeling_gpt_oss.py and
// integrations/mxfp4.py). No tensor is copied.
#include "reference/tensors.h"

#include "base/parallel.h"
#include "reference/math.h"

#include <stdio.h>
#include <stdlib.h>

// A search for many tensors. After a failure it finds nothing more and keeps the first message, so
// that its callers need no checks in between.
struct search {
  const struct checkpoint *checkpoint;
  int layer; // -1: the name is in no layer
  bool ok;
  struct error *err;
};

static const struct tensor *find(struct search *search, const char *suffix, int rank,
                                 const int64_t *shape, bool packed) {
  char name[128];
  if (!search->ok)
    return NULL;
  if (search->layer < 0)
    snprintf(name, sizeof name, "%s", suffix);
  else
    snprintf(name, sizeof name, "model.layers.%d.%s", search->layer, suffix);
  const struct tensor *tensor =
      checkpoint_require(search->checkpoint, name, rank, shape, search->err);
  search->ok = tensor && tensor_check_dtype(tensor, packed, search->err);
  return tensor;
}

static const struct tensor *find_vector(struct search *search, const char *suffix, int64_t n) {
  return find(search, suffix, 1, &n, false);
}

static struct matrix find_matrix(struct search *search, const char *suffix, int64_t features,
                                 int64_t columns) {
  const struct tensor *weight = find(search, suffix, 2, (int64_t[]){features, columns}, false);
  return (struct matrix){weight, NULL, (size_t)features, (size_t)columns};
}

// Finds PREFIX.weight and, if `bias`, PREFIX.bias.
static struct matrix find_linear(struct search *search, const char *prefix, int64_t features,
                                 int64_t columns, bool bias) {
  char name[64];
  snprintf(name, sizeof name, "%s.weight", prefix);
  struct matrix matrix = find_matrix(search, name, features, columns);
  snprintf(name, sizeof name, "%s.bias", prefix);
  matrix.bias = bias ? find_vector(search, name, features) : NULL;
  return matrix;
}

static struct expert_matrix find_experts(struct search *search, const char *prefix, int64_t experts,
                                         int64_t features, int64_t columns, bool packed) {
  char name[64];
  struct expert_matrix matrix = {.features = (size_t)features, .columns = (size_t)columns};
  snprintf(name, sizeof name, "%s_bias", prefix);
  matrix.bias = find(search, name, 2, (int64_t[]){experts, features}, false);
  if (!packed) {
    matrix.plain = find(search, prefix, 3, (int64_t[]){experts, columns, features}, false);
    return matrix;
  }
  int64_t shape[] = {experts, features, columns / MXFP4_GROUP, MXFP4_GROUP_BYTES};
  snprintf(name, sizeof name, "%s_blocks", prefix);
  matrix.blocks = find(search, name, 4, shape, true);
  snprintf(name, sizeof name, "%s_scales", prefix);
  matrix.scales = find(search, name, 3, shape, true);
  return matrix;
}

static void find_layer(struct search *search, struct layer_weights *layer,
                       const struct model_config *config) {
  int64_t d_model = config->d_model, experts = config->n_experts;
  int64_t q = (int64_t)config->n_heads * config->d_head;
  int64_t kv = (int64_t)config->n_kv_heads * config->d_head;
  bool bias = config->attention_bias;
  layer->attention_norm = find_vector(search, "input_layernorm.weight", d_model);
  layer->q = find_linear(search, "self_attn.q_proj", q, d_model, bias);
  layer->k = find_linear(search, "self_attn.k_proj", kv, d_model, bias);
  layer->v = find_linear(search, "self_attn.v_proj", kv, d_model, bias);
  layer->o = find_linear(search, "self_attn.o_proj", d_model, q, bias);
  layer->sinks = find_vector(search, "self_attn.sinks", config->n_heads);
  layer->mlp_norm = find_vector(search, "post_attention_layernorm.weight", d_model);
  layer->router = find_linear(search, "mlp.router", experts, d_model, true);
  layer->gate_up = find_experts(search, "mlp.experts.gate_up_proj", experts,
                                2 * (int64_t)config->d_ff, d_model, config->mxfp4);
  layer->down =
      find_experts(search, "mlp.experts.down_proj", experts, d_model, config->d_ff, config->mxfp4);
}

bool weights_find(struct weights *weights, const struct checkpoint *checkpoint,
                  const struct model_config *config, struct error *err) {
  int64_t vocab = config->vocab, d_model = config->d_model;
  struct search search = {checkpoint, -1, true, err};
  *weights = (struct weights){.layers = calloc((size_t)config->n_layers, sizeof *weights->layers)};
  if (!weights->layers)
    return fail(err, "reference: out of memory for the tensors of %d layers", config->n_layers);
  if (config->mxfp4 && (d_model % MXFP4_GROUP || config->d_ff % MXFP4_GROUP))
    return fail(err,
                "config.json: hidden_size, intermediate_size: want multiples of 32 for MXFP4, "
                "found %d and %d",
                config->d_model, config->d_ff);
  weights->embedding = find_matrix(&search, "model.embed_tokens.weight", vocab, d_model);
  weights->norm = find_vector(&search, "model.norm.weight", d_model);
  weights->head =
      config->tied ? weights->embedding : find_matrix(&search, "lm_head.weight", vocab, d_model);
  for (search.layer = 0; search.layer < config->n_layers; search.layer++)
    find_layer(&search, &weights->layers[search.layer], config);
  return search.ok;
}

void tensor_read(float *out, const struct tensor *tensor, size_t first, size_t n) {
  dtype_widen(out, tensor->data + first * dtype_bytes(tensor->dtype), tensor->dtype, n);
}

enum { CHUNK = 256 }; // floats that are widened at a time, on the stack

static size_t chunk_at(size_t begin, size_t end) {
  return end - begin < CHUNK ? end - begin : CHUNK;
}

static double dot(const float *a, const float *b, size_t n) {
  double sum = 0;
  for (size_t i = 0; i < n; i++)
    sum += (double)a[i] * b[i];
  return sum;
}

static float element(const struct tensor *tensor, size_t i) {
  float value;
  tensor_read(&value, tensor, i, 1);
  return value;
}

void matrix_times(float *out, const struct matrix *matrix, const float *x) {
  PARALLEL_FOR(matrix->features * matrix->columns)
  for (size_t feature = 0; feature < matrix->features; feature++) {
    float w[CHUNK];
    double sum = matrix->bias ? element(matrix->bias, feature) : 0;
    for (size_t column = 0; column < matrix->columns; column += CHUNK) {
      size_t n = chunk_at(column, matrix->columns);
      tensor_read(w, matrix->weight, feature * matrix->columns + column, n);
      sum += dot(w, x + column, n);
    }
    out[feature] = (float)sum;
  }
}

static void packed_times(float *out, const struct expert_matrix *matrix, size_t expert,
                         const float *x) {
  size_t groups = matrix->columns / MXFP4_GROUP;
  PARALLEL_FOR(matrix->features * matrix->columns)
  for (size_t feature = 0; feature < matrix->features; feature++) {
    float w[MXFP4_GROUP];
    double sum = element(matrix->bias, expert * matrix->features + feature);
    for (size_t g = 0; g < groups; g++) {
      size_t group = (expert * matrix->features + feature) * groups + g;
      mxfp4_expand(w, matrix->blocks->data + group * MXFP4_GROUP_BYTES,
                   matrix->scales->data[group]);
      sum += dot(w, x + g * MXFP4_GROUP, MXFP4_GROUP);
    }
    out[feature] = (float)sum;
  }
}

// Computes features [begin, begin + n) of a transposed matrix: adds up, column by column, the
// contiguous weights of these features.
static void plain_chunk_times(float *out, const struct expert_matrix *matrix, size_t expert,
                              const float *x, size_t begin, size_t n) {
  float w[CHUNK];
  double sum[CHUNK];
  for (size_t j = 0; j < n; j++)
    sum[j] = element(matrix->bias, expert * matrix->features + begin + j);
  for (size_t i = 0; i < matrix->columns; i++) {
    tensor_read(w, matrix->plain, (expert * matrix->columns + i) * matrix->features + begin, n);
    for (size_t j = 0; j < n; j++)
      sum[j] += (double)w[j] * x[i];
  }
  for (size_t j = 0; j < n; j++)
    out[begin + j] = (float)sum[j];
}

// Adds up in the order of plain_chunk_times, so that both give the same bits.
static void flipped_times(float *out, const struct expert_matrix *matrix, size_t expert,
                          const float *x) {
  PARALLEL_FOR(matrix->features * matrix->columns)
  for (size_t j = 0; j < matrix->features; j++) {
    const size_t feature = expert * matrix->features + j;
    float w[CHUNK];
    double sum = element(matrix->bias, feature);
    for (size_t column = 0; column < matrix->columns; column += CHUNK) {
      const size_t n = chunk_at(column, matrix->columns);
      tensor_read(w, matrix->plain, feature * matrix->columns + column, n);
      for (size_t i = 0; i < n; i++)
        sum += (double)w[i] * x[column + i];
    }
    out[j] = (float)sum;
  }
}

static void plain_times(float *out, const struct expert_matrix *matrix, size_t expert,
                        const float *x) {
  PARALLEL_FOR(matrix->features * matrix->columns)
  for (size_t begin = 0; begin < matrix->features; begin += CHUNK)
    plain_chunk_times(out, matrix, expert, x, begin, chunk_at(begin, matrix->features));
}

void expert_times(float *out, const struct expert_matrix *matrix, size_t expert, const float *x) {
  if (!matrix->plain)
    packed_times(out, matrix, expert, x);
  else if (matrix->plain->flipped)
    flipped_times(out, matrix, expert, x);
  else
    plain_times(out, matrix, expert, x);
}
