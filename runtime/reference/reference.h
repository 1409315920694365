// The whole forward pass in plain C, straight from a checkpoint's tensors, for any config: the
// oracle of every target. Slow on purpose; it shares no code with the generated files.
#ifndef GETP_REFERENCE_REFERENCE_H
#define GETP_REFERENCE_REFERENCE_H

#include "checkpoint/config.h"
#include "checkpoint/safetensors.h"

// Called once for each position, in order, with that position's logits (vocab_size floats) and its
// hidden states ((n_layers + 1) * hidden_size floats: the embedding, then the residual stream after
// each layer but the last, then the final norm's output: what HF calls hidden_states). Returning
// false stops the run, and reference_run fails with the error that the callback wrote.
typedef bool (*reference_visit)(void *context, int position, const float *logits,
                                const float *hidden, struct error *err);

// Called in each layer of each position, in order, with the router's logits (n_experts), before the
// experts are chosen by them: a change there changes the choice and the weights.
typedef void (*reference_route)(void *context, int layer, int position, float *router);

// Runs one sequence of n > 0 token ids from position 0. Fails on an id outside the vocabulary, on a
// missing tensor or one of another shape, and when memory runs out.
bool reference_run(const struct safetensors *checkpoint, const struct model_config *config,
                   const int32_t *ids, int n, reference_visit visit, void *context,
                   struct error *err);

// The same with a hand in the choice of experts.
bool reference_run_routed(const struct safetensors *checkpoint, const struct model_config *config,
                          const int32_t *ids, int n, reference_visit visit,
                          reference_route on_route, void *context, struct error *err);

#endif
