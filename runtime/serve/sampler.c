#include "serve/sampler.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

bool sampler_open(struct sampler *sampler, float temperature, float top_p, uint64_t seed, int vocab,
                  struct error *err) {
  *sampler = (struct sampler){temperature, top_p, seed, vocab, NULL};
  sampler->candidates = malloc((size_t)vocab * sizeof *sampler->candidates);
  return sampler->candidates ? true : fail(err, "sampler: out of memory for %d tokens", vocab);
}

void sampler_close(struct sampler *sampler) {
  free(sampler->candidates);
  sampler->candidates = NULL;
}

// One step of splitmix64 (Steele, Lea, Flood 2014).
static uint64_t mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
  x = (x ^ x >> 27) * 0x94d049bb133111ebu;
  return x ^ x >> 31;
}

double sampler_uniform(uint64_t seed, uint64_t request, uint64_t position) {
  return (double)(mix(mix(mix(seed) ^ request) ^ position) >> 11) * 0x1p-53;
}

static int32_t largest(const float *logits, int n) {
  int32_t best = 0;
  for (int32_t i = 1; i < n; i++)
    if (logits[i] > logits[best])
      best = i;
  return best;
}

static int by_probability(const void *a, const void *b) {
  const struct candidate *x = a, *y = b;
  if (x->p != y->p)
    return x->p < y->p ? 1 : -1;
  return (x->id > y->id) - (x->id < y->id);
}

// Sorts the tokens of the top_p set to the front, most probable first. Returns their number and, in
// *sum, their total. A token with less than (1 - top_p) / (vocab - 1) of the total is not in the
// set: it and the tokens below it could not make up the rest. So only the others are sorted.
static int nucleus(const struct sampler *sampler, int32_t best, double total, double *sum) {
  struct candidate *candidates = sampler->candidates;
  const double cutoff = total * (1 - (double)sampler->top_p) / (sampler->vocab - 1);
  int kept = 0, n = 0;
  for (int i = 0; i < sampler->vocab; i++)
    if (candidates[i].p >= cutoff || candidates[i].id == best)
      candidates[kept++] = candidates[i];
  qsort(candidates, (size_t)kept, sizeof *candidates, by_probability);
  for (*sum = 0; n < kept && *sum <= total * (double)sampler->top_p; n++)
    *sum += candidates[n].p;
  return n;
}

int32_t sampler_pick(const struct sampler *sampler, const float *logits, uint64_t request,
                     uint64_t position) {
  const int32_t best = largest(logits, sampler->vocab);
  if (sampler->temperature == 0)
    return best;
  double sum = 0;
  for (int i = 0; i < sampler->vocab; i++) {
    const double p = exp(((double)logits[i] - (double)logits[best]) / (double)sampler->temperature);
    sampler->candidates[i] = (struct candidate){p, i};
    sum += p;
  }
  int n = sampler->vocab;
  if (sampler->top_p > 0 && sampler->top_p < 1)
    n = nucleus(sampler, best, sum, &sum);
  double left = sampler_uniform(sampler->seed, request, position) * sum;
  for (int i = 0; i < n; i++) {
    left -= sampler->candidates[i].p;
    if (left < 0)
      return sampler->candidates[i].id;
  }
  return best; // rounding ran past the end
}

float sampler_sharpness(const struct sampler *sampler) {
  return sampler->temperature == 0 ? 0 : fminf(1 / sampler->temperature, FLT_MAX);
}

int32_t sampler_pick_candidates(const struct sampler *sampler, const struct candidates *candidates,
                                uint64_t request, uint64_t position) {
  const bool cut = sampler->top_p > 0 && sampler->top_p < 1;
  const double bound = cut ? (double)sampler->top_p * (double)candidates->total : INFINITY;
  const float sharpness = sampler_sharpness(sampler), best = candidates->logit[0];
  float p[CANDIDATES];
  double sum = 0;
  int n = 0;
  for (; n < CANDIDATES && candidates->id[n] >= 0 && sum <= bound; n++)
    sum += (double)(p[n] = expf((candidates->logit[n] - best) * sharpness));
  double left = sampler_uniform(sampler->seed, request, position) * sum;
  for (int i = 0; i < n; i++) {
    left -= (double)p[i];
    if (left < 0)
      return candidates->id[i];
  }
  return candidates->id[0]; // rounding ran past the end
}
