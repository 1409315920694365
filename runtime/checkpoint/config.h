// The config.json of a checkpoint, as the C side needs it: to refuse a
// checkpoint that a binary was not generated for, and to run reference.c on any config.
#ifndef GETP_CHECKPOINT_CONFIG_H
#define GETP_CHECKPOINT_CONFIG_H

#include "base/error.h"

#include <stdint.h>

enum { CONFIG_MAX_LAYERS = 512 };

// RoPE parameters as config.json states them; theta and the factors are positive.
struct rope_config {
  bool yarn; // false: rope_type "default", and only theta counts
  bool truncate;
  double theta;
  double factor;
  double beta_fast, beta_slow;
  double original_max_positions;
  double attention_factor; // scale of cos and sin; computed from factor where config.json is silent
};

// Everything in a config.json that changes the arithmetic.
struct model_config {
  int32_t vocab;
  int32_t d_model;
  int32_t d_ff;
  int32_t n_layers;
  int32_t n_heads, n_kv_heads, d_head;
  int32_t n_experts, top_k;
  int32_t window;                          // 0 exactly if every layer is full
  char layer_types[CONFIG_MAX_LAYERS + 1]; // one letter a layer: 's' sliding, 'f' full
  double eps;
  double limit, alpha;
  bool attention_bias;
  bool tied;
  bool mxfp4; // expert matrices are packed
  struct rope_config rope;
};

// Reads DIRECTORY/config.json (HF, with rope_scaling or rope_parameters) and fills in HF's
// defaults, but none for the sizes of the model. Refuses a value that is missing, of another type
// or out of range, by key. Keys that it does not know are the generator's to refuse
// (gen/config.lua).
bool model_config_read(struct model_config *config, const char *directory, struct error *err);

// True if both describe the same arithmetic; else names the first key that differs. `got` is the
// checkpoint's, `want` the one that the binary was generated from. Numbers need to be equal to the
// precision of a float only.
bool model_config_same(const struct model_config *want, const struct model_config *got,
                       struct error *err);

#endif
