#include "serve/sampler.h"

#include <float.h>
#include <math.h>

bool sampler_open(struct sampler *sampler, const struct sampling *sampling, int vocab,
                  struct error *err) {
  sampler->sampling = *sampling;
  return distribution_open(&sampler->distribution, vocab, err);
}

void sampler_close(struct sampler *sampler) {
  distribution_close(&sampler->distribution);
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

struct draw sampler_draw(const struct sampler *sampler, uint64_t request, uint64_t position) {
  const struct sampling *s = &sampler->sampling;
  return (struct draw){
      .uniform = sampler_uniform(s->seed, request, position),
      .sharpness = s->temperature == 0 ? 0 : fminf((float)M_LOG2E / s->temperature, FLT_MAX),
      .top_p = s->top_p > 0 ? s->top_p : DRAW_ALL_P,
      .min_p = s->min_p,
      .top_k = s->top_k > 0 ? s->top_k : DRAW_ALL_K,
  };
}

int32_t sampler_pick(struct sampler *sampler, const struct draw *draw, const float *logits) {
  distribution_set(&sampler->distribution, logits, draw);
  return distribution_pick(&sampler->distribution, draw->uniform);
}
