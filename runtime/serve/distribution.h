// The probabilities of all tokens, by the rule of formats/draw.h, and draws from them.
#ifndef GETP_SERVE_DISTRIBUTION_H
#define GETP_SERVE_DISTRIBUTION_H

#include "base/error.h"
#include "formats/draw.h"

struct distribution {
  int vocab;
  uint64_t *weight;  // (vocab), 0 if the token is not kept
  uint64_t *segment; // the sums of the weights of some hundred ids each
  uint64_t *order;   // (vocab), scratch
  uint64_t total;    // of all weights; 0 if no token can be drawn
  int32_t first;     // the first token of the order, or PICKED_NAN or PICKED_NOTHING
};

// Allocates a distribution of `vocab` tokens. distribution_close must follow, even after a failure.
bool distribution_open(struct distribution *distribution, int vocab, struct error *err);
void distribution_close(struct distribution *distribution);

// Sets the weights from logits (vocab), as `draw` says; its uniform is not read. O(vocab).
void distribution_set(struct distribution *distribution, const float *logits,
                      const struct draw *draw);

// The token that `uniform` draws; `first` if the total is 0. O(sqrt(vocab)) for the vocabularies of
// language models.
int32_t distribution_pick(const struct distribution *distribution, double uniform);

#endif
