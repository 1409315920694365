// What tests of draws share: logits of several kinds, the exact probabilities of formats/draw.h,
// and whether counts of drawn ids follow them.
#ifndef GETP_TESTS_DRAW_SUPPORT_H
#define GETP_TESTS_DRAW_SUPPORT_H

#include "formats/draw.h"

#include <stdbool.h>

enum { DRAW_KINDS = 3, DRAW_WAYS = 5 };

// A kind: few tokens hold most of the probability; all logits are equal; half of the tokens, spread
// over the vocabulary, are some exp(4) times as probable as the others.
extern const char *const DRAW_KIND_NAMES[DRAW_KINDS];
void draw_logits(int kind, float *logits, int vocab);

// A way: from all tokens; top-p 0.9; top-p 0.5; top-k; min-p.
extern const char *const DRAW_WAY_NAMES[DRAW_WAYS];
struct draw draw_way(int way);

// Sets the probabilities p (vocab) of a draw, computed in double after a sort.
void draw_probabilities(const float *logits, int vocab, const struct draw *draw, double *p);

// Pearson's chi-squared test of `draws` counts (vocab) against p, by ids and by 64 ranges of ids.
// Neighbouring ids are put together until 5 draws are expected. Prints both as standard deviations
// from the mean, and returns false if one is beyond 4.5, or if a token with p = 0 was drawn.
bool draw_counts_follow(const char *what, const int *counts, const double *p, int vocab, int draws);

#endif
