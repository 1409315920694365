// What each step of a tree leaves, in one order for all trees: the table READINGS says which
// quantity is read after a step of which role, from which buffer, in which layout. Compiled against
// the headers of a tree. A tree of precision mixed on a GPU fuses steps and has buffers of halves;
// all other trees, here "plain", have floats.
//
// A quantity has one line per row of the pass:
//   x               d_model floats: the residual stream
//   h               d_model floats: x after the norm
//   q               n_heads * d_head floats: after RoPE, a head's first half before its second
//   key, value      n_kv_heads * d_head floats: what the KV cache has for the row; keys as q
//   attn            n_heads * d_head floats; attn_parts is the same, from the sums of parts of the
//                   keys before attn_merge adds them
//   o               d_model floats: the output projection and its bias
//   router          n_experts floats: logits; only plain trees leave them in memory
//   expert          top_k ids, ascending; expert_weight has their weights
//   visits          top_k numbers: how many work items of its expert compute a pair; should be 1
//   gated, down     top_k * d_ff and top_k * d_model floats: per pair
//   logits          vocab floats
#ifndef GETP_TESTS_STEP_VALUES_H
#define GETP_TESTS_STEP_VALUES_H

#include "arena.h"
#include "checkpoint/dtype.h"
#include "engine/rows.h"
#include "kernels.h"
#include "kv.h"
#include "model.h"

#include <math.h>
#include <string.h>

enum {
  Q_SIZE = MODEL_N_HEADS * MODEL_D_HEAD,
  KV_SIZE = MODEL_N_KV_HEADS * MODEL_D_HEAD,
};

// The memory of the device after a step, copied to the host, and the rows of the pass.
struct step_memory {
  const struct engine_rows *rows;
  const char *arena;
  const void *kv;      // of the layer
  int positions;       // that the layer keeps of a sequence
  const float *x;      // (rows, d_model) the residual stream before the step
  const float *o_bias; // (d_model) of the layer, NULL if it has none
  const float *sinks;  // (n_heads) of the layer
};

struct reading {
  const char *role, *quantity;
  size_t buffer; // of the arena
  int columns;   // numbers per row
  void (*read)(const struct step_memory *memory, const struct reading *reading, float *out);
};

static inline const void *buffer_at(const struct step_memory *memory, size_t buffer) {
  return memory->arena + buffer;
}

// A buffer of floats, (rows, columns).
static void read_floats(const struct step_memory *memory, const struct reading *reading,
                        float *out) {
  const size_t n = (size_t)memory->rows->rows * (size_t)reading->columns;
  memcpy(out, buffer_at(memory, reading->buffer), n * sizeof *out);
}

// A buffer of ids, (rows, columns).
static void read_ids(const struct step_memory *memory, const struct reading *reading, float *out) {
  const int32_t *ids = buffer_at(memory, reading->buffer);
  for (int i = 0; i < memory->rows->rows * reading->columns; i++)
    out[i] = (float)ids[i];
}

#ifdef KV_REGION // ---- fused, in halves ----

// The columns of the output projection are added in two splits if there are enough of them; splits
// of gen/precision/mixed.lua.
enum { O_KBLOCKS = (Q_SIZE + 63) / 64, SPLITS = O_KBLOCKS >= 16 && O_KBLOCKS % 2 == 0 ? 2 : 1 };

static void widen(float *out, const uint16_t *halves, size_t n) {
  dtype_widen(out, (const uint8_t *)halves, DTYPE_F16, n);
}

static size_t padded(int n, int multiple) {
  return (size_t)((n + multiple - 1) / multiple * multiple);
}

// A buffer of halves whose rows are padded to whole kblocks, (rows, columns).
static void read_halves(const struct step_memory *memory, const struct reading *reading,
                        float *out) {
  const uint16_t *from = buffer_at(memory, reading->buffer);
  const size_t columns = (size_t)reading->columns, stride = padded(reading->columns, 64);
  for (size_t r = 0; r < (size_t)memory->rows->rows; r++)
    widen(out + r * columns, from + r * stride, columns);
}

// RoPE's pairs (i, i + d_head / 2) are neighbours in a head of q or of a key.
static void separate_pairs(float *out, const uint16_t *head) {
  float pairs[MODEL_D_HEAD];
  widen(pairs, head, MODEL_D_HEAD);
  for (int d = 0; d < MODEL_D_HEAD; d++)
    out[d / 2 + d % 2 * (MODEL_D_HEAD / 2)] = pairs[d];
}

// Queries are padded per head, and scaled so that attention may use powers of two.
static void read_q(const struct step_memory *memory, const struct reading *reading, float *out) {
  const float scale = (float)(log2(exp(1)) / sqrt(MODEL_D_HEAD));
  const uint16_t *from = buffer_at(memory, reading->buffer);
  for (int i = 0; i < memory->rows->rows * MODEL_N_HEADS; i++)
    separate_pairs(out + i * MODEL_D_HEAD, from + (size_t)i * padded(MODEL_D_HEAD, 32));
  for (int i = 0; i < memory->rows->rows * Q_SIZE; i++)
    out[i] /= scale;
}

static const uint16_t *region_of(const struct step_memory *memory, int row, int kv_head) {
  return (const uint16_t *)memory->kv +
         KV_REGION(memory->rows->slot[row], kv_head, memory->positions);
}

static void read_key(const struct step_memory *memory, const struct reading *reading, float *out) {
  for (int r = 0; r < memory->rows->rows; r++)
    for (int g = 0; g < MODEL_N_KV_HEADS; g++)
      separate_pairs(out + r * reading->columns + g * MODEL_D_HEAD,
                     region_of(memory, r, g) +
                         KV_KEY(memory->rows->position[r], memory->positions));
}

static void read_value(const struct step_memory *memory, const struct reading *reading,
                       float *out) {
  for (int r = 0; r < memory->rows->rows; r++)
    for (int g = 0; g < MODEL_N_KV_HEADS; g++)
      for (int d = 0; d < MODEL_D_HEAD; d++)
        widen(out + r * reading->columns + g * MODEL_D_HEAD + d,
              region_of(memory, r, g) + KV_VALUE(memory->rows->position[r], d, memory->positions),
              1);
}

#ifdef KV_PARTS
// For each row and part of its keys a struct part_state: the mix of each head, then its base and
// its sum, in powers of two.
static void read_parts(const struct step_memory *memory, const struct reading *reading,
                       float *out) {
  const size_t state = Q_SIZE + 2 * MODEL_N_HEADS;
  const float *from = buffer_at(memory, reading->buffer);
  for (int i = 0; i < memory->rows->rows * MODEL_N_HEADS; i++) {
    const int row = i / MODEL_N_HEADS, head = i % MODEL_N_HEADS;
    const float *parts = from + (size_t)row * KV_PARTS * state;
    const int n = memory->rows->position[row] / KV_PART + 1;
    const float *mix = parts + head * MODEL_D_HEAD, *base = parts + Q_SIZE + 2 * head;
    float max = memory->sinks[head] * (float)log2(exp(1)), *to = out + (size_t)i * MODEL_D_HEAD;
    const float sink = max;
    for (int p = 0; p < n; p++)
      max = fmaxf(max, base[(size_t)p * state]);
    float total = exp2f(sink - max);
    memset(to, 0, MODEL_D_HEAD * sizeof *to);
    for (size_t p = 0; p < (size_t)n; p++) {
      const float shrink = exp2f(base[p * state] - max);
      total += base[p * state + 1] * shrink;
      for (int d = 0; d < MODEL_D_HEAD; d++)
        to[d] += mix[p * state + (size_t)d] * shrink;
    }
    for (int d = 0; d < MODEL_D_HEAD; d++)
      to[d] /= total;
  }
}
#endif

// The splits of a row's output projection, and its bias.
static void read_o(const struct step_memory *memory, const struct reading *reading, float *out) {
  const float *from = buffer_at(memory, reading->buffer);
  for (int r = 0; r < memory->rows->rows; r++)
    for (int i = 0; i < MODEL_D_MODEL; i++) {
      float sum = memory->o_bias ? memory->o_bias[i] : 0;
      for (int s = 0; s < SPLITS; s++)
        sum += from[((size_t)r * SPLITS + (size_t)s) * MODEL_D_MODEL + (size_t)i];
      out[r * MODEL_D_MODEL + i] = sum;
    }
}

// A pass of a single row has no work list: its pairs are its experts, in order.
static bool is_sorted(const struct step_memory *memory) {
  return memory->rows->rows > 1 || ROW_BUCKETS[0] > 1;
}

// The work list of moe_sort: BUF_WORK is a struct moe_work, BUF_PAIR the pairs of its items.
static void read_visits(const struct step_memory *memory, const struct reading *reading,
                        float *out) {
  const int pairs = memory->rows->rows * MODEL_TOP_K;
  const int32_t *work = buffer_at(memory, reading->buffer), *pair = buffer_at(memory, BUF_PAIR);
  const int32_t *expert = buffer_at(memory, BUF_EXPERT);
  for (int i = 0; i < pairs; i++)
    out[i] = is_sorted(memory) ? 0 : 1;
  if (!is_sorted(memory))
    return;
  for (int item = 0; item < work[0] && item < pairs; item++) {
    const int32_t *of = work + 1 + 3 * item; // expert, first, count
    for (int i = of[1]; i < of[1] + of[2] && i >= 0 && i < pairs; i++)
      if (pair[i] >= 0 && pair[i] < pairs && expert[pair[i]] == of[0])
        out[pair[i]]++;
  }
}

// What moe_gate_up multiplies its results with: the largest power of two that keeps
// limit (limit + 1) within half of what a half holds; gated_exponent of gen/precision/mixed.lua.
static float gated_scale(void) {
  float scale = 1;
  while (MODEL_SWIGLU_LIMIT * (MODEL_SWIGLU_LIMIT + 1) * scale * 2 <= 32768)
    scale *= 2;
  return scale;
}

// Pairs lie in the order of the work list, padded to whole kblocks. A pair that is not there is
// NaN.
static void read_gated(const struct step_memory *memory, const struct reading *reading,
                       float *out) {
  const uint16_t *from = buffer_at(memory, reading->buffer);
  const int32_t *pair = buffer_at(memory, BUF_PAIR);
  const int pairs = memory->rows->rows * MODEL_TOP_K;
  for (int i = 0; i < pairs * MODEL_D_FF; i++)
    out[i] = NAN;
  for (int i = 0; i < pairs; i++) {
    const int p = is_sorted(memory) ? pair[i] : i;
    if (p < 0 || p >= pairs)
      continue;
    float *to = out + (size_t)p * MODEL_D_FF;
    widen(to, from + (size_t)i * padded(MODEL_D_FF, 64), MODEL_D_FF);
    for (int j = 0; j < MODEL_D_FF; j++)
      to[j] /= gated_scale();
  }
}

static const struct reading READINGS[] = {
    {"embed", "x", BUF_X, MODEL_D_MODEL, read_floats},
    {"embed", "h", BUF_H, MODEL_D_MODEL, read_halves},
    {"matmul_qkv", "q", BUF_Q, Q_SIZE, read_q},
    {"matmul_qkv", "key", 0, KV_SIZE, read_key},
    {"matmul_qkv", "value", 0, KV_SIZE, read_value},
    {"attn_sliding", "attn", BUF_ATTN, Q_SIZE, read_halves},
#ifdef KV_PARTS
    {"attn_full", "attn_parts", BUF_PARTS, Q_SIZE, read_parts},
    {"attn_merge", "attn", BUF_ATTN, Q_SIZE, read_halves},
#else
    {"attn_full", "attn", BUF_ATTN, Q_SIZE, read_halves},
#endif
    {"matmul_o", "o", BUF_SPLITS, MODEL_D_MODEL, read_o},
    {"norm_router", "x", BUF_X, MODEL_D_MODEL, read_floats},
    {"norm_router", "h", BUF_H, MODEL_D_MODEL, read_halves},
    {"norm_router", "expert", BUF_EXPERT, MODEL_TOP_K, read_ids},
    {"norm_router", "expert_weight", BUF_EXPERT_WEIGHT, MODEL_TOP_K, read_floats},
    {"moe_sort", "visits", BUF_WORK, MODEL_TOP_K, read_visits},
    {"moe_gate_up", "gated", BUF_GATED, MODEL_TOP_K *MODEL_D_FF, read_gated},
    {"moe_down", "down", BUF_DOWN, MODEL_TOP_K *MODEL_D_MODEL, read_floats},
    {"moe_combine", "x", BUF_X, MODEL_D_MODEL, read_floats},
    {"moe_combine", "h", BUF_H, MODEL_D_MODEL, read_halves},
    {"unembed", "logits", BUF_LOGITS, MODEL_VOCAB, read_floats},
};

#else // ---- plain, in floats ----

// The first part of a row of q, k and v.
static void read_q(const struct step_memory *memory, const struct reading *reading, float *out) {
  const float *from = buffer_at(memory, reading->buffer);
  for (int r = 0; r < memory->rows->rows; r++)
    memcpy(out + (size_t)r * Q_SIZE, from + (size_t)r * (Q_SIZE + 2 * KV_SIZE),
           Q_SIZE * sizeof *out);
}

// The offset of element d of a row's value in a layer's values, and of its key in the keys.
static size_t value_at(const struct step_memory *memory, int r, int g, int d) {
  const struct engine_rows *rows = memory->rows;
  return KV_VECTOR(rows->slot[r], g, rows->position[r], memory->positions) + (size_t)d;
}

static size_t key_at(const struct step_memory *memory, int r, int g, int d) {
#ifdef KV_KEY
  const struct engine_rows *rows = memory->rows;
  return KV_KEY(rows->slot[r], g, rows->position[r], memory->positions) + (size_t)(d * KV_BLOCK);
#else
  return value_at(memory, r, g, d);
#endif
}

static void read_key(const struct step_memory *memory, const struct reading *reading, float *out) {
  const float *keys = memory->kv;
  for (int r = 0; r < memory->rows->rows; r++)
    for (int g = 0; g < MODEL_N_KV_HEADS; g++)
      for (int d = 0; d < MODEL_D_HEAD; d++)
        out[r * reading->columns + g * MODEL_D_HEAD + d] = keys[key_at(memory, r, g, d)];
}

static void read_value(const struct step_memory *memory, const struct reading *reading,
                       float *out) {
  const float *values = (const float *)memory->kv + KV_HALF(memory->positions);
  for (int r = 0; r < memory->rows->rows; r++)
    for (int g = 0; g < MODEL_N_KV_HEADS; g++)
      for (int d = 0; d < MODEL_D_HEAD; d++)
        out[r * reading->columns + g * MODEL_D_HEAD + d] = values[value_at(memory, r, g, d)];
}

// The step has added its result to x.
static void read_o(const struct step_memory *memory, const struct reading *reading, float *out) {
  const float *x = buffer_at(memory, reading->buffer);
  for (int i = 0; i < memory->rows->rows * MODEL_D_MODEL; i++)
    out[i] = x[i] - memory->x[i];
}

#ifdef BUF_PAIR
// Expert e computes pair[start[e]] .. pair[start[e + 1] - 1].
static void read_visits(const struct step_memory *memory, const struct reading *reading,
                        float *out) {
  const int pairs = memory->rows->rows * MODEL_TOP_K;
  const int32_t *start = buffer_at(memory, BUF_EXPERT_START);
  const int32_t *pair = buffer_at(memory, reading->buffer);
  const int32_t *expert = buffer_at(memory, BUF_EXPERT);
  memset(out, 0, (size_t)pairs * sizeof *out);
  for (int e = 0; e < MODEL_N_EXPERTS; e++)
    for (int i = start[e]; i < start[e + 1]; i++)
      if (expert[pair[i]] == e)
        out[pair[i]]++;
}
#endif

static const struct reading READINGS[] = {
    {"embed", "x", BUF_X, MODEL_D_MODEL, read_floats},
    {"norm_attn", "h", BUF_H, MODEL_D_MODEL, read_floats},
    {"rope_append", "q", BUF_QKV, Q_SIZE, read_q},
    {"rope_append", "key", 0, KV_SIZE, read_key},
    {"rope_append", "value", 0, KV_SIZE, read_value},
    {"attn_sliding", "attn", BUF_ATTN, Q_SIZE, read_floats},
    {"attn_full", "attn_parts", BUF_ATTN, Q_SIZE, read_floats},
    {"attn_full", "attn", BUF_ATTN, Q_SIZE, read_floats},
    {"matmul_o", "o", BUF_X, MODEL_D_MODEL, read_o},
    {"matmul_o", "x", BUF_X, MODEL_D_MODEL, read_floats},
    {"norm_mlp", "h", BUF_H, MODEL_D_MODEL, read_floats},
    {"matmul_router", "router", BUF_ROUTER, MODEL_N_EXPERTS, read_floats},
    {"router_topk", "expert", BUF_EXPERT, MODEL_TOP_K, read_ids},
    {"router_topk", "expert_weight", BUF_EXPERT_WEIGHT, MODEL_TOP_K, read_floats},
#ifdef BUF_PAIR
    {"moe_sort", "visits", BUF_PAIR, MODEL_TOP_K, read_visits},
#endif
    {"moe_gate_up", "gated", BUF_GATED, MODEL_TOP_K *MODEL_D_FF, read_floats},
    {"moe_down", "down", BUF_DOWN, MODEL_TOP_K *MODEL_D_MODEL, read_floats},
    {"moe_combine", "x", BUF_X, MODEL_D_MODEL, read_floats},
    {"norm_final", "h", BUF_LAST, MODEL_D_MODEL, read_floats},
    {"matmul_unembed", "logits", BUF_LOGITS, MODEL_VOCAB, read_floats},
};
#endif

enum { READING_COUNT = sizeof READINGS / sizeof *READINGS };

#endif
