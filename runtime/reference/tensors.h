// The tensors of a HF gpt-oss checkpoint by role, and matrix-vector products that read them in the
// map, expanding a few hundred bytes at a time.
#ifndef GETP_REFERENCE_TENSORS_H
#define GETP_REFERENCE_TENSORS_H

#include "checkpoint/config.h"
#include "checkpoint/safetensors.h"

struct matrix {
  const struct tensor *weight; // (rows, cols)
  const struct tensor *bias;   // (rows), or NULL
  size_t rows, cols;
};

// One matrix an expert. Packed: blocks and scales; plain: the transpose, which is how HF stores it.
struct expert_matrix {
  const struct tensor *blocks; // (experts, rows, cols / 32, 16), or NULL
  const struct tensor *scales; // (experts, rows, cols / 32), or NULL
  const struct tensor *plain;  // (experts, cols, rows), or NULL
  const struct tensor *bias;   // (experts, rows)
  size_t rows, cols;
};

struct layer_weights {
  const struct tensor *attention_norm; // (hidden)
  struct matrix q, k, v, o;
  const struct tensor *sinks;    // (heads)
  const struct tensor *mlp_norm; // (hidden)
  struct matrix router;
  struct expert_matrix gate_up; // rows 2j and 2j + 1 are gate and linear value j
  struct expert_matrix down;
};

struct weights {
  struct matrix embedding;   // (vocab, hidden)
  const struct tensor *norm; // (hidden)
  struct matrix head;        // (vocab, hidden)
  struct layer_weights *layers;
};

// Finds every tensor that the config calls for. Fails on one that is missing, of another shape, or
// whose dtype does not fit its role. The caller frees weights->layers, whatever the result.
bool weights_find(struct weights *weights, const struct safetensors *checkpoint,
                  const struct model_config *config, struct error *err);

// The n elements of a float tensor that begin at element `first`.
void tensor_read(float *out, const struct tensor *tensor, size_t first, size_t n);

// out (rows) = W x + b for x (cols), sums in double.
void matrix_times(float *out, const struct matrix *matrix, const float *x);

// The same with the matrix of one expert.
void expert_times(float *out, const struct expert_matrix *matrix, size_t expert, const float *x);

#endif
