// The keys of a HF config.json that change the arithmetic, their defaults and their ranges.
#include "checkpoint/config.h"

#include "base/json.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// The JSON object that is being read. Messages name its keys PREFIX + key.
struct reader {
  const char *path;
  const char *prefix;
  const json_t *object;
  struct error *err;
};

// A whole number in 1..2^31-1. With a fallback of 0 the key is required: HF has defaults for these
// too, but they are the sizes of one model, and a file without the key is damaged.
struct int_field {
  const char *key, *alias;
  size_t offset;
  int32_t fallback;
};

// A positive number. With a fallback of 0 the key is required.
struct real_field {
  const char *key;
  size_t offset;
  double fallback;
};

// The defaults come from HF's configuration_gpt_oss.py.
static const struct int_field SIZES[] = {
    {"vocab_size", NULL, offsetof(struct model_config, vocab), 0},
    {"hidden_size", NULL, offsetof(struct model_config, d_model), 0},
    {"intermediate_size", NULL, offsetof(struct model_config, d_ff), 0},
    {"num_hidden_layers", NULL, offsetof(struct model_config, n_layers), 0},
    {"num_attention_heads", NULL, offsetof(struct model_config, n_heads), 0},
    {"num_key_value_heads", NULL, offsetof(struct model_config, n_kv_heads), 0},
    {"head_dim", NULL, offsetof(struct model_config, d_head), 64},
    {"num_local_experts", "num_experts", offsetof(struct model_config, n_experts), 0},
    {"num_experts_per_tok", "experts_per_token", offsetof(struct model_config, top_k), 0},
};

static const struct real_field REALS[] = {
    {"rms_norm_eps", offsetof(struct model_config, eps), 1e-5},
    {"swiglu_limit", offsetof(struct model_config, limit), 7},
    {"swiglu_alpha", offsetof(struct model_config, alpha), 1.702},
};

// The YaRN parameters with a default of their own.
static const struct real_field YARN_REALS[] = {
    {"factor", offsetof(struct rope_config, factor), 0},
    {"beta_fast", offsetof(struct rope_config, beta_fast), 32},
    {"beta_slow", offsetof(struct rope_config, beta_slow), 1},
};

// HF's default for gpt-oss, if config.json has neither rope_scaling nor rope_parameters.
static const struct rope_config DEFAULT_YARN = {
    .yarn = true,
    .factor = 32,
    .beta_fast = 32,
    .beta_slow = 1,
    .original_max_positions = 4096,
};

static const char ORIGINAL_POSITIONS[] = "original_max_position_embeddings";
static const double DEFAULT_THETA = 150000;
static const int32_t DEFAULT_WINDOW = 128;

#define COUNT(array) (sizeof(array) / sizeof *(array))

static int32_t *int_at(struct model_config *config, const struct int_field *field) {
  return (int32_t *)(void *)((char *)config + field->offset);
}

static double *real_at(void *record, const struct real_field *field) {
  return (double *)(void *)((char *)record + field->offset);
}

static bool refuse(const struct reader *reader, const char *key, const char *want,
                   const json_t *found) {
  char name[128];
  snprintf(name, sizeof name, "%s%s", reader->prefix, key);
  return json_refuse(reader->path, name, want, found, reader->err);
}

// The value of a key, or NULL if it is missing or null.
static const json_t *value_of(const struct reader *reader, const char *key) {
  const json_t *value = json_object_get(reader->object, key);
  return json_is_null(value) ? NULL : value;
}

// Reads a whole number in [low, high], written 4 or 4.0.
static bool whole_number(const json_t *value, int32_t low, int32_t high, int32_t *out) {
  double number = json_number_value(value);
  if (!json_is_number(value) || number != floor(number) || number < low || number > high)
    return false;
  *out = (int32_t)number;
  return true;
}

static bool read_whole(const struct reader *reader, const char *key, int32_t low, int32_t high,
                       int32_t *out) {
  char want[64];
  const json_t *value = value_of(reader, key);
  snprintf(want, sizeof want, "an integer from %" PRId32 " to %" PRId32, low, high);
  return whole_number(value, low, high, out) || refuse(reader, key, want, value);
}

static bool read_positive(const struct reader *reader, const char *key, double *out) {
  const json_t *value = value_of(reader, key);
  *out = json_number_value(value);
  return (json_is_number(value) && *out > 0) || refuse(reader, key, "a positive number", value);
}

static bool read_bool(const struct reader *reader, const char *key, bool fallback, bool *out) {
  const json_t *value = value_of(reader, key);
  *out = value ? json_is_true(value) : fallback;
  return !value || json_is_boolean(value) || refuse(reader, key, "true or false", value);
}

// Reads field->key, or else field->alias. If the file has both, they must agree.
static bool read_size(const struct reader *reader, const struct int_field *field, int32_t *out) {
  const json_t *alias = field->alias ? value_of(reader, field->alias) : NULL;
  if (!value_of(reader, field->key) && alias)
    return read_whole(reader, field->alias, 1, INT32_MAX, out);
  if (!value_of(reader, field->key) && field->fallback) {
    *out = field->fallback;
    return true;
  }
  int32_t other;
  if (!read_whole(reader, field->key, 1, INT32_MAX, out))
    return false;
  if (!alias || (whole_number(alias, 1, INT32_MAX, &other) && other == *out))
    return true;
  char want[96];
  snprintf(want, sizeof want, "%" PRId32 ", as %s says", *out, field->key);
  return refuse(reader, field->alias, want, alias);
}

// If num_key_value_heads is null, each query head has its own, as in HF.
static bool read_sizes(const struct reader *reader, struct model_config *config) {
  bool ungrouped = json_is_null(json_object_get(reader->object, "num_key_value_heads"));
  for (size_t i = 0; i < COUNT(SIZES); i++) {
    int32_t *out = int_at(config, &SIZES[i]);
    if (ungrouped && out == &config->n_kv_heads)
      *out = config->n_heads;
    else if (!read_size(reader, &SIZES[i], out))
      return false;
  }
  return true;
}

static bool read_reals(const struct reader *reader, const struct real_field *fields, size_t n,
                       void *record) {
  for (size_t i = 0; i < n; i++) {
    double *out = real_at(record, &fields[i]);
    *out = fields[i].fallback;
    if ((!*out || value_of(reader, fields[i].key)) && !read_positive(reader, fields[i].key, out))
      return false;
  }
  return true;
}

static bool check_sizes(const struct reader *reader, const struct model_config *config) {
  const json_t *object = reader->object;
  if (config->n_layers > CONFIG_MAX_LAYERS)
    return refuse(reader, "num_hidden_layers", "at most 512",
                  json_object_get(object, "num_hidden_layers"));
  if (config->n_heads % config->n_kv_heads)
    return refuse(reader, "num_key_value_heads", "a divisor of num_attention_heads",
                  json_object_get(object, "num_key_value_heads"));
  if (config->d_head % 2)
    return refuse(reader, "head_dim", "an even number", json_object_get(object, "head_dim"));
  if (config->top_k > config->n_experts)
    return fail(reader->err, "%s: num_experts_per_tok: want at most the %d experts, found %d",
                reader->path, config->n_experts, config->top_k);
  return true;
}

// The letter of a layer in layer_types, which is the first of its name; 0 for an unknown name.
static char layer_letter(const json_t *type) {
  const char *name = json_string_value(type);
  if (name && (!strcmp(name, "sliding_attention") || !strcmp(name, "full_attention")))
    return *name;
  return 0;
}

static const char *layer_name(char letter) {
  return letter == 's' ? "sliding_attention" : "full_attention";
}

static bool read_layer_types(const struct reader *reader, struct model_config *config) {
  const json_t *types = value_of(reader, "layer_types");
  if (types && (!json_is_array(types) || json_array_size(types) != (size_t)config->n_layers))
    return refuse(reader, "layer_types", "one name per layer", types);
  for (int i = 0; i < config->n_layers; i++) {
    const json_t *type = json_array_get(types, (size_t)i);
    char letter = types ? layer_letter(type) : i % 2 ? 'f' : 's';
    if (!letter)
      return refuse(reader, "layer_types", "sliding_attention or full_attention", type);
    config->layer_types[i] = letter;
  }
  return true;
}

// A window without sliding layers becomes 0, and without a window all layers become full: equal
// arithmetic then has equal configs.
static bool read_window(const struct reader *reader, struct model_config *config) {
  const json_t *window = json_object_get(reader->object, "sliding_window");
  config->window = window ? 0 : DEFAULT_WINDOW;
  if (window && !json_is_null(window) &&
      !read_whole(reader, "sliding_window", 0, INT32_MAX, &config->window))
    return false;
  if (!config->window)
    memset(config->layer_types, 'f', (size_t)config->n_layers);
  if (!strchr(config->layer_types, 's'))
    config->window = 0;
  return true;
}

static bool read_quantization(const struct reader *reader, struct model_config *config) {
  const json_t *value = value_of(reader, "quantization_config");
  const char *method = json_string_value(json_object_get(value, "quant_method"));
  config->mxfp4 = value;
  return !value || (method && !strcmp(method, "mxfp4")) ||
         refuse(reader, "quantization_config", "quant_method mxfp4 or no quantization", value);
}

// m(t) = 0.1 t ln(factor) + 1, and 1 up to factor 1 (HF modeling_rope_utils.py, get_mscale).
static double yarn_scale(double factor, double t) {
  return factor <= 1 ? 1 : 0.1 * t * log(factor) + 1;
}

// The scale of cos and sin: attention_factor, or else m(mscale) / m(mscale_all_dim) if both are
// given, or else m(1) (HF modeling_rope_utils.py, _compute_yarn_parameters).
static bool read_attention_factor(const struct reader *reader, struct rope_config *rope) {
  rope->attention_factor = yarn_scale(rope->factor, 1);
  if (value_of(reader, "attention_factor"))
    return read_positive(reader, "attention_factor", &rope->attention_factor);
  if (!value_of(reader, "mscale") || !value_of(reader, "mscale_all_dim"))
    return true;
  double above, below;
  if (!read_positive(reader, "mscale", &above) || !read_positive(reader, "mscale_all_dim", &below))
    return false;
  rope->attention_factor = yarn_scale(rope->factor, above) / yarn_scale(rope->factor, below);
  return true;
}

// HF falls back to max_position_embeddings of the model.
static bool read_original_positions(const struct reader *outer, const struct reader *inner,
                                    double *out) {
  if (!value_of(inner, ORIGINAL_POSITIONS) && value_of(outer, "max_position_embeddings"))
    return read_positive(outer, "max_position_embeddings", out);
  return read_positive(inner, ORIGINAL_POSITIONS, out);
}

static bool read_yarn(const struct reader *outer, const struct reader *inner,
                      struct rope_config *rope) {
  rope->yarn = true;
  if (!read_reals(inner, YARN_REALS, COUNT(YARN_REALS), rope) ||
      !read_original_positions(outer, inner, &rope->original_max_positions))
    return false;
  if (rope->factor < 1)
    return refuse(inner, "factor", "at least 1", value_of(inner, "factor"));
  return read_bool(inner, "truncate", true, &rope->truncate) && read_attention_factor(inner, rope);
}

static bool read_rope_type(const struct reader *outer, const struct reader *inner,
                           struct rope_config *rope) {
  const json_t *type = value_of(inner, "rope_type");
  if (!type)
    type = value_of(inner, "type"); // the spelling of older files
  const char *name = json_string_value(type);
  if (name && !strcmp(name, "yarn"))
    return read_yarn(outer, inner, rope);
  *rope = (struct rope_config){.factor = 1, .attention_factor = 1};
  return (name && !strcmp(name, "default")) || refuse(inner, "rope_type", "yarn or default", type);
}

// rope_theta is a key beside rope_scaling or inside rope_parameters. If the file has both, they
// must agree.
static bool read_theta(const struct reader *outer, const struct reader *inner, double *theta) {
  const json_t *beside = value_of(outer, "rope_theta"), *inside = value_of(inner, "rope_theta");
  double other = DEFAULT_THETA;
  if (beside && !read_positive(outer, "rope_theta", &other))
    return false;
  *theta = other;
  if (inside && !read_positive(inner, "rope_theta", theta))
    return false;
  if (inside && beside && *theta != other)
    return refuse(inner, "rope_theta", "the rope_theta beside it", inside);
  return *theta > 1 ||
         refuse(inside ? inner : outer, "rope_theta", "more than 1", inside ? inside : beside);
}

// The key is rope_scaling in transformers 4 and rope_parameters in 5. An explicit null is refused,
// since it means plain RoPE to version 4 and YaRN to version 5.
static bool read_rope(const struct reader *reader, struct rope_config *rope) {
  const json_t *scaling = json_object_get(reader->object, "rope_scaling");
  const json_t *parameters = json_object_get(reader->object, "rope_parameters");
  const json_t *given = scaling ? scaling : parameters;
  const char *key = scaling ? "rope_scaling" : "rope_parameters";
  if (scaling && parameters)
    return refuse(reader, "rope_parameters", "nothing beside rope_scaling", parameters);
  if (given && !json_is_object(given))
    return refuse(reader, key, "an object or no such key", given);

  const char *prefix = scaling ? "rope_scaling." : "rope_parameters.";
  struct reader inner = {reader->path, prefix, given, reader->err};
  *rope = DEFAULT_YARN;
  rope->attention_factor = yarn_scale(rope->factor, 1);
  return (!given || read_rope_type(reader, &inner, rope)) &&
         read_theta(reader, &inner, &rope->theta);
}

static bool read_model_type(const struct reader *reader) {
  const json_t *type = value_of(reader, "model_type");
  const char *name = json_string_value(type);
  return (name && !strcmp(name, "gpt_oss")) || refuse(reader, "model_type", "\"gpt_oss\"", type);
}

static bool read_all(const struct reader *reader, struct model_config *config) {
  return read_model_type(reader) && read_sizes(reader, config) && check_sizes(reader, config) &&
         read_layer_types(reader, config) && read_window(reader, config) &&
         read_reals(reader, REALS, COUNT(REALS), config) &&
         read_bool(reader, "attention_bias", true, &config->attention_bias) &&
         read_bool(reader, "tie_word_embeddings", false, &config->tied) &&
         read_quantization(reader, config) && read_rope(reader, &config->rope);
}

bool model_config_parse(struct model_config *config, const char *path, const json_t *object,
                        struct error *err) {
  const struct reader reader = {path, "", object, err};
  *config = (struct model_config){0};
  return read_all(&reader, config);
}

bool model_config_read(struct model_config *config, const char *directory, struct error *err) {
  struct json_file file;
  if (!json_file_open(&file, directory, "config.json", err))
    return false;
  const bool ok = model_config_parse(config, file.path, file.root, err);
  json_file_close(&file);
  return ok;
}

static bool refuse_difference(struct error *err, const char *key, const char *want,
                              const char *got) {
  return fail(
      err,
      "config.json: %s: want %s for this getp, found %s: generate one from this checkpoint's "
      "config.json",
      key, want, got);
}

static bool same_int(const char *key, int32_t want, int32_t got, struct error *err) {
  char want_text[16], got_text[16];
  snprintf(want_text, sizeof want_text, "%" PRId32, want);
  snprintf(got_text, sizeof got_text, "%" PRId32, got);
  return want == got || refuse_difference(err, key, want_text, got_text);
}

static bool same_bool(const char *key, bool want, bool got, struct error *err) {
  return want == got ||
         refuse_difference(err, key, want ? "true" : "false", got ? "true" : "false");
}

// Compares as floats, since the constants in generated code have the digits of a float.
static bool same_real(const char *prefix, const char *key, double want, double got,
                      struct error *err) {
  char name[128], want_text[32], got_text[32];
  if (fabs(want - got) <= FLT_EPSILON * fmax(fabs(want), fabs(got)))
    return true;
  snprintf(name, sizeof name, "%s%s", prefix, key);
  snprintf(want_text, sizeof want_text, "%.9g", want);
  snprintf(got_text, sizeof got_text, "%.9g", got);
  return refuse_difference(err, name, want_text, got_text);
}

static bool same_layers(const struct model_config *want, const struct model_config *got,
                        struct error *err) {
  for (int i = 0; i < want->n_layers; i++) {
    if (want->layer_types[i] == got->layer_types[i])
      continue;
    char key[32];
    snprintf(key, sizeof key, "layer_types[%d]", i);
    return refuse_difference(err, key, layer_name(want->layer_types[i]),
                             layer_name(got->layer_types[i]));
  }
  return true;
}

static bool same_rope(struct rope_config *want, struct rope_config *got, struct error *err) {
  if (!same_real("", "rope_theta", want->theta, got->theta, err))
    return false;
  if (want->yarn != got->yarn)
    return refuse_difference(err, "rope_scaling.rope_type", want->yarn ? "yarn" : "default",
                             got->yarn ? "yarn" : "default");
  if (!want->yarn)
    return true;
  for (size_t i = 0; i < COUNT(YARN_REALS); i++)
    if (!same_real("rope_scaling.", YARN_REALS[i].key, *real_at(want, &YARN_REALS[i]),
                   *real_at(got, &YARN_REALS[i]), err))
      return false;
  return same_real("rope_scaling.", ORIGINAL_POSITIONS, want->original_max_positions,
                   got->original_max_positions, err) &&
         same_bool("rope_scaling.truncate", want->truncate, got->truncate, err) &&
         same_real("rope_scaling.", "attention_factor", want->attention_factor,
                   got->attention_factor, err);
}

bool model_config_same(const struct model_config *want_config,
                       const struct model_config *got_config, struct error *err) {
  struct model_config want = *want_config, got = *got_config; // int_at and real_at take no const
  for (size_t i = 0; i < COUNT(SIZES); i++)
    if (!same_int(SIZES[i].key, *int_at(&want, &SIZES[i]), *int_at(&got, &SIZES[i]), err))
      return false;
  for (size_t i = 0; i < COUNT(REALS); i++)
    if (!same_real("", REALS[i].key, *real_at(&want, &REALS[i]), *real_at(&got, &REALS[i]), err))
      return false;
  if (want.mxfp4 != got.mxfp4)
    return refuse_difference(err, "quantization_config", want.mxfp4 ? "mxfp4" : "none",
                             got.mxfp4 ? "mxfp4" : "none");
  return same_layers(&want, &got, err) &&
         same_int("sliding_window", want.window, got.window, err) &&
         same_bool("attention_bias", want.attention_bias, got.attention_bias, err) &&
         same_bool("tie_word_embeddings", want.tied, got.tied, err) &&
         same_rope(&want.rope, &got.rope, err);
}
