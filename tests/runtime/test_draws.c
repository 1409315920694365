// A million draws of the host from a vocabulary of gpt-oss's size, against exact probabilities.
#include "serve/sampler.h"

#include "draw_support.h"
#include "support.h"

#include <stdio.h>
#include <string.h>

enum { VOCAB = 201088, DRAWS = 1000000 };

static void draws_follow_the_distribution(void **state) {
  static float logits[VOCAB];
  static double p[VOCAB];
  static int counts[VOCAB];
  struct distribution distribution;
  struct error err;
  bool good = true;
  (void)state;
  assert_true(distribution_open(&distribution, VOCAB, &err));
  for (int kind = 0; kind < DRAW_KINDS; kind++) {
    draw_logits(kind, logits, VOCAB);
    for (int way = 0; way < DRAW_WAYS; way++) {
      char what[100];
      const struct draw draw = draw_way(way);
      distribution_set(&distribution, logits, &draw);
      draw_probabilities(logits, VOCAB, &draw, p);
      memset(counts, 0, sizeof counts);
      for (int i = 0; i < DRAWS; i++)
        counts[distribution_pick(&distribution, sampler_uniform(9, (uint64_t)way, (uint64_t)i))]++;
      snprintf(what, sizeof what, "%s, %s", DRAW_KIND_NAMES[kind], DRAW_WAY_NAMES[way]);
      good = draw_counts_follow(what, counts, p, VOCAB, DRAWS) && good;
    }
  }
  distribution_close(&distribution);
  assert_true(good);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(draws_follow_the_distribution)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
