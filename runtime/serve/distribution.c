#include "serve/distribution.h"

#include "base/parallel.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SEGMENT = 512 }; // ids

static int segments_of(int vocab) {
  return (vocab + SEGMENT - 1) / SEGMENT;
}

bool distribution_open(struct distribution *distribution, int vocab, struct error *err) {
  const size_t n = (size_t)vocab;
  *distribution = (struct distribution){.vocab = vocab};
  distribution->weight = malloc(n * sizeof *distribution->weight);
  distribution->order = malloc(n * sizeof *distribution->order);
  distribution->segment = malloc((size_t)segments_of(vocab) * sizeof *distribution->segment);
  return distribution->weight && distribution->order && distribution->segment
             ? true
             : fail(err, "sampler: out of memory for %d tokens", vocab);
}

void distribution_close(struct distribution *distribution) {
  free(distribution->weight);
  free(distribution->order);
  free(distribution->segment);
  *distribution = (struct distribution){0};
}

// The first token of the order, or what stands for it.
static int32_t first_of(const float *logits, int n) {
  int32_t first = PICKED_NOTHING;
  float greatest = -INFINITY;
  for (int32_t i = 0; i < n; i++) {
    if (isnan(logits[i]))
      return PICKED_NAN;
    if (logits[i] > greatest) {
      greatest = logits[i];
      first = i;
    }
  }
  return first;
}

static uint64_t weight_of(float logit, float greatest, float sharpness) {
  const float p = exp2f((logit - greatest) * sharpness);
  return p > 0 ? (uint64_t)(p * DRAW_UNIT) : 0; // false for NaN, the difference of two infinities
}

// Adds each segment up and returns the total.
static uint64_t add_up(struct distribution *distribution) {
  distribution->total = 0;
  for (int s = 0; s < segments_of(distribution->vocab); s++) {
    const int first = s * SEGMENT, left = distribution->vocab - first;
    uint64_t sum = 0;
    for (int i = first; i < first + (left < SEGMENT ? left : SEGMENT); i++)
      sum += distribution->weight[i];
    distribution->segment[s] = sum;
    distribution->total += sum;
  }
  return distribution->total;
}

// ---- the kept tokens ----

// A key is greater the further in front a token is in the order.
static uint64_t key_of(float logit, int32_t id) {
  const float positive_zero = logit + 0.0f; // as -0 equals it
  uint32_t bits;
  memcpy(&bits, &positive_zero, sizeof bits);
  bits = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
  return (uint64_t)bits << 32 | ~(uint32_t)id;
}

static int32_t id_of(uint64_t key) {
  return (int32_t) ~(uint32_t)key;
}

static void swap(uint64_t *a, uint64_t *b) {
  const uint64_t other = *a;
  *a = *b;
  *b = other;
}

// Moves the keys above *pivot, one of the n keys, to the front, and *pivot after them. Returns how
// many they are.
static int partition(uint64_t *keys, int n, uint64_t *pivot) {
  int above = 0;
  swap(pivot, &keys[n - 1]);
  for (int i = 0; i < n - 1; i++)
    if (keys[i] > keys[n - 1])
      swap(&keys[i], &keys[above++]);
  swap(&keys[above], &keys[n - 1]);
  return above;
}

// Finds the last token of the order that top_p and top_k keep: a quickselect by weight and number.
// `limit` is the most that the tokens before a kept one may weigh. Returns its key.
static uint64_t last_kept(const struct distribution *distribution, uint64_t *keys, int n,
                          uint64_t limit, int32_t top_k) {
  uint64_t last = UINT64_MAX, before = 0;
  for (int32_t count = 0; n > 0;) {
    const int above = partition(keys, n, &keys[n / 2]);
    uint64_t weight = 0;
    for (int i = 0; i < above; i++)
      weight += distribution->weight[id_of(keys[i])];
    if (before + weight > limit || count + above >= top_k) {
      n = above;
      continue;
    }
    last = keys[above];
    before += weight + distribution->weight[id_of(last)];
    count += above + 1;
    keys += above + 1;
    n -= above + 1;
  }
  return last;
}

// Sets the weights of tokens that are not kept to 0. If a token is kept by top_p, it and those
// after it weigh at least total - limit, so it weighs at least that divided by their number: only
// such tokens are put in order.
static void cut(struct distribution *distribution, const float *logits, const struct draw *draw) {
  const uint64_t total = distribution->total, least = (uint64_t)(draw->min_p * DRAW_UNIT);
  const uint64_t limit =
      draw->top_p < DRAW_ALL_P ? (uint64_t)((double)draw->top_p * (double)total) : total;
  const uint64_t possible = (total - limit) / (uint64_t)distribution->vocab;
  int n = 0;
  for (int32_t i = 0; i < distribution->vocab; i++)
    if (distribution->weight[i] > 0 && distribution->weight[i] >= possible)
      distribution->order[n++] = key_of(logits[i], i);
  const uint64_t last = last_kept(distribution, distribution->order, n, limit, draw->top_k);
  for (int32_t i = 0; i < distribution->vocab; i++)
    if (distribution->weight[i] < least || key_of(logits[i], i) < last)
      distribution->weight[i] = 0;
}

// ---- setting and drawing ----

void distribution_set(struct distribution *distribution, const float *logits,
                      const struct draw *draw) {
  const int vocab = distribution->vocab;
  const float sharpness = draw->sharpness;
  const int32_t first = distribution->first = first_of(logits, vocab);
  distribution->total = 0;
  if (sharpness == 0 || first == PICKED_NAN || first == PICKED_NOTHING)
    return;
  const float greatest = logits[first];
  PARALLEL_FOR(vocab)
  for (int i = 0; i < vocab; i++)
    distribution->weight[i] = weight_of(logits[i], greatest, sharpness);
  if (add_up(distribution) > 0 &&
      (draw->top_p < DRAW_ALL_P || draw->top_k < DRAW_ALL_K || draw->min_p > 0)) {
    cut(distribution, logits, draw);
    add_up(distribution);
  }
}

// Returns the first of the n weights at which their running sum exceeds *target, and subtracts the
// weights before it.
static int find(const uint64_t *weight, int n, uint64_t *target) {
  int i = 0;
  for (; i < n - 1 && weight[i] <= *target; i++)
    *target -= weight[i];
  return i;
}

int32_t distribution_pick(const struct distribution *distribution, double uniform) {
  const uint64_t total = distribution->total;
  if (total == 0)
    return distribution->first;
  uint64_t target = (uint64_t)(uniform * (double)total);
  target = target < total ? target : total - 1; // the product can round up to the total
  const int segment = find(distribution->segment, segments_of(distribution->vocab), &target);
  const int first = segment * SEGMENT, left = distribution->vocab - first;
  return first + find(distribution->weight + first, left < SEGMENT ? left : SEGMENT, &target);
}
