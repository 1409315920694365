// Reads the config.json of a checkpoint. A getp refuses a checkpoint that it was not generated for;
// the reference runs any config.
#ifndef GETP_CHECKPOINT_CONFIG_H
#define GETP_CHECKPOINT_CONFIG_H

#include "base/json.h"

#include <stdint.h>

enum { CONFIG_MAX_LAYERS = 512 };

// RoPE parameters as config.json states them; theta and the factors are positive.
struct rope_config {
  bool yarn; // false: rope_type "default", which uses theta alone
  bool truncate;
  double theta;
  double factor;
  double beta_fast, beta_slow;
  double original_max_positions;
  double attention_factor; // scale of cos and sin; if config.json has none, follows from factor
};

// Everything in a config.json that changes the arithmetic.
struct model_config {
  int32_t vocab;
  int32_t d_model;
  int32_t d_ff;
  int32_t n_layers;
  int32_t n_heads, n_kv_heads, d_head;
  int32_t n_experts, top_k;
  int32_t window;                          // 0 if and only if every layer is full
  char layer_types[CONFIG_MAX_LAYERS + 1]; // a letter per layer: 's' sliding, 'f' full
  double eps;
  double limit, alpha;
  bool attention_bias;
  bool tied;
  bool mxfp4; // the expert matrices are MXFP4
  struct rope_config rope;
};

// Reads DIRECTORY/config.json: HF's with rope_scaling or rope_parameters, OpenAI's original one, or
// the one of the exporter of .bin files. Fills in HF's and OpenAI's defaults, except for the sizes
// of the model, which must be there. Accepts what the generator accepts (gen/config.lua), and names
// the key of a value that is missing, of another type or out of range. Ignores keys that it does
// not know and modules_to_not_convert, which the generator checks.
bool model_config_read(struct model_config *config, const char *directory, struct error *err);

// The same for a config that is JSON already; `path` names it in messages.
bool model_config_parse(struct model_config *config, const char *path, const json_t *object,
                        struct error *err);

// True if both configs describe the same arithmetic. Otherwise names the first key that differs.
// `where` is the file that got comes from, or NULL for a config.json, in messages.
// `got` is that of the checkpoint, `want` the one that this getp was generated from. Real numbers
// need to agree only as floats.
bool model_config_same(const struct model_config *want, const struct model_config *got,
                       const char *where, struct error *err);

#endif
