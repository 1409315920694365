// attention_parts: compares full attention in parts with sums in double, at positions that a
// generated sequence would need hours to reach. The cache is filled with random keys and values,
// and so is everything that pads them. The program is linked with a tree whose first layer has full
// attention, instead of getp's main. It prints TAP.
#include "arena.h"
#include "device/device.h"
#include "kernels.h"
#include "kv.h"
#include "model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
  QUERY = (MODEL_D_HEAD + 31) / 32 * 32,               // halves per head of q, padded
  OUT = (MODEL_N_HEADS * MODEL_D_HEAD + 63) / 64 * 64, // halves per row of the result, padded
  GROUPS = 4,
  MOST_ROWS = GROUPS * GROUP_ROWS,
};
static const double BOUND = 2e-3; // relative L2 error per row: p, values and results are halves

// Rows of one sequence at consecutive positions, the last of them at `last`.
struct group {
  const char *name;
  int slot, last, rows;
};

struct test {
  struct device *device;
  struct memory cache, arena, rows, sink, host_cache, host_arena, host_rows, host_sink;
  struct memory result;    // on the host: (n, OUT) halves
  int n;                   // rows
  const int32_t *position; // (n)
  const int32_t *slot;     // (n)
  uint64_t draws;
};

// ---- numbers ----

// Draws a half with random sign and mantissa. Its exponent is one of four from `exponent` on.
static uint16_t draw_half(uint64_t *draws, int exponent) {
  *draws = *draws * 6364136223846793005u + 1442695040888963407u;
  const unsigned bits = (unsigned)(*draws >> 40);
  return (uint16_t)((bits & 0x83ffu) | (unsigned)(exponent + (int)(bits >> 16 & 3)) << 10);
}

// The value of a half that is neither subnormal nor infinite.
static double value_of(uint16_t half) {
  if ((half & 0x7fff) == 0)
    return 0;
  const double value = ldexp(1024 + (half & 0x3ff), (half >> 10 & 31) - 25);
  return half & 0x8000 ? -value : value;
}

static void fill(struct test *test, void *halves, size_t n, int exponent) {
  for (size_t i = 0; i < n; i++)
    ((uint16_t *)halves)[i] = draw_half(&test->draws, exponent);
}

// ---- the reference ----

// Computes the attention of one head of a row: out (MODEL_D_HEAD).
static void attend(const struct test *test, int row, int head, double *out) {
  const int kv_head = head / (MODEL_N_HEADS / MODEL_N_KV_HEADS);
  const uint16_t *region = (const uint16_t *)test->host_cache.at +
                           KV_REGION(test->slot[row], kv_head, KV_FULL_POSITIONS);
  const uint16_t *q = (const uint16_t *)((const char *)test->host_arena.at + BUF_Q) +
                      ((size_t)row * MODEL_N_HEADS + (size_t)head) * QUERY;
  double base = ((const float *)test->host_sink.at)[head] * log2(exp(1)), sum = 1;
  memset(out, 0, MODEL_D_HEAD * sizeof *out);
  for (int t = 0; t <= test->position[row]; t++) {
    double score = 0;
    for (int d = 0; d < MODEL_D_HEAD; d++)
      score += value_of(q[d]) * value_of(region[KV_KEY(t, KV_FULL_POSITIONS) + d]);
    const double shrink = score > base ? exp2(base - score) : 1;
    base = fmax(base, score);
    const double p = exp2(score - base);
    sum = sum * shrink + p;
    for (int d = 0; d < MODEL_D_HEAD; d++)
      out[d] = out[d] * shrink + p * value_of(region[KV_VALUE(t, d, KV_FULL_POSITIONS)]);
  }
  for (int d = 0; d < MODEL_D_HEAD; d++)
    out[d] /= sum;
}

// The relative L2 error of a row of the result.
static double error_of(const struct test *test, int row, const uint16_t *got) {
  double difference = 0, norm = 0;
  for (int head = 0; head < MODEL_N_HEADS; head++) {
    double want[MODEL_D_HEAD];
    attend(test, row, head, want);
    for (int d = 0; d < MODEL_D_HEAD; d++) {
      const double missed = value_of(got[head * MODEL_D_HEAD + d]) - want[d];
      difference += missed * missed;
      norm += want[d] * want[d];
    }
  }
  return sqrt(difference / norm);
}

// ---- the pass ----

static bool allocate_pair(struct test *test, struct memory *there, struct memory *here,
                          size_t bytes, struct error *err) {
  return device_alloc(test->device, there, bytes, "the test", err) &&
         device_alloc_host(test->device, here, bytes, "the test", err);
}

static bool upload(struct test *test, const struct memory *there, const struct memory *here,
                   struct error *err) {
  return device_upload(test->device, there->at, here->at, here->bytes, err);
}

static bool allocate(struct test *test, struct error *err) {
  const size_t numbers = PASS_COUNTS + 2 * MOST_ROWS + GROUPS + 1;
  return device_open(&test->device, err) &&
         allocate_pair(test, &test->cache, &test->host_cache,
                       KV_LAYER_SIZE(KV_FULL_POSITIONS) * sizeof(uint16_t), err) &&
         allocate_pair(test, &test->arena, &test->host_arena, ARENA_BYTES, err) &&
         allocate_pair(test, &test->rows, &test->host_rows, numbers * sizeof(int32_t), err) &&
         allocate_pair(test, &test->sink, &test->host_sink, MODEL_N_HEADS * sizeof(float), err) &&
         device_alloc_host(test->device, &test->result, MOST_ROWS * OUT * sizeof(uint16_t),
                           "the test", err);
}

static void release(struct test *test) {
  struct memory *there[] = {&test->cache, &test->arena, &test->rows, &test->sink};
  struct memory *here[] = {&test->host_cache, &test->host_arena, &test->host_rows,
                           &test->host_sink};
  for (int i = 0; test->device && i < 4; i++) {
    device_free(test->device, there[i]);
    device_free_host(test->device, here[i]);
  }
  if (test->device)
    device_free_host(test->device, &test->result);
  device_close(test->device);
}

// Makes the row record as a pass finds it on the device.
static void list_rows(struct test *test, const struct group *groups, struct pass *pass) {
  int32_t *counts = test->host_rows.at, *position = counts + PASS_COUNTS;
  int32_t *slot = position + MOST_ROWS, *group = slot + MOST_ROWS;
  const int32_t *there = test->rows.at;
  memset(counts, 0, test->host_rows.bytes);
  for (int g = 0; g < GROUPS; g++) {
    group[g] = test->n;
    for (int r = 0; r < groups[g].rows; r++, test->n++) {
      position[test->n] = groups[g].last - groups[g].rows + 1 + r;
      slot[test->n] = groups[g].slot;
    }
  }
  group[GROUPS] = counts[PASS_ROWS] = test->n;
  counts[PASS_GROUPS] = GROUPS;
  test->position = position;
  test->slot = slot;
  pass->rows = test->n + 1; // of a captured pass: a bound
  pass->counts = there;
  pass->position = there + (position - counts);
  pass->slot = there + (slot - counts);
  pass->group = there + (group - counts);
}

// Scores differ by up to some tens of powers of two, so that few keys of all parts have weight.
static void draw_all(struct test *test) {
  fill(test, test->host_cache.at, KV_LAYER_SIZE(KV_FULL_POSITIONS), 11);
  fill(test, test->host_arena.at, ARENA_BYTES / sizeof(uint16_t), 12);
  for (int head = 0; head < MODEL_N_HEADS; head++)
    ((float *)test->host_sink.at)[head] = (float)value_of(draw_half(&test->draws, 14));
}

// Copies the query of the first row to the last row of the last group: their results must be equal.
static void repeat_last_row(struct test *test) {
  uint16_t *q = (uint16_t *)((char *)test->host_arena.at + BUF_Q);
  const size_t row = (size_t)MODEL_N_HEADS * QUERY;
  memcpy(q + (size_t)(test->n - 1) * row, q, row * sizeof *q);
}

// Runs both kernels and downloads the rows of the result to test->result.
static bool run(struct test *test, const struct group *groups, struct error *err) {
  const uint8_t *weight[WEIGHT_COUNT] = {[W_00_SINKS] = test->sink.at};
  struct pass pass = {.arena = test->arena.at, .kv = test->cache.at, .weight = weight};
  pass.stream = device_stream(test->device);
  list_rows(test, groups, &pass);
  draw_all(test);
  repeat_last_row(test);
  if (!upload(test, &test->cache, &test->host_cache, err) ||
      !upload(test, &test->arena, &test->host_arena, err) ||
      !upload(test, &test->rows, &test->host_rows, err) ||
      !upload(test, &test->sink, &test->host_sink, err))
    return false;
  launch_attn_full(&pass, BUF_Q, BUF_PARTS, KV_00);
  launch_attn_merge(&pass, BUF_PARTS, BUF_ATTN, W_00_SINKS);
  return device_download(test->device, (char *)test->arena.at + BUF_ATTN,
                         (size_t)test->n * OUT * sizeof(uint16_t), test->result.at, err) &&
         device_wait(test->device, err);
}

static bool report(bool good, const char *what, double worst) {
  printf("%s %s: %.2g\n", good ? "ok" : "not ok", what, worst);
  return good;
}

static bool is_padded(const struct test *test) {
  const uint16_t *got = test->result.at;
  for (int row = 0; row < test->n; row++)
    for (int i = MODEL_N_HEADS * MODEL_D_HEAD; i < OUT; i++)
      if (got[row * OUT + i] != 0)
        return false;
  return true;
}

static bool check(const struct test *test, const struct group *groups) {
  const uint16_t *got = test->result.at;
  bool good = true;
  for (int g = 0, row = 0; g < GROUPS; g++) {
    double worst = 0;
    bool within = true;
    for (int r = 0; r < groups[g].rows; r++, row++) {
      const double error = error_of(test, row, got + (size_t)row * OUT);
      worst = fmax(worst, error);
      within = within && error < BOUND;
    }
    good = report(within, groups[g].name, worst) && good;
  }
  const size_t last = (size_t)(test->n - 1) * OUT;
  const bool same = memcmp(got, got + last, OUT * sizeof *got) == 0;
  good = report(same, "a row alone and the last of a group", 0) && good;
  return report(is_padded(test), "zeros after each row", 0) && good;
}

int main(void) {
  const int last = LIMIT_CONTEXT - 1, slot = LIMIT_SLOTS - 1;
  const struct group groups[GROUPS] = {
      {"the last position alone", slot, last, 1},
      {"the first positions", slot, GROUP_ROWS - 1, GROUP_ROWS},
      {"on both sides of the end of a part", 0, (KV_PARTS / 2) * KV_PART + 1, GROUP_ROWS},
      {"up to the last position", slot, last, GROUP_ROWS},
  };
  struct test test = {0};
  struct error err;
  const bool ran = allocate(&test, &err) && run(&test, groups, &err);
  const bool good = ran && check(&test, groups);
  if (!ran)
    printf("not ok attention_parts: %s\n", err.text);
  release(&test);
  return !good;
}
