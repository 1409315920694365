#include "draw_support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { RANGES = 64 };
static const double EXPECTED = 5, DEVIATIONS = 4.5;

const char *const DRAW_KIND_NAMES[DRAW_KINDS] = {"peaked", "flat", "two humps"};
const char *const DRAW_WAY_NAMES[DRAW_WAYS] = {"all", "top-p 0.9", "top-p 0.5", "top-k", "min-p"};

// A number from 0 to 1 for each id, by the high bits of a multiplicative hash.
static double hash(uint32_t id) {
  const uint32_t mixed = (id ^ id >> 9) * 2654435761u;
  return (double)(mixed ^ mixed >> 15) * 0x1p-32;
}

void draw_logits(int kind, float *logits, int vocab) {
  for (int id = 0; id < vocab; id++) {
    const double h = hash((uint32_t)id);
    logits[id] = kind == 0   ? (float)(-1.25 * log(h * vocab + 0.5))
                 : kind == 1 ? 3.5f
                             : (float)((h < 0.5 ? 5 : 1) + hash((uint32_t)id * 7 + 3));
  }
}

struct draw draw_way(int way) {
  struct draw draw = {.sharpness = 1.44269504f, .top_p = DRAW_ALL_P, .top_k = DRAW_ALL_K};
  draw.top_p = way == 1 ? 0.9f : way == 2 ? 0.5f : DRAW_ALL_P;
  draw.top_k = way == 3 ? 1000 : DRAW_ALL_K;
  draw.min_p = way == 4 ? 0.0625f : 0;
  return draw;
}

// ---- exact probabilities ----

struct token {
  double p;
  float logit;
  int id;
};

static int by_order(const void *a, const void *b) {
  const struct token *x = a, *y = b;
  return x->logit != y->logit ? (x->logit < y->logit) - (x->logit > y->logit)
                              : (x->id > y->id) - (x->id < y->id);
}

void draw_probabilities(const float *logits, int vocab, const struct draw *draw, double *p) {
  struct token *tokens = malloc((size_t)vocab * sizeof *tokens);
  double total = 0, before = 0, kept = 0;
  if (!tokens)
    abort();
  for (int i = 0; i < vocab; i++)
    tokens[i] = (struct token){0, logits[i], i};
  qsort(tokens, (size_t)vocab, sizeof *tokens, by_order);
  for (int i = 0; i < vocab; i++) {
    tokens[i].p =
        exp2(((double)tokens[i].logit - (double)tokens[0].logit) * (double)draw->sharpness);
    total += tokens[i].p;
  }
  for (int i = 0; i < vocab; i++) {
    const bool keep = (draw->top_p >= DRAW_ALL_P || before <= (double)draw->top_p * total) &&
                      i < draw->top_k && tokens[i].p >= (double)draw->min_p;
    before += tokens[i].p;
    p[tokens[i].id] = keep ? tokens[i].p : 0;
    kept += keep ? tokens[i].p : 0;
  }
  for (int i = 0; i < vocab; i++)
    p[i] /= kept;
  free(tokens);
}

// ---- counts ----

// Pearson's statistic as standard deviations from its mean. A bin ends when it expects at least
// `least` draws; the last one may expect fewer and is put into the bin before it.
static double deviations(const int *counts, const double *p, int vocab, double draws,
                         double least) {
  double statistic = 0, expected = 0, seen = 0, last = 0, last_expected = 0, last_seen = 0;
  int bins = 0;
  for (int i = 0; i < vocab; i++) {
    expected += p[i] * draws;
    seen += counts[i];
    if (expected >= least) {
      last_expected = expected;
      last_seen = seen;
      last = pow(seen - expected, 2) / expected;
      statistic += last;
      expected = seen = 0;
      bins++;
    }
  }
  if (bins > 0)
    statistic +=
        pow(last_seen + seen - last_expected - expected, 2) / (last_expected + expected) - last;
  return bins > 1 ? (statistic - (bins - 1)) / sqrt(2.0 * (bins - 1)) : 0;
}

bool draw_counts_follow(const char *what, const int *counts, const double *p, int vocab,
                        int draws) {
  const double by_id = deviations(counts, p, vocab, draws, EXPECTED);
  const double by_range = deviations(counts, p, vocab, draws, (double)draws / RANGES);
  int lost = 0;
  for (int i = 0; i < vocab; i++)
    lost += counts[i] > 0 && p[i] == 0;
  const bool good = fabs(by_id) <= DEVIATIONS && fabs(by_range) <= DEVIATIONS && lost == 0;
  printf("%s %s: chi-squared of %d draws: %.2f deviations by id, %.2f by range, %d ids not kept\n",
         good ? "ok" : "not ok", what, draws, by_id, by_range, lost);
  return good;
}
