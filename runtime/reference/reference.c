// One run: its buffers, its KV cache and the order of the operations. Every sum is a double and
// every stored value a float. Each sum belongs to one thread, so the number of threads changes no
// bit.
#include "reference/reference.h"

#include "base/parallel.h"
#include "reference/math.h"
#include "reference/tensors.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct run {
  const struct model_config *config;
  reference_route on_route; // or NULL
  void *context;            // of on_route
  struct weights weights;
  size_t positions;  // of the sequence
  float *inv_freq;   // (d_head / 2)
  float *keys;       // (n_layers, positions, n_kv_heads, d_head) rotated
  float *values;     // (n_layers, positions, n_kv_heads, d_head)
  float *x;          // (d_model) the residual stream
  float *normed;     // (d_model)
  float *q;          // (n_heads, d_head)
  float *mixed;      // (n_heads, d_head)
  float *scores;     // (n_heads, positions)
  float *delta;      // (d_model) what a block adds to x
  float *router;     // (n_experts)
  float *weight;     // (n_experts) 0 for those not chosen
  float *gate_up;    // (2 d_ff)
  float *activated;  // (d_ff)
  float *expert_out; // (d_model)
  float *logits;     // (vocab)
  float *hidden;     // (n_layers + 1, d_model)
};

// Allocates a * b * c zeroed floats.
static bool allocate(float **out, size_t a, size_t b, size_t c) {
  size_t n;
  *out = NULL;
  if (!__builtin_mul_overflow(a, b, &n) && !__builtin_mul_overflow(n, c, &n))
    *out = calloc(n, sizeof **out);
  return *out;
}

static bool allocate_all(struct run *run) {
  const struct model_config *c = run->config;
  size_t n = run->positions, d_model = (size_t)c->d_model, layers = (size_t)c->n_layers;
  size_t heads = (size_t)c->n_heads, dim = (size_t)c->d_head, inner = (size_t)c->d_ff;
  size_t kv = (size_t)c->n_kv_heads * dim, experts = (size_t)c->n_experts;
  return allocate(&run->inv_freq, dim / 2, 1, 1) && allocate(&run->keys, layers, n, kv) &&
         allocate(&run->values, layers, n, kv) && allocate(&run->x, d_model, 1, 1) &&
         allocate(&run->normed, d_model, 1, 1) && allocate(&run->q, heads, dim, 1) &&
         allocate(&run->mixed, heads, dim, 1) && allocate(&run->scores, heads, n, 1) &&
         allocate(&run->delta, d_model, 1, 1) && allocate(&run->router, experts, 1, 1) &&
         allocate(&run->weight, experts, 1, 1) && allocate(&run->gate_up, inner, 2, 1) &&
         allocate(&run->activated, inner, 1, 1) && allocate(&run->expert_out, d_model, 1, 1) &&
         allocate(&run->logits, (size_t)c->vocab, 1, 1) &&
         allocate(&run->hidden, layers + 1, d_model, 1);
}

static void free_all(struct run *run) {
  float *buffers[] = {run->inv_freq,  run->keys,       run->values, run->x,
                      run->normed,    run->q,          run->mixed,  run->scores,
                      run->delta,     run->router,     run->weight, run->gate_up,
                      run->activated, run->expert_out, run->logits, run->hidden};
  for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++)
    free(buffers[i]);
  free(run->weights.layers);
}

// y = w x / sqrt(mean(x^2) + eps) (HF modeling_gpt_oss.py, GptOssRMSNorm).
static void rms_norm(float *out, const struct tensor *weight, const float *x, size_t n,
                     double eps) {
  double sum = 0;
  for (size_t i = 0; i < n; i++)
    sum += (double)x[i] * x[i];
  double scale = 1 / sqrt(sum / (double)n + eps);
  tensor_read(out, weight, 0, n);
  for (size_t i = 0; i < n; i++)
    out[i] = (float)(out[i] * (x[i] * scale));
}

static void add(float *x, const float *delta, size_t n) {
  for (size_t i = 0; i < n; i++)
    x[i] += delta[i];
}

// (a, b) = (a cos - b sin, b cos + a sin) for a = v[i], b = v[i + D/2] of each head; cos and sin
// are scaled by the attention factor (HF modeling_gpt_oss.py, _apply_rotary_emb). The angle is
// rounded to float as there.
static void rotate(float *v, int n_heads, const struct run *run, int position) {
  size_t half = (size_t)run->config->d_head / 2;
  for (size_t i = 0; i < half; i++) {
    float angle = (float)position * run->inv_freq[i];
    float c = (float)(cos(angle) * run->config->rope.attention_factor);
    float s = (float)(sin(angle) * run->config->rope.attention_factor);
    for (int head = 0; head < n_heads; head++) {
      float *a = v + (size_t)head * 2 * half + i, *b = a + half, first = *a;
      *a = first * c - *b * s;
      *b = *b * c + first * s;
    }
  }
}

// Turns the n scores into probabilities: p_t = exp(s_t - m) / (sum exp(s_u - m) + exp(z - m)),
// where z is the head's sink: a score without a value (HF modeling_gpt_oss.py,
// eager_attention_forward).
static void softmax_with_sink(float *scores, size_t n, double sink) {
  double max = sink;
  for (size_t t = 0; t < n; t++)
    max = fmax(max, scores[t]);
  double sum = exp(sink - max);
  for (size_t t = 0; t < n; t++)
    sum += exp(scores[t] - max);
  for (size_t t = 0; t < n; t++)
    scores[t] = (float)(exp(scores[t] - max) / sum);
}

// o = sum over t of p_t v_t, p from s_t = q k_t / sqrt(D), for t in [first, position]. Query head h
// reads kv head h / (n_heads / n_kv_heads) (HF repeat_kv). `keys` and `values` belong to one layer.
static void attend_head(struct run *run, size_t head, const float *keys, const float *values,
                        size_t first, size_t position, float sink) {
  const struct model_config *c = run->config;
  size_t dim = (size_t)c->d_head, stride = (size_t)c->n_kv_heads * dim;
  size_t offset = head / (size_t)(c->n_heads / c->n_kv_heads) * dim, n = position - first + 1;
  const float *q = run->q + head * dim, *k = keys + first * stride + offset;
  const float *v = values + first * stride + offset;
  float *scores = run->scores + head * run->positions, *out = run->mixed + head * dim;
  for (size_t t = 0; t < n; t++) {
    double sum = 0;
    for (size_t i = 0; i < dim; i++)
      sum += (double)q[i] * k[t * stride + i];
    scores[t] = (float)(sum / sqrt((double)dim));
  }
  softmax_with_sink(scores, n, sink);
  for (size_t i = 0; i < dim; i++) {
    double sum = 0;
    for (size_t t = 0; t < n; t++)
      sum += (double)scores[t] * v[t * stride + i];
    out[i] = (float)sum;
  }
}

// delta = W_o attention(rotate(W_q normed), cache) + b_o. A sliding layer sees the last
// `window` positions, its own included (HF masking_utils.py: key > query - window).
static void attention(struct run *run, int layer, int position) {
  const struct model_config *c = run->config;
  const struct layer_weights *w = &run->weights.layers[layer];
  size_t kv = (size_t)c->n_kv_heads * (size_t)c->d_head, p = (size_t)position;
  float *keys = run->keys + (size_t)layer * run->positions * kv;
  float *values = run->values + (size_t)layer * run->positions * kv;
  matrix_times(run->q, &w->q, run->normed);
  matrix_times(keys + p * kv, &w->k, run->normed);
  matrix_times(values + p * kv, &w->v, run->normed);
  rotate(run->q, c->n_heads, run, position);
  rotate(keys + p * kv, c->n_kv_heads, run, position);

  bool cut = c->layer_types[layer] == 's' && position >= c->window;
  size_t first = cut ? (size_t)(position - c->window + 1) : 0;
  size_t heads = (size_t)c->n_heads;
  PARALLEL_FOR(heads * (p - first + 1) * (size_t)c->d_head)
  for (size_t head = 0; head < heads; head++) {
    float sink;
    tensor_read(&sink, w->sinks, head, 1);
    attend_head(run, head, keys, values, first, p, sink);
  }
  matrix_times(run->delta, &w->o, run->mixed);
}

// expert_out = W_down swiglu(W_gate_up normed + b) + b; gate and linear values alternate
// (HF modeling_gpt_oss.py, GptOssExperts).
static void expert(struct run *run, const struct layer_weights *w, size_t id) {
  const struct model_config *c = run->config;
  expert_times(run->gate_up, &w->gate_up, id, run->normed);
  for (size_t j = 0; j < (size_t)c->d_ff; j++)
    run->activated[j] = swiglu(run->gate_up[2 * j], run->gate_up[2 * j + 1], c->limit, c->alpha);
  expert_times(run->expert_out, &w->down, id, run->activated);
}

// delta = the sum over the chosen experts, lowest id first, of weight * expert(normed)
// (HF modeling_gpt_oss.py, GptOssMLP).
static void mlp(struct run *run, int layer, int position) {
  const struct model_config *c = run->config;
  const struct layer_weights *w = &run->weights.layers[layer];
  matrix_times(run->router, &w->router, run->normed);
  if (run->on_route)
    run->on_route(run->context, layer, position, run->router);
  route(run->weight, run->router, c->n_experts, c->top_k);
  memset(run->delta, 0, (size_t)c->d_model * sizeof *run->delta);
  for (int e = 0; e < c->n_experts; e++) {
    if (run->weight[e] == 0)
      continue;
    expert(run, w, (size_t)e);
    for (int i = 0; i < c->d_model; i++)
      run->delta[i] += run->weight[e] * run->expert_out[i];
  }
}

// x += attention(norm(x)); x += mlp(norm(x)) (HF modeling_gpt_oss.py, GptOssDecoderLayer).
static void decoder_layer(struct run *run, int layer, int position) {
  const struct layer_weights *w = &run->weights.layers[layer];
  size_t d_model = (size_t)run->config->d_model;
  rms_norm(run->normed, w->attention_norm, run->x, d_model, run->config->eps);
  attention(run, layer, position);
  add(run->x, run->delta, d_model);
  rms_norm(run->normed, w->mlp_norm, run->x, d_model, run->config->eps);
  mlp(run, layer, position);
  add(run->x, run->delta, d_model);
}

// logits = W_head norm(layers(E[id])) (HF modeling_gpt_oss.py, GptOssForCausalLM).
static void forward(struct run *run, int32_t id, int position) {
  const struct model_config *c = run->config;
  size_t d_model = (size_t)c->d_model;
  tensor_read(run->x, run->weights.embedding.weight, (size_t)id * d_model, d_model);
  for (int layer = 0; layer < c->n_layers; layer++) {
    memcpy(run->hidden + (size_t)layer * d_model, run->x, d_model * sizeof *run->x);
    decoder_layer(run, layer, position);
  }
  float *last = run->hidden + (size_t)c->n_layers * d_model;
  rms_norm(last, run->weights.norm, run->x, d_model, c->eps);
  matrix_times(run->logits, &run->weights.head, last);
}

static bool check_ids(const int32_t *ids, int n, int32_t vocab, struct error *err) {
  for (int i = 0; i < n; i++)
    if (ids[i] < 0 || ids[i] >= vocab)
      return fail(err, "reference: position %d: want a token id below %d, found %d", i, vocab,
                  ids[i]);
  return n > 0 || fail(err, "reference: want at least one token id, found %d", n);
}

bool reference_run_routed(const struct checkpoint *checkpoint, const struct model_config *config,
                          const int32_t *ids, int n, reference_visit visit,
                          reference_route on_route, void *context, struct error *err) {
  struct run run = {.config = config, .on_route = on_route, .context = context};
  bool ok =
      check_ids(ids, n, config->vocab, err) && weights_find(&run.weights, checkpoint, config, err);
  if (!ok)
    goto cleanup;
  run.positions = (size_t)n;
  ok = allocate_all(&run) || fail(err, "reference: out of memory for a sequence of %d tokens", n);
  if (!ok)
    goto cleanup;
  rope_inv_freq(run.inv_freq, &config->rope, config->d_head);
  for (int position = 0; ok && position < n; position++) {
    forward(&run, ids[position], position);
    ok = visit(context, position, run.logits, run.hidden, err);
  }
cleanup:
  free_all(&run);
  return ok;
}

bool reference_run(const struct checkpoint *checkpoint, const struct model_config *config,
                   const int32_t *ids, int n, reference_visit visit, void *context,
                   struct error *err) {
  return reference_run_routed(checkpoint, config, ids, n, visit, NULL, context, err);
}
