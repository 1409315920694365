// Owns the names, shapes and layouts of a HF checkpoint (HF modeling_gpt_oss.py and
// integrations/mxfp4.py). Copies no tensor.
#include "reference/tensors.h"

#include "base/parallel.h"
#include "reference/math.h"

#include <stdio.h>
#include <stdlib.h>

// A search that goes on after a failure and keeps the first message, so that a list of tensors
// reads as a list.
struct search {
  const struct safetensors *checkpoint;
  int layer; // -1: the name stands for itself
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
      safetensors_require(search->checkpoint, name, rank, shape, search->err);
  search->ok = tensor;
  if (tensor && (tensor->dtype == DTYPE_U8) != packed)
    search->ok = fail(search->err, "%s: want dtype %s, found %s", name,
                      packed ? "U8" : "BF16, F16 or F32", dtype_name(tensor->dtype));
  return tensor;
}

static const struct tensor *find_vector(struct search *search, const char *suffix, int64_t n) {
  return find(search, suffix, 1, &n, false);
}

static struct matrix find_matrix(struct search *search, const char *suffix, int64_t rows,
                                 int64_t cols) {
  const struct tensor *weight = find(search, suffix, 2, (int64_t[]){rows, cols}, false);
  return (struct matrix){weight, NULL, (size_t)rows, (size_t)cols};
}

// PREFIX.weight and, if the config has it, PREFIX.bias.
static struct matrix find_linear(struct search *search, const char *prefix, int64_t rows,
                                 int64_t cols, bool bias) {
  char name[64];
  snprintf(name, sizeof name, "%s.weight", prefix);
  struct matrix matrix = find_matrix(search, name, rows, cols);
  snprintf(name, sizeof name, "%s.bias", prefix);
  matrix.bias = bias ? find_vector(search, name, rows) : NULL;
  return matrix;
}

static struct expert_matrix find_experts(struct search *search, const char *prefix, int64_t experts,
                                         int64_t rows, int64_t cols, bool packed) {
  char name[64];
  struct expert_matrix matrix = {.rows = (size_t)rows, .cols = (size_t)cols};
  snprintf(name, sizeof name, "%s_bias", prefix);
  matrix.bias = find(search, name, 2, (int64_t[]){experts, rows}, false);
  if (!packed) {
    matrix.plain = find(search, prefix, 3, (int64_t[]){experts, cols, rows}, false);
    return matrix;
  }
  int64_t shape[] = {experts, rows, cols / MXFP4_GROUP, MXFP4_GROUP_BYTES};
  snprintf(name, sizeof name, "%s_blocks", prefix);
  matrix.blocks = find(search, name, 4, shape, true);
  snprintf(name, sizeof name, "%s_scales", prefix);
  matrix.scales = find(search, name, 3, shape, true);
  return matrix;
}

static void find_layer(struct search *search, struct layer_weights *layer,
                       const struct model_config *config) {
  int64_t hidden = config->d_model, experts = config->n_experts;
  int64_t q = (int64_t)config->n_heads * config->d_head;
  int64_t kv = (int64_t)config->n_kv_heads * config->d_head;
  bool bias = config->attention_bias;
  layer->attention_norm = find_vector(search, "input_layernorm.weight", hidden);
  layer->q = find_linear(search, "self_attn.q_proj", q, hidden, bias);
  layer->k = find_linear(search, "self_attn.k_proj", kv, hidden, bias);
  layer->v = find_linear(search, "self_attn.v_proj", kv, hidden, bias);
  layer->o = find_linear(search, "self_attn.o_proj", hidden, q, bias);
  layer->sinks = find_vector(search, "self_attn.sinks", config->n_heads);
  layer->mlp_norm = find_vector(search, "post_attention_layernorm.weight", hidden);
  layer->router = find_linear(search, "mlp.router", experts, hidden, true);
  layer->gate_up = find_experts(search, "mlp.experts.gate_up_proj", experts,
                                2 * (int64_t)config->d_ff, hidden, config->mxfp4);
  layer->down =
      find_experts(search, "mlp.experts.down_proj", experts, hidden, config->d_ff, config->mxfp4);
}

bool weights_find(struct weights *weights, const struct safetensors *checkpoint,
                  const struct model_config *config, struct error *err) {
  int64_t vocab = config->vocab, hidden = config->d_model;
  struct search search = {checkpoint, -1, true, err};
  *weights = (struct weights){.layers = calloc((size_t)config->n_layers, sizeof *weights->layers)};
  if (!weights->layers)
    return fail(err, "out of memory for the table of %d layers", config->n_layers);
  if (config->mxfp4 && (hidden % MXFP4_GROUP || config->d_ff % MXFP4_GROUP))
    return fail(err,
                "config.json: want hidden_size and intermediate_size to be multiples of 32 for "
                "MXFP4, found %d and %d",
                config->d_model, config->d_ff);
  weights->embedding = find_matrix(&search, "model.embed_tokens.weight", vocab, hidden);
  weights->norm = find_vector(&search, "model.norm.weight", hidden);
  weights->head =
      config->tied ? weights->embedding : find_matrix(&search, "lm_head.weight", vocab, hidden);
  for (search.layer = 0; search.layer < config->n_layers; search.layer++)
    find_layer(&search, &weights->layers[search.layer], config);
  return search.ok;
}

void tensor_read(float *out, const struct tensor *tensor, size_t first, size_t n) {
  dtype_widen(out, tensor->data + first * dtype_bytes(tensor->dtype), tensor->dtype, n);
}

enum { CHUNK = 256 }; // floats that are widened at once, on the stack

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
  PARALLEL_FOR(matrix->rows * matrix->cols)
  for (size_t row = 0; row < matrix->rows; row++) {
    float w[CHUNK];
    double sum = matrix->bias ? element(matrix->bias, row) : 0;
    for (size_t col = 0; col < matrix->cols; col += CHUNK) {
      size_t n = chunk_at(col, matrix->cols);
      tensor_read(w, matrix->weight, row * matrix->cols + col, n);
      sum += dot(w, x + col, n);
    }
    out[row] = (float)sum;
  }
}

static void packed_times(float *out, const struct expert_matrix *matrix, size_t expert,
                         const float *x) {
  size_t groups = matrix->cols / MXFP4_GROUP;
  PARALLEL_FOR(matrix->rows * matrix->cols)
  for (size_t row = 0; row < matrix->rows; row++) {
    float w[MXFP4_GROUP];
    double sum = element(matrix->bias, expert * matrix->rows + row);
    for (size_t g = 0; g < groups; g++) {
      size_t group = (expert * matrix->rows + row) * groups + g;
      mxfp4_expand(w, matrix->blocks->data + group * MXFP4_GROUP_BYTES,
                   matrix->scales->data[group]);
      sum += dot(w, x + g * MXFP4_GROUP, MXFP4_GROUP);
    }
    out[row] = (float)sum;
  }
}

// Outputs [begin, begin + n) of a transposed matrix: whole pieces of its lines are added up.
static void plain_chunk_times(float *out, const struct expert_matrix *matrix, size_t expert,
                              const float *x, size_t begin, size_t n) {
  float w[CHUNK];
  double sum[CHUNK];
  for (size_t j = 0; j < n; j++)
    sum[j] = element(matrix->bias, expert * matrix->rows + begin + j);
  for (size_t i = 0; i < matrix->cols; i++) {
    tensor_read(w, matrix->plain, (expert * matrix->cols + i) * matrix->rows + begin, n);
    for (size_t j = 0; j < n; j++)
      sum[j] += (double)w[j] * x[i];
  }
  for (size_t j = 0; j < n; j++)
    out[begin + j] = (float)sum[j];
}

void expert_times(float *out, const struct expert_matrix *matrix, size_t expert, const float *x) {
  if (!matrix->plain) {
    packed_times(out, matrix, expert, x);
    return;
  }
  PARALLEL_FOR(matrix->rows * matrix->cols)
  for (size_t begin = 0; begin < matrix->rows; begin += CHUNK)
    plain_chunk_times(out, matrix, expert, x, begin, chunk_at(begin, matrix->rows));
}
