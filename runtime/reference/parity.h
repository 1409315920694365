// GETP_PARITY=N: the logits that the engine computes for a sequence against those of reference.c.
// One line on stderr tells how far apart they are.
#ifndef GETP_REFERENCE_PARITY_H
#define GETP_REFERENCE_PARITY_H

#include "serve/batch.h"

// The largest relative L2 error of a position that passes: of an engine with floats between its
// steps, and of one with halves.
#define PARITY_BOUND 1e-3
#define PARITY_BOUND_HALVES 1.5e-2

// The worst of all positions so far; zeroed at the beginning. A NaN is worse than any number.
struct parity_error {
  double max_abs;
  double max_rel; // the difference over the largest logit of its position, both without signs
  double l2;      // of a position: |got - want| / |want|
  int position;   // where l2 is
};

// Adds a position's logits (vocab).
void parity_add(struct parity_error *error, int position, const float *got, const float *want,
                int vocab);

// N of the environment, 0 if it is not set. Refuses what is no integer from 1 up.
bool parity_positions(int *positions, struct error *err);

// Runs the first n > 0 ids of a sequence, at most the context, through the engine, which must be
// warm, and through reference.c. Fails on a position beyond the bound. A signal ends it early,
// without a verdict and without an error.
bool parity_check(struct engine *engine, const struct batch_options *options,
                  const struct safetensors *checkpoint, const struct model_config *config,
                  const int32_t *ids, int n, struct error *err);

#endif
