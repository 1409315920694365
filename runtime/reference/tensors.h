// The tensors of a HF gpt-oss checkpoint by role, and matrix-vector products that read them where
// they are mapped and widen a few hundred bytes at a time.
#ifndef GETP_REFERENCE_TENSORS_H
#define GETP_REFERENCE_TENSORS_H

#include "checkpoint/checkpoint.h"
#include "checkpoint/config.h"

struct matrix {
  const struct tensor *weight; // (features, columns)
  const struct tensor *bias;   // (features) or NULL
  size_t features, columns;
};

// One matrix per expert: MXFP4 blocks and scales, or plain floats.
struct expert_matrix {
  const struct tensor *blocks; // (n_experts, features, columns / 32, 16) or NULL
  const struct tensor *scales; // (n_experts, features, columns / 32) or NULL
  const struct tensor *plain;  // (n_experts, columns, features), or flipped, or NULL
  const struct tensor *bias;   // (n_experts, features)
  size_t features, columns;
};

struct layer_weights {
  const struct tensor *attention_norm; // (d_model)
  struct matrix q, k, v, o;
  const struct tensor *sinks;    // (n_heads)
  const struct tensor *mlp_norm; // (d_model)
  struct matrix router;
  struct expert_matrix gate_up; // features 2j and 2j + 1 are gate and linear value j
  struct expert_matrix down;
};

struct weights {
  struct matrix embedding;   // (vocab, d_model)
  const struct tensor *norm; // (d_model)
  struct matrix head;        // (vocab, d_model)
  struct layer_weights *layers;
};

// Finds every tensor of the model. Fails if one is missing, has another shape, or has a dtype that
// does not fit its role. The caller frees weights->layers, even after a failure.
bool weights_find(struct weights *weights, const struct checkpoint *checkpoint,
                  const struct model_config *config, struct error *err);

// Widens n elements of a float tensor, from element `first` on.
void tensor_read(float *out, const struct tensor *tensor, size_t first, size_t n);

// out (features) = W x + b for x (columns). Sums are doubles.
void matrix_times(float *out, const struct matrix *matrix, const float *x);

// The same with the matrix of one expert.
void expert_times(float *out, const struct expert_matrix *matrix, size_t expert, const float *x);

#endif
