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

// A whole number from 1 to `most`. With a fallback of 0 the key is required: HF has defaults for
// these too, but they are the sizes of one model, and a file without the key is damaged. OpenAI's
// key is that of the original config.json and of the exporter's.
struct int_field {
  const char *key, *alias, *openai;
  size_t offset;
  int32_t fallback, most;
};

// A number from `low` to `high`. With a fallback of 0 the key is required.
struct real_field {
  const char *key;
  size_t offset;
  double fallback, low, high;
};

enum { MOST_POSITIONS = 1 << 30, LEAST_HEAD = 16, MOST_HEAD = 256, MXFP4_COLUMNS = 32 };

#define SIZE(member) offsetof(struct model_config, member)

// The defaults come from HF's configuration_gpt_oss.py. The bounds are those of gen/config.lua:
// what the generator accepts, the program accepts.
static const struct int_field SIZES[] = {
    {"vocab_size", NULL, "vocab_size", SIZE(vocab), 0, 1 << 24},
    {"hidden_size", NULL, "hidden_size", SIZE(d_model), 0, 1 << 17},
    {"intermediate_size", NULL, "intermediate_size", SIZE(d_ff), 0, 1 << 20},
    {"num_hidden_layers", NULL, "num_hidden_layers", SIZE(n_layers), 0, CONFIG_MAX_LAYERS},
    {"num_attention_heads", NULL, "num_attention_heads", SIZE(n_heads), 0, 1024},
    {"num_key_value_heads", NULL, "num_key_value_heads", SIZE(n_kv_heads), 0, 1024},
    {"head_dim", NULL, "head_dim", SIZE(d_head), 64, MOST_HEAD},
    {"num_local_experts", "num_experts", "num_experts", SIZE(n_experts), 0, 4096},
    {"num_experts_per_tok", "experts_per_token", "experts_per_token", SIZE(top_k), 0, 128},
};

static const struct real_field REALS[] = {
    {"rms_norm_eps", SIZE(eps), 1e-5, 1e-30, 1},
    {"swiglu_limit", SIZE(limit), 7, 1e-3, 1e4},
    {"swiglu_alpha", SIZE(alpha), 1.702, 1e-3, 1e4},
};

#define ROPE(member) offsetof(struct rope_config, member)

static const struct real_field THETA = {"rope_theta", ROPE(theta), 150000, 1, 1e12};

// The YaRN parameters with a default of their own.
static const struct real_field YARN_REALS[] = {
    {"factor", ROPE(factor), 0, 1, 1e6},
    {"beta_fast", ROPE(beta_fast), 32, 1e-3, 1e6},
    {"beta_slow", ROPE(beta_slow), 1, 1e-3, 1e6},
};

// The same in OpenAI's config.json. The exporter's has the first alone.
static const struct real_field OPENAI_YARN[] = {
    {"rope_scaling_factor", ROPE(factor), 0, 1, 1e6},
    {"rope_ntk_beta", ROPE(beta_fast), 32, 1e-3, 1e6},
    {"rope_ntk_alpha", ROPE(beta_slow), 1, 1e-3, 1e6},
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
static const int32_t DEFAULT_WINDOW = 128, DEFAULT_POSITIONS = 131072;

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

// The value of a key, or NULL if it is missing. Null is a value, and none that a size can have.
static const json_t *get(const struct reader *reader, const char *key) {
  return json_object_get(reader->object, key);
}

// The value of a key for which null means the same as nothing.
static const json_t *value_of(const struct reader *reader, const char *key) {
  const json_t *value = get(reader, key);
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
  const json_t *value = get(reader, key);
  snprintf(want, sizeof want, "an integer from %" PRId32 " to %" PRId32, low, high);
  return whole_number(value, low, high, out) || refuse(reader, key, want, value);
}

// Reads the number of a key that is there or must be.
static bool read_number(const struct reader *reader, const struct real_field *field, double *out) {
  char want[64];
  const json_t *value = get(reader, field->key);
  *out = json_number_value(value);
  snprintf(want, sizeof want, "a number from %g to %g", field->low, field->high);
  return (json_is_number(value) && *out >= field->low && *out <= field->high) ||
         refuse(reader, field->key, want, value);
}

static bool read_bool(const struct reader *reader, const char *key, bool fallback, bool *out) {
  const json_t *value = get(reader, key);
  *out = value ? json_is_true(value) : fallback;
  return !value || json_is_boolean(value) || refuse(reader, key, "true or false", value);
}

// True if a key is missing, or has the one value that gpt-oss has; `want` says it.
static bool read_constant(const struct reader *reader, const char *key, bool same,
                          const char *want) {
  return same || !value_of(reader, key) || refuse(reader, key, want, get(reader, key));
}

// Reads field->key, or else field->alias. If the file has both, they must agree.
static bool read_size(const struct reader *reader, const struct int_field *field, int32_t *out) {
  const json_t *alias = field->alias ? get(reader, field->alias) : NULL;
  if (!get(reader, field->key) && alias)
    return read_whole(reader, field->alias, 1, field->most, out);
  if (!get(reader, field->key) && field->fallback) {
    *out = field->fallback;
    return true;
  }
  int32_t other;
  if (!read_whole(reader, field->key, 1, field->most, out))
    return false;
  if (!alias || (whole_number(alias, 1, field->most, &other) && other == *out))
    return true;
  char want[96];
  snprintf(want, sizeof want, "%" PRId32 ", as %s says", *out, field->key);
  return refuse(reader, field->alias, want, alias);
}

// If num_key_value_heads is null, each query head has its own, as in HF.
static bool read_sizes(const struct reader *reader, bool openai, struct model_config *config) {
  bool ungrouped = json_is_null(get(reader, "num_key_value_heads"));
  for (size_t i = 0; i < COUNT(SIZES); i++) {
    struct int_field field = SIZES[i];
    int32_t *out = int_at(config, &field);
    if (openai)
      field.key = field.openai, field.alias = NULL;
    if (ungrouped && out == &config->n_kv_heads)
      *out = config->n_heads;
    else if (!read_size(reader, &field, out))
      return false;
  }
  return true;
}

static bool read_reals(const struct reader *reader, const struct real_field *fields, size_t n,
                       void *record) {
  for (size_t i = 0; i < n; i++) {
    double *out = real_at(record, &fields[i]);
    *out = fields[i].fallback;
    if ((!*out || get(reader, fields[i].key)) && !read_number(reader, &fields[i], out))
      return false;
  }
  return true;
}

// The same for numbers that may be null.
static bool read_optional_reals(const struct reader *reader, const struct real_field *fields,
                                size_t n, void *record) {
  for (size_t i = 0; i < n; i++)
    if (!value_of(reader, fields[i].key))
      *real_at(record, &fields[i]) = fields[i].fallback;
    else if (!read_number(reader, &fields[i], real_at(record, &fields[i])))
      return false;
  return true;
}

static bool check_sizes(const struct reader *reader, const struct model_config *config) {
  if (config->n_heads % config->n_kv_heads)
    return refuse(reader, "num_key_value_heads", "a divisor of num_attention_heads",
                  get(reader, "num_key_value_heads"));
  if (config->d_head % 2 || config->d_head < LEAST_HEAD)
    return refuse(reader, "head_dim", "an even number from 16 to 256", get(reader, "head_dim"));
  if (config->top_k > config->n_experts)
    return fail(reader->err, "%s: num_experts_per_tok: want at most the %d experts, found %d",
                reader->path, config->n_experts, config->top_k);
  if (config->mxfp4 && config->d_model % MXFP4_COLUMNS)
    return refuse(reader, "hidden_size", "a multiple of 32 (MXFP4 groups)",
                  get(reader, "hidden_size"));
  if (config->mxfp4 && config->d_ff % MXFP4_COLUMNS)
    return refuse(reader, "intermediate_size", "a multiple of 32 (MXFP4 groups)",
                  get(reader, "intermediate_size"));
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

static void alternate_layers(struct model_config *config) {
  for (int i = 0; i < config->n_layers; i++)
    config->layer_types[i] = i % 2 ? 'f' : 's';
}

static bool read_layer_types(const struct reader *reader, struct model_config *config) {
  const json_t *types = value_of(reader, "layer_types");
  alternate_layers(config);
  if (!types)
    return true;
  if (!json_is_array(types) || json_array_size(types) != (size_t)config->n_layers)
    return refuse(reader, "layer_types", "one name per layer", types);
  for (int i = 0; i < config->n_layers; i++) {
    const json_t *type = json_array_get(types, (size_t)i);
    config->layer_types[i] = layer_letter(type);
    if (!config->layer_types[i])
      return refuse(reader, "layer_types", "sliding_attention or full_attention", type);
  }
  return true;
}

// A window without sliding layers becomes 0, and without a window all layers become full: equal
// arithmetic then has equal configs.
static bool read_window(const struct reader *reader, struct model_config *config) {
  const json_t *window = get(reader, "sliding_window");
  config->window = window ? 0 : DEFAULT_WINDOW;
  if (window && !json_is_null(window) &&
      !read_whole(reader, "sliding_window", 0, MOST_POSITIONS, &config->window))
    return false;
  if (!config->window)
    memset(config->layer_types, 'f', (size_t)config->n_layers);
  if (!strchr(config->layer_types, 's'))
    config->window = 0;
  return true;
}

// The tensor names decide what is packed, so modules_to_not_convert is not read.
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
  struct {
    double factor, above, below;
  } given;
  const struct real_field fields[] = {
      {"attention_factor", 0, 0, 1e-3, 1e3},
      {"mscale", sizeof(double), 0, 1e-3, 1e3},
      {"mscale_all_dim", 2 * sizeof(double), 0, 1e-3, 1e3},
  };
  if (!read_optional_reals(reader, fields, COUNT(fields), &given))
    return false;
  rope->attention_factor = yarn_scale(rope->factor, 1);
  if (given.factor)
    rope->attention_factor = given.factor;
  else if (given.above && given.below)
    rope->attention_factor =
        yarn_scale(rope->factor, given.above) / yarn_scale(rope->factor, given.below);
  return true;
}

static bool read_max_positions(const struct reader *reader, int32_t *out) {
  *out = DEFAULT_POSITIONS;
  return !get(reader, "max_position_embeddings") ||
         read_whole(reader, "max_position_embeddings", 1, MOST_POSITIONS, out);
}

// HF falls back to max_position_embeddings of the model.
static bool read_original_positions(const struct reader *outer, const struct reader *inner,
                                    double *out) {
  int32_t positions;
  bool ok = value_of(inner, ORIGINAL_POSITIONS)
                ? read_whole(inner, ORIGINAL_POSITIONS, 1, MOST_POSITIONS, &positions)
                : read_max_positions(outer, &positions);
  *out = ok ? positions : 0;
  return ok;
}

static bool check_betas(const struct reader *reader, const struct rope_config *rope,
                        const char *fast) {
  return rope->beta_fast >= rope->beta_slow ||
         refuse(reader, fast, "at least the slow beta", get(reader, fast));
}

static bool read_yarn(const struct reader *outer, const struct reader *inner,
                      struct rope_config *rope) {
  rope->yarn = true;
  return read_reals(inner, YARN_REALS, 1, rope) &&
         read_optional_reals(inner, YARN_REALS + 1, COUNT(YARN_REALS) - 1, rope) &&
         read_original_positions(outer, inner, &rope->original_max_positions) &&
         check_betas(inner, rope, "beta_fast") &&
         read_bool(inner, "truncate", true, &rope->truncate) && read_attention_factor(inner, rope);
}

static bool read_rope_type(const struct reader *outer, const struct reader *inner,
                           struct rope_config *rope) {
  const json_t *type = get(inner, "rope_type"), *alias = get(inner, "type"); // of older files
  if (type && alias && !json_equal(type, alias))
    return refuse(inner, "type", "the same as rope_type", alias);
  const char *name = json_string_value(type ? type : alias);
  if (name && !strcmp(name, "yarn"))
    return read_yarn(outer, inner, rope);
  *rope = (struct rope_config){.factor = 1, .attention_factor = 1};
  return (name && !strcmp(name, "default")) ||
         refuse(inner, "rope_type", "yarn or default", type ? type : alias);
}

// rope_theta is a key beside rope_scaling or inside rope_parameters. If the file has both, they
// must agree.
static bool read_theta(const struct reader *outer, const struct reader *inner, double *theta) {
  const json_t *beside = get(outer, THETA.key), *inside = get(inner, THETA.key);
  double other = THETA.fallback;
  if (beside && !read_number(outer, &THETA, &other))
    return false;
  *theta = other;
  if (inside && !read_number(inner, &THETA, theta))
    return false;
  if (inside && beside && *theta != other)
    return refuse(inner, THETA.key, "the rope_theta beside it", inside);
  return *theta > 1 ||
         refuse(inside ? inner : outer, THETA.key, "more than 1", inside ? inside : beside);
}

// gpt-oss rotates whole heads.
static bool read_partial_rotary(const struct reader *reader) {
  const json_t *value = value_of(reader, "partial_rotary_factor");
  return read_constant(reader, "partial_rotary_factor", json_number_value(value) == 1,
                       "1 or nothing");
}

// The key is rope_scaling in transformers 4 and rope_parameters in 5. An explicit null is refused,
// since it means plain RoPE to version 4 and YaRN to version 5.
static bool read_rope(const struct reader *reader, struct rope_config *rope) {
  const json_t *scaling = get(reader, "rope_scaling");
  const json_t *parameters = get(reader, "rope_parameters");
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
         read_theta(reader, &inner, &rope->theta) && read_partial_rotary(reader) &&
         read_partial_rotary(&inner);
}

static bool is_dtype(const char *name) {
  return name &&
         (!strcmp(name, "bfloat16") || !strcmp(name, "float16") || !strcmp(name, "float32"));
}

// What the tensors are says their file; the key must be one that the generator knows.
static bool read_dtype(const struct reader *reader) {
  const json_t *dtype = get(reader, "dtype"), *older = get(reader, "torch_dtype");
  const json_t *value = dtype ? dtype : older;
  if (dtype && older && !json_equal(dtype, older))
    return refuse(reader, "torch_dtype", "the same as dtype", older);
  return !value || json_is_null(value) || is_dtype(json_string_value(value)) ||
         refuse(reader, dtype ? "dtype" : "torch_dtype", "bfloat16, float16 or float32", value);
}

static bool read_family(const struct reader *reader) {
  const json_t *list = value_of(reader, "architectures");
  const char *name = json_string_value(json_array_get(list, 0));
  const char *act = json_string_value(get(reader, "hidden_act"));
  return read_constant(reader, "architectures",
                       json_array_size(list) == 1 && name && !strcmp(name, "GptOssForCausalLM"),
                       "[\"GptOssForCausalLM\"]") &&
         (!get(reader, "hidden_act") || (act && !strcmp(act, "silu")) ||
          refuse(reader, "hidden_act", "\"silu\"", get(reader, "hidden_act")));
}

// HF's dialects: rope_scaling or rope_parameters.
static bool read_hf(const struct reader *reader, struct model_config *config) {
  int32_t ignored;
  return read_family(reader) && read_quantization(reader, config) &&
         read_sizes(reader, false, config) && check_sizes(reader, config) &&
         read_layer_types(reader, config) && read_window(reader, config) &&
         read_reals(reader, REALS, COUNT(REALS), config) &&
         read_bool(reader, "attention_bias", true, &config->attention_bias) &&
         read_bool(reader, "tie_word_embeddings", false, &config->tied) &&
         read_max_positions(reader, &ignored) && read_rope(reader, &config->rope) &&
         read_dtype(reader);
}

// The positions that YaRN stretches the original context to fit an int32_t.
static bool check_stretched(const struct reader *reader, const struct rope_config *rope) {
  return rope->original_max_positions * rope->factor <= MOST_POSITIONS ||
         refuse(reader, OPENAI_YARN[0].key,
                "at most 2^30 positions, initial_context_length times it",
                get(reader, OPENAI_YARN[0].key));
}

// OpenAI's original config.json, and the one of the exporter of .bin files, which has max_seq_len
// and no betas. What these files lack are constants in OpenAI's torch/model.py.
static bool read_openai(const struct reader *reader, bool exporter, struct model_config *config) {
  int32_t context, ignored;
  struct rope_config *rope = &config->rope;
  config->mxfp4 = config->attention_bias = true;
  config->eps = REALS[0].fallback;
  config->alpha = REALS[2].fallback;
  *rope = DEFAULT_YARN;
  if (!read_sizes(reader, true, config) || !check_sizes(reader, config) ||
      !read_reals(reader, &REALS[1], 1, config) ||
      !read_reals(reader, OPENAI_YARN, exporter ? 1 : COUNT(OPENAI_YARN), rope) ||
      !check_betas(reader, rope, OPENAI_YARN[1].key) ||
      !read_theta(reader, &(struct reader){.path = reader->path}, &rope->theta) ||
      !read_whole(reader, "initial_context_length", 1, MOST_POSITIONS, &context))
    return false;
  alternate_layers(config);
  rope->original_max_positions = context;
  rope->attention_factor = yarn_scale(rope->factor, 1);
  return read_window(reader, config) &&
         (exporter ? read_whole(reader, "max_seq_len", 1, MOST_POSITIONS, &ignored)
                   : check_stretched(reader, rope));
}

static bool read_all(const struct reader *reader, struct model_config *config) {
  const json_t *type = get(reader, "model_type");
  const char *name = json_string_value(type);
  if (name && !strcmp(name, "gpt_oss"))
    return read_hf(reader, config);
  if (!type && get(reader, "max_seq_len"))
    return read_openai(reader, true, config);
  if (!type && get(reader, "rope_scaling_factor"))
    return read_openai(reader, false, config);
  return refuse(reader, "model_type", "\"gpt_oss\", or the keys of OpenAI's original config", type);
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

// `where` is the file of the config, or NULL for the config.json of a folder.
static bool refuse_difference(const char *where, struct error *err, const char *key,
                              const char *want, const char *got) {
  return fail(err, "%s: %s: want %s for this getp, found %s: generate one from %s",
              where ? where : "config.json", key, want, got,
              where ? "it" : "this checkpoint's config.json");
}

static bool same_int(const char *key, int32_t want, int32_t got, const char *where,
                     struct error *err) {
  char want_text[16], got_text[16];
  snprintf(want_text, sizeof want_text, "%" PRId32, want);
  snprintf(got_text, sizeof got_text, "%" PRId32, got);
  return want == got || refuse_difference(where, err, key, want_text, got_text);
}

static bool same_bool(const char *key, bool want, bool got, const char *where, struct error *err) {
  return want == got ||
         refuse_difference(where, err, key, want ? "true" : "false", got ? "true" : "false");
}

// Compares as floats, since the constants in generated code have the digits of a float.
static bool same_real(const char *prefix, const char *key, double want, double got,
                      const char *where, struct error *err) {
  char name[128], want_text[32], got_text[32];
  if (fabs(want - got) <= FLT_EPSILON * fmax(fabs(want), fabs(got)))
    return true;
  snprintf(name, sizeof name, "%s%s", prefix, key);
  snprintf(want_text, sizeof want_text, "%.9g", want);
  snprintf(got_text, sizeof got_text, "%.9g", got);
  return refuse_difference(where, err, name, want_text, got_text);
}

static bool same_layers(const struct model_config *want, const struct model_config *got,
                        const char *where, struct error *err) {
  for (int i = 0; i < want->n_layers; i++) {
    if (want->layer_types[i] == got->layer_types[i])
      continue;
    char key[32];
    snprintf(key, sizeof key, "layer_types[%d]", i);
    return refuse_difference(where, err, key, layer_name(want->layer_types[i]),
                             layer_name(got->layer_types[i]));
  }
  return true;
}

static bool same_rope(struct rope_config *want, struct rope_config *got, const char *where,
                      struct error *err) {
  if (!same_real("", "rope_theta", want->theta, got->theta, where, err))
    return false;
  if (want->yarn != got->yarn)
    return refuse_difference(where, err, "rope_scaling.rope_type", want->yarn ? "yarn" : "default",
                             got->yarn ? "yarn" : "default");
  if (!want->yarn)
    return true;
  for (size_t i = 0; i < COUNT(YARN_REALS); i++)
    if (!same_real("rope_scaling.", YARN_REALS[i].key, *real_at(want, &YARN_REALS[i]),
                   *real_at(got, &YARN_REALS[i]), where, err))
      return false;
  return same_real("rope_scaling.", ORIGINAL_POSITIONS, want->original_max_positions,
                   got->original_max_positions, where, err) &&
         same_bool("rope_scaling.truncate", want->truncate, got->truncate, where, err) &&
         same_real("rope_scaling.", "attention_factor", want->attention_factor,
                   got->attention_factor, where, err);
}

bool model_config_same(const struct model_config *want_config,
                       const struct model_config *got_config, const char *where,
                       struct error *err) {
  struct model_config want = *want_config, got = *got_config; // int_at and real_at take no const
  for (size_t i = 0; i < COUNT(SIZES); i++)
    if (!same_int(SIZES[i].key, *int_at(&want, &SIZES[i]), *int_at(&got, &SIZES[i]), where, err))
      return false;
  for (size_t i = 0; i < COUNT(REALS); i++)
    if (!same_real("", REALS[i].key, *real_at(&want, &REALS[i]), *real_at(&got, &REALS[i]), where,
                   err))
      return false;
  if (want.mxfp4 != got.mxfp4)
    return refuse_difference(where, err, "quantization_config", want.mxfp4 ? "mxfp4" : "none",
                             got.mxfp4 ? "mxfp4" : "none");
  return same_layers(&want, &got, where, err) &&
         same_int("sliding_window", want.window, got.window, where, err) &&
         same_bool("attention_bias", want.attention_bias, got.attention_bias, where, err) &&
         same_bool("tie_word_embeddings", want.tied, got.tied, where, err) &&
         same_rope(&want.rope, &got.rope, where, err);
}
