// GETP_PARITY=N: compares the logits that the engine computes for a sequence with those of
// reference.c. One line on stderr says how far apart they are.
#ifndef GETP_REFERENCE_PARITY_H
#define GETP_REFERENCE_PARITY_H

#include "serve/batch.h"

// The largest relative L2 error that a position may have: in a tree whose activations are floats,
// and in one whose activations are halves.
#define PARITY_BOUND 1e-3
#define PARITY_BOUND_HALVES 1.5e-2

// The largest errors of all positions so far; zeroed means none. A NaN counts as larger than any
// number.
struct parity_error {
  double max_abs;
  double max_rel; // max_abs of a position / the largest |logit| of that position
  double l2;      // |got - want| / |want| of a position
  int position;   // the position of l2
};

// Adds one position with its logits (vocab).
void parity_add(struct parity_error *error, int position, const float *got, const float *want,
                int vocab);

// *positions = N of the environment, or 0 if it is not set. Refuses anything but an integer of at
// least 1.
bool parity_positions(int *positions, struct error *err);

// Compares the logits of a sequence of n ids, from 1 to the context. The engine must be warm. Fails
// if a position exceeds the bound. A signal ends it early, without a verdict and without an error.
bool parity_check(struct engine *engine, const struct batch_options *options,
                  const struct checkpoint *checkpoint, const struct model_config *config,
                  const int32_t *ids, int n, struct error *err);

#endif
