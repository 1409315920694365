// The whole forward pass in plain C, straight from a checkpoint's tensors, for any config. Every
// target is tested against it. It is slow on purpose and shares no code with the generated files.
#ifndef GETP_REFERENCE_REFERENCE_H
#define GETP_REFERENCE_REFERENCE_H

#include "checkpoint/checkpoint.h"
#include "checkpoint/config.h"

// Called once per position, in order, with the logits (vocab) and the hidden states (n_layers + 1,
// d_model) of that position: the embedding, the residual stream after each layer but the last, and
// the output of the final norm, which is what HF calls hidden_states. If it returns false, the run
// stops and fails with the error that the callback wrote.
typedef bool (*reference_visit)(void *context, int position, const float *logits,
                                const float *hidden, struct error *err);

// Called in each layer of each position, in order, with the router's logits (n_experts) before the
// experts are chosen. If the callback changes them, it changes the choice and the weights.
typedef void (*reference_route)(void *context, int layer, int position, float *router);

// Runs one sequence of n > 0 token ids from position 0. Fails if an id is outside the vocabulary,
// if a tensor is missing or has another shape, and when memory runs out.
bool reference_run(const struct checkpoint *checkpoint, const struct model_config *config,
                   const int32_t *ids, int n, reference_visit visit, void *context,
                   struct error *err);

// The same, with a callback that may change the choice of experts; on_route may be NULL.
bool reference_run_routed(const struct checkpoint *checkpoint, const struct model_config *config,
                          const int32_t *ids, int n, reference_visit visit,
                          reference_route on_route, void *context, struct error *err);

#endif
