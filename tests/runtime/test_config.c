// The reader of config.json on the models, on HF's defaults, and with one key changed at a time.
#include "support.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONFIG "config.json"

// The keys that every config.json must have.
static const char MINIMAL[] =
    "{'model_type': 'gpt_oss', 'vocab_size': 100, 'hidden_size': 64, 'intermediate_size': 96,"
    " 'num_hidden_layers': 3, 'num_attention_heads': 4, 'num_key_value_heads': 2,"
    " 'num_local_experts': 8, 'num_experts_per_tok': 2}";

// Writes MINIMAL with `changes`, which are members with ' for ", or "". Removes the key `without`
// unless it is NULL.
static void write_changed(const char *folder, const char *changes, const char *without) {
  char text[1024], path[PATH_BYTES];
  snprintf(text, sizeof text, "%.*s%s%s}", (int)strlen(MINIMAL) - 1, MINIMAL, *changes ? ", " : "",
           changes);
  write_quoted(folder, CONFIG, text);
  path_in(path, folder, CONFIG);
  json_t *root = json_load_file(path, 0, NULL); // the last of equal keys counts
  assert_non_null(root);
  if (without)
    assert_int_equal(json_object_del(root, without), 0);
  assert_int_equal(json_dump_file(root, path, 0), 0);
  json_decref(root);
}

static struct model_config read_changed(const char *folder, const char *changes) {
  write_changed(folder, changes, NULL);
  return read_config(folder);
}

static void assert_refused(const char *folder, const char *want) {
  struct model_config config;
  struct error err;
  assert_false(model_config_read(&config, folder, &err));
  assert_contains(err.text, want);
}

static void abacus_is_read(void **state) {
  (void)state;
  struct model_config c = read_config(MODELS "abacus");
  assert_int_equal(c.vocab, 1024);
  assert_int_equal(c.d_model, 192);
  assert_int_equal(c.d_ff, 128);
  assert_int_equal(c.n_layers, 4);
  assert_int_equal(c.n_heads, 8);
  assert_int_equal(c.n_kv_heads, 2);
  assert_int_equal(c.d_head, 64);
  assert_int_equal(c.n_experts, 8);
  assert_int_equal(c.top_k, 2);
  assert_int_equal(c.window, 32);
  assert_string_equal(c.layer_types, "sfsf");
  assert_true(c.eps == 1e-5 && c.limit == 7 && c.alpha == 1.702);
  assert_true(c.attention_bias && !c.tied && c.mxfp4);
  assert_true(c.rope.yarn && !c.rope.truncate);
  assert_true(c.rope.theta == 10000 && c.rope.factor == 4);
  assert_true(c.rope.beta_fast == 32 && c.rope.beta_slow == 1);
  assert_true(c.rope.original_max_positions == 128);
  assert_true(fabs(c.rope.attention_factor - 1.138629436111989) < 1e-12); // 0.1 ln 4 + 1
}

static void the_other_models_are_read(void **state) {
  (void)state;
  struct model_config c = read_config(MODELS "rand_bf16");
  assert_true(!c.mxfp4 && !c.rope.yarn && c.rope.theta == 500000);
  assert_string_equal(c.layer_types, "fs");
  c = read_config(MODELS "rand_tied");
  assert_true(c.tied && !c.attention_bias);
  c = read_config(MODELS "rand_mxfp4");
  assert_true(c.rope.truncate);
  c = read_config(MODELS "odd_all_experts"); // rope_parameters
  assert_true(c.rope.yarn && c.rope.theta == 150000 && c.rope.factor == 16);
  c = read_config(MODELS "odd_f16"); // attention_factor 1.25
  assert_true(c.rope.attention_factor == 1.25);
  c = read_config(MODELS "odd_sharded"); // factor 2, mscale 2, mscale_all_dim 0.5
  assert_true(fabs(c.rope.attention_factor - (0.2 * log(2) + 1) / (0.05 * log(2) + 1)) < 1e-12);
}

static void defaults_are_filled_in(void **state) {
  struct model_config c = read_changed(*state, "");
  assert_int_equal(c.d_head, 64); // not hidden_size / heads
  assert_int_equal(c.window, 128);
  assert_string_equal(c.layer_types, "sfs");
  assert_true(c.eps == 1e-5 && c.limit == 7 && c.alpha == 1.702);
  assert_true(c.attention_bias && !c.tied && !c.mxfp4);
  assert_true(c.rope.yarn && !c.rope.truncate);
  assert_true(c.rope.theta == 150000 && c.rope.factor == 32);
  assert_true(c.rope.beta_fast == 32 && c.rope.beta_slow == 1);
  assert_true(c.rope.original_max_positions == 4096);
  assert_true(fabs(c.rope.attention_factor - 1.3465735902799727) < 1e-15);
}

static void integers_may_be_written_as_reals(void **state) {
  struct model_config want = read_changed(*state, "'rope_theta': 10000");
  struct model_config got = read_changed(*state, "'hidden_size': 64.0, 'num_hidden_layers': 3.0,"
                                                 "'sliding_window': 1.28e2, 'rope_theta': 1e4,"
                                                 "'swiglu_limit': 7");
  struct error err;
  if (!model_config_same(&want, &got, NULL, &err))
    fail_msg("%s", err.text);
}

static void aliases_are_read_and_must_agree(void **state) {
  write_changed(*state, "'num_experts': 6, 'experts_per_token': 3", "num_local_experts");
  assert_refused(*state, "experts_per_token: want 2, as num_experts_per_tok says, found 3");
  write_changed(*state, "'num_experts': 6, 'experts_per_token': 2.0", "num_local_experts");
  assert_int_equal(read_config(*state).n_experts, 6);
  write_changed(*state, "'experts_per_token': 3", "num_experts_per_tok");
  assert_int_equal(read_config(*state).top_k, 3);
  write_changed(*state, "'experts_per_token': '3'", "num_experts_per_tok");
  assert_refused(*state, "experts_per_token: want an integer from 1 to 128, found \"3\"");
  write_changed(*state, "'num_experts': 7", NULL);
  assert_refused(*state, "num_experts: want 8, as num_local_experts says, found 7");
}

// Without a window there is no sliding layer, and without a sliding layer no window.
static void window_and_layer_types_agree(void **state) {
#define TYPES(first) "'layer_types': ['" first "', 'full_attention', 'full_attention']"
  static const char *const full[] = {
      "'sliding_window': null",
      "'sliding_window': 0",
      "'sliding_window': null, " TYPES("sliding_attention"),
      TYPES("full_attention"),
  };
  for (size_t i = 0; i < COUNT(full); i++) {
    struct model_config c = read_changed(*state, full[i]);
    assert_int_equal(c.window, 0);
    assert_string_equal(c.layer_types, "fff");
  }
}

#define YARN "'rope_type': 'yarn', 'factor': 8, 'original_max_position_embeddings': 64"

static void both_spellings_of_rope_are_read(void **state) {
  struct model_config c =
      read_changed(*state, "'rope_parameters': {" YARN ", 'rope_theta': 10000}");
  assert_true(c.rope.yarn && c.rope.theta == 10000 && c.rope.factor == 8);
  assert_true(c.rope.truncate); // HF's default if the record exists
  assert_true(c.rope.beta_fast == 32 && c.rope.beta_slow == 1);
  c = read_changed(*state, "'rope_scaling': {" YARN ", 'truncate': false}, 'rope_theta': 5");
  assert_true(c.rope.yarn && !c.rope.truncate && c.rope.theta == 5);
  c = read_changed(*state, "'rope_scaling': {'type': 'default'}");
  assert_true(!c.rope.yarn && c.rope.theta == 150000 && c.rope.attention_factor == 1);
  c = read_changed(*state, "'rope_theta': 9");
  assert_true(c.rope.yarn && c.rope.factor == 32 && c.rope.theta == 9);
  c = read_changed(*state, "'rope_scaling': {'rope_type': 'yarn', 'factor': 8},"
                           "'max_position_embeddings': 2048");
  assert_true(c.rope.original_max_positions == 2048);
  c = read_changed(*state, "'rope_scaling': {" YARN ", 'mscale': 1.0, 'mscale_all_dim': 1.0}");
  assert_true(c.rope.attention_factor == 1);
  c = read_changed(*state, "'rope_scaling': {" YARN ", 'factor': 1}");
  assert_true(c.rope.attention_factor == 1);
}

static void null_kv_heads_means_as_many_as_heads(void **state) {
  struct model_config c = read_changed(*state, "'num_key_value_heads': null");
  assert_int_equal(c.n_kv_heads, 4);
}

static const struct {
  const char *changes;
  const char *want;
} REFUSED[] = {
    {"'model_type': 'llama'",
     "config.json: model_type: want \"gpt_oss\", or the keys of OpenAI's original config, "
     "found \"llama\""},
    {"'vocab_size': '100'", "vocab_size: want an integer from 1 to 16777216, found \"100\""},
    {"'vocab_size': null", "vocab_size: want an integer from 1 to 16777216, found null"},
    {"'hidden_size': 64.5", "hidden_size: want an integer from 1 to 131072, found 64.5"},
    {"'hidden_size': 0", "hidden_size: want an integer"},
    {"'hidden_size': -64", "hidden_size: want an integer"},
    {"'hidden_size': 2147483648", "hidden_size: want an integer"},
    {"'hidden_size': 9223372036854775807", "hidden_size: want an integer"},
    {"'hidden_size': true", "hidden_size: want an integer"},
    {"'hidden_size': [64]", "hidden_size: want an integer"},
    {"'num_hidden_layers': 513", "num_hidden_layers: want an integer from 1 to 512, found 513"},
    {"'num_key_value_heads': 3", "num_key_value_heads: want a divisor of num_attention_heads"},
    {"'head_dim': 33", "head_dim: want an even number from 16 to 256, found 33"},
    {"'num_experts_per_tok': 9", "num_experts_per_tok: want at most the 8 experts, found 9"},
    {"'sliding_window': -1", "sliding_window: want an integer from 0 to 1073741824, found -1"},
    {"'sliding_window': 'no'", "sliding_window: want an integer from 0 to 1073741824"},
    {"'layer_types': 'full'", "layer_types: want one name per layer, found \"full\""},
    {"'layer_types': ['full_attention']", "layer_types: want one name per layer"},
    {"'layer_types': ['full_attention', 'linear', 'full_attention']",
     "layer_types: want sliding_attention or full_attention, found \"linear\""},
    {"'layer_types': ['full_attention', 1, 'full_attention']",
     "layer_types: want sliding_attention or full_attention, found 1"},
    {"'rms_norm_eps': 0", "rms_norm_eps: want a number from 1e-30 to 1, found 0"},
    {"'rms_norm_eps': '1e-5'", "rms_norm_eps: want a number from 1e-30 to 1, found \"1e-5\""},
    {"'swiglu_limit': -7", "swiglu_limit: want a number from 0.001 to 10000, found -7"},
    {"'swiglu_alpha': false", "swiglu_alpha: want a number from 0.001 to 10000, found false"},
    {"'attention_bias': 1", "attention_bias: want true or false, found 1"},
    {"'tie_word_embeddings': 'no'", "tie_word_embeddings: want true or false, found \"no\""},
    {"'quantization_config': {'quant_method': 'gptq'}", "quantization_config: want quant_method"},
    {"'quantization_config': {}", "quantization_config: want quant_method mxfp4"},
    {"'rope_theta': 1", "rope_theta: want more than 1, found 1"},
    {"'rope_theta': -1", "rope_theta: want a number from 1 to 1e+12, found -1"},
    {"'rope_scaling': 32", "rope_scaling: want an object or no such key, found 32"},
    {"'rope_scaling': null", "rope_scaling: want an object or no such key, found null"},
    {"'rope_parameters': null", "rope_parameters: want an object or no such key, found null"},
    {"'rope_scaling': {" YARN "}, 'rope_parameters': {}", "rope_parameters: want nothing beside"},
    {"'rope_scaling': {}", "rope_scaling.rope_type: want yarn or default, found nothing"},
    {"'rope_parameters': {" YARN ", 'rope_theta': 10000}, 'rope_theta': 5",
     "rope_parameters.rope_theta: want the rope_theta beside it, found 10000"},
    {"'rope_scaling': {'rope_type': 'llama3'}", "rope_scaling.rope_type: want yarn or default"},
    {"'rope_scaling': {'rope_type': 7}", "rope_scaling.rope_type: want yarn or default, found 7"},
    {"'rope_scaling': {'rope_type': 'yarn'}", "rope_scaling.factor: want a number from 1 to 1e+06"},
    {"'rope_scaling': {" YARN ", 'factor': 0.5}",
     "rope_scaling.factor: want a number from 1 to 1e+06"},
    {"'rope_scaling': {" YARN ", 'beta_fast': 0}",
     "rope_scaling.beta_fast: want a number from 0.001"},
    {"'rope_scaling': {" YARN ", 'truncate': 0}", "rope_scaling.truncate: want true or false"},
    {"'rope_scaling': {" YARN ", 'attention_factor': 'x'}", "rope_scaling.attention_factor: want"},
    {"'rope_scaling': {" YARN ", 'mscale': 'x', 'mscale_all_dim': 1}", "rope_scaling.mscale: want"},
    {"'head_dim': 14", "head_dim: want an even number from 16 to 256, found 14"},
    {"'max_position_embeddings': null", "max_position_embeddings: want an integer from 1 to"},
    {"'dtype': 'float64'", "dtype: want bfloat16, float16 or float32, found \"float64\""},
    {"'dtype': 'float16', 'torch_dtype': 'float32'", "torch_dtype: want the same as dtype"},
    {"'architectures': ['GptOssModel']", "architectures: want [\"GptOssForCausalLM\"], found"},
    {"'hidden_act': 'gelu'", "hidden_act: want \"silu\", found \"gelu\""},
    {"'partial_rotary_factor': 0.5", "partial_rotary_factor: want 1 or nothing, found 0.5"},
    {"'hidden_size': 8, 'quantization_config': {'quant_method': 'mxfp4'}",
     "hidden_size: want a multiple of 32 (MXFP4 groups), found 8"},
    {"'rope_scaling': {" YARN ", 'beta_slow': 99}", "rope_scaling.beta_fast: want at least"},
    {"'rope_scaling': {" YARN ", 'rope_theta': 'x'}", "rope_scaling.rope_theta: want a number"},
};

static void values_are_refused_by_key(void **state) {
  for (size_t i = 0; i < COUNT(REFUSED); i++) {
    write_changed(*state, REFUSED[i].changes, NULL);
    assert_refused(*state, REFUSED[i].want);
  }
}

static void sizes_have_no_defaults(void **state) {
  static const char *const keys[] = {
      "model_type",        "vocab_size",          "hidden_size",
      "intermediate_size", "num_hidden_layers",   "num_attention_heads",
      "num_local_experts", "num_key_value_heads", "num_experts_per_tok",
  };
  for (size_t i = 0; i < COUNT(keys); i++) {
    char want[64];
    snprintf(want, sizeof want, "config.json: %s: want ", keys[i]);
    write_changed(*state, "", keys[i]);
    assert_refused(*state, want);
  }
}

static void broken_files_are_refused(void **state) {
  char path[PATH_BYTES];
  path_in(path, *state, CONFIG);
  assert_refused(*state, "config.json: No such file or directory");
  assert_int_equal(mkdir(path, 0700), 0);
  assert_refused(*state, "config.json: want a regular file");
  assert_int_equal(rmdir(path), 0);
  write_quoted(*state, CONFIG, "");
  assert_refused(*state, "config.json:1: want JSON");
  write_quoted(*state, CONFIG, "[]");
  assert_refused(*state, "config.json: want a JSON object");
  write_quoted(*state, CONFIG, "{'vocab_size': 1,\n 'vocab_size': 2}");
  assert_refused(*state, "config.json:2: want JSON, found an error: duplicate object key");
  write_quoted(*state, CONFIG, MINIMAL);
  assert_int_equal(truncate(path, (off_t)strlen(MINIMAL) - 1), 0);
  assert_refused(*state, "config.json:1: want JSON");
}

// Changes of MINIMAL, and the message that names the key and both values.
static const struct {
  const char *changes;
  const char *want;
} DIFFERENCES[] = {
    {"'vocab_size': 101", "vocab_size: want 100 for this getp, found 101"},
    {"'hidden_size': 96", "hidden_size: want 64 for this getp, found 96"},
    {"'intermediate_size': 64", "intermediate_size: want 96 for this getp, found 64"},
    {"'num_hidden_layers': 4", "num_hidden_layers: want 3 for this getp, found 4"},
    {"'num_attention_heads': 8", "num_attention_heads: want 4 for this getp, found 8"},
    {"'num_key_value_heads': 4", "num_key_value_heads: want 2 for this getp, found 4"},
    {"'head_dim': 32", "head_dim: want 64 for this getp, found 32"},
    {"'num_local_experts': 9", "num_local_experts: want 8 for this getp, found 9"},
    {"'num_experts_per_tok': 1", "num_experts_per_tok: want 2 for this getp, found 1"},
    {"'sliding_window': 127", "sliding_window: want 128 for this getp, found 127"},
    {"'layer_types': ['sliding_attention', 'full_attention', 'full_attention']",
     "layer_types[2]: want sliding_attention for this getp, found full_attention"},
    {"'rms_norm_eps': 1e-6", "rms_norm_eps: want 1e-05 for this getp, found 1e-06"},
    {"'swiglu_limit': 8", "swiglu_limit: want 7 for this getp, found 8"},
    {"'swiglu_alpha': 1.7", "swiglu_alpha: want 1.702 for this getp, found 1.7"},
    {"'attention_bias': false", "attention_bias: want true for this getp, found false"},
    {"'tie_word_embeddings': true", "tie_word_embeddings: want false for this getp, found true"},
    {"'quantization_config': {'quant_method': 'mxfp4'}",
     "quantization_config: want none for this getp, found mxfp4"},
    {"'rope_theta': 10000", "rope_theta: want 150000 for this getp, found 10000"},
    {"'rope_scaling': {'rope_type': 'default'}",
     "rope_scaling.rope_type: want yarn for this getp, found default"},
#define LIKE_DEFAULT                                                                               \
  "'rope_type': 'yarn', 'factor': 32, 'original_max_position_embeddings': 4096, 'truncate': false"
    {"'rope_scaling': {" LIKE_DEFAULT ", 'factor': 16}",
     "rope_scaling.factor: want 32 for this getp, found 16"},
    {"'rope_scaling': {" LIKE_DEFAULT ", 'beta_fast': 31}",
     "rope_scaling.beta_fast: want 32 for this getp, found 31"},
    {"'rope_scaling': {" LIKE_DEFAULT ", 'beta_slow': 2}",
     "rope_scaling.beta_slow: want 1 for this getp, found 2"},
    {"'rope_scaling': {" LIKE_DEFAULT ", 'original_max_position_embeddings': 4095}",
     "rope_scaling.original_max_position_embeddings: want 4096 for this getp, found 4095"},
    {"'rope_scaling': {" LIKE_DEFAULT ", 'truncate': true}",
     "rope_scaling.truncate: want false for this getp, found true"},
    {"'rope_scaling': {" LIKE_DEFAULT ", 'attention_factor': 1}",
     "rope_scaling.attention_factor: want 1.34657359 for this getp, found 1: generate one from "
     "this checkpoint's config.json"},
};

static void a_difference_is_named(void **state) {
  struct model_config want = read_changed(*state, "");
  for (size_t i = 0; i < COUNT(DIFFERENCES); i++) {
    struct error err;
    struct model_config got = read_changed(*state, DIFFERENCES[i].changes);
    if (model_config_same(&want, &got, NULL, &err))
      fail_msg("%s: no difference", DIFFERENCES[i].changes);
    assert_contains(err.text, DIFFERENCES[i].want);
    assert_ptr_equal(strstr(err.text, "config.json: "), err.text);
  }
}

static void differences_without_effect_are_ignored(void **state) {
  struct error err;
  struct model_config want = read_changed(*state, "");
  struct model_config got = read_changed(*state, "'rope_scaling': {" LIKE_DEFAULT "}");
  assert_true(model_config_same(&want, &got, NULL, &err));
  got.eps = (double)1e-5f; // as generated code spells it
  assert_true(model_config_same(&want, &got, NULL, &err));
  want.rope.yarn = got.rope.yarn = false;
  got.rope.factor = 2;
  got.rope.truncate = true;
  assert_true(model_config_same(&want, &got, NULL, &err));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(abacus_is_read),
      cmocka_unit_test(the_other_models_are_read),
      IN_FOLDER(defaults_are_filled_in),
      IN_FOLDER(integers_may_be_written_as_reals),
      IN_FOLDER(aliases_are_read_and_must_agree),
      IN_FOLDER(window_and_layer_types_agree),
      IN_FOLDER(both_spellings_of_rope_are_read),
      IN_FOLDER(null_kv_heads_means_as_many_as_heads),
      IN_FOLDER(values_are_refused_by_key),
      IN_FOLDER(sizes_have_no_defaults),
      IN_FOLDER(broken_files_are_refused),
      IN_FOLDER(a_difference_is_named),
      IN_FOLDER(differences_without_effect_are_ignored),
  };
  return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
