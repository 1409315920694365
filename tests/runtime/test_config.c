// The config reader: the real models' files, what HF fills in, and one key changed at a time.
#include "checkpoint/config.h"
#include "checkpoint/stop_ids.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// After everything else: cmocka.h needs these four before it, and defines a macro called fail.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define MODELS "tests/models/"
#define CONFIG "config.json"
#define GENERATION "generation_config.json"

// What every config.json must have.
static const char MINIMAL[] =
    "{'model_type': 'gpt_oss', 'vocab_size': 100, 'hidden_size': 64, 'intermediate_size': 96,"
    " 'num_hidden_layers': 3, 'num_attention_heads': 4, 'num_key_value_heads': 2,"
    " 'num_local_experts': 8, 'num_experts_per_tok': 2}";

// A temporary checkpoint folder.
static int make_folder(void **state) {
  static const char template[] = P_tmpdir "/getp-test-XXXXXX";
  char *path = malloc(sizeof template);
  assert_non_null(path);
  memcpy(path, template, sizeof template);
  assert_non_null(mkdtemp(path));
  *state = path;
  return 0;
}

static void path_in(char path[static 256], const char *folder, const char *name) {
  int length = snprintf(path, 256, "%s/%s", folder, name);
  assert_in_range(length, 1, 255);
}

static int remove_folder(void **state) {
  char path[256];
  path_in(path, *state, CONFIG);
  remove(path);
  path_in(path, *state, GENERATION);
  remove(path);
  int failed = rmdir(*state);
  free(*state);
  return failed;
}

// Writes text with ' as ".
static void write_json(const char *folder, const char *name, const char *text) {
  char path[256];
  path_in(path, folder, name);
  FILE *file = fopen(path, "w");
  assert_non_null(file);
  for (const char *c = text; *c; c++)
    fputc(*c == '\'' ? '"' : *c, file);
  assert_int_equal(fclose(file), 0);
}

// Writes MINIMAL with the members of `changes` (members with ' as ", or "") set or added, and the
// key `without` taken out.
static void write_changed(const char *folder, const char *changes, const char *without) {
  char text[1024], path[256];
  snprintf(text, sizeof text, "%.*s%s%s}", (int)strlen(MINIMAL) - 1, MINIMAL, *changes ? ", " : "",
           changes);
  write_json(folder, CONFIG, text);
  path_in(path, folder, CONFIG);
  json_t *root = json_load_file(path, 0, NULL); // the last of equal keys wins
  assert_non_null(root);
  if (without)
    assert_int_equal(json_object_del(root, without), 0);
  assert_int_equal(json_dump_file(root, path, 0), 0);
  json_decref(root);
}

static struct model_config read_good(const char *folder) {
  struct model_config config;
  struct error err = {{0}};
  if (!model_config_read(&config, folder, &err))
    fail_msg("%s", err.text);
  return config;
}

static struct model_config read_changed(const char *folder, const char *changes) {
  write_changed(folder, changes, NULL);
  return read_good(folder);
}

static void assert_contains(const char *text, const char *want) {
  if (!strstr(text, want))
    fail_msg("want '%s' in '%s'", want, text);
}

static void assert_refused(const char *folder, const char *want) {
  struct model_config config;
  struct error err = {{0}};
  assert_false(model_config_read(&config, folder, &err));
  assert_contains(err.text, want);
}

static void test_reads_abacus(void **state) {
  (void)state;
  struct model_config c = read_good(MODELS "abacus");
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

static void test_reads_the_other_models(void **state) {
  (void)state;
  struct model_config c = read_good(MODELS "rand_bf16");
  assert_true(!c.mxfp4 && !c.rope.yarn && c.rope.theta == 500000);
  assert_string_equal(c.layer_types, "fs");
  c = read_good(MODELS "rand_tied");
  assert_true(c.tied && !c.attention_bias);
  c = read_good(MODELS "rand_mxfp4");
  assert_true(c.rope.truncate);
  c = read_good(MODELS "odd_all_experts"); // rope_parameters
  assert_true(c.rope.yarn && c.rope.theta == 150000 && c.rope.factor == 16);
  c = read_good(MODELS "odd_f16"); // attention_factor 1.25
  assert_true(c.rope.attention_factor == 1.25);
  c = read_good(MODELS "odd_sharded"); // factor 2, mscale 2, mscale_all_dim 0.5
  assert_true(fabs(c.rope.attention_factor - (0.2 * log(2) + 1) / (0.05 * log(2) + 1)) < 1e-12);
}

static void test_fills_in_defaults(void **state) {
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

static void test_numbers_may_be_spelled_either_way(void **state) {
  struct model_config want = read_changed(*state, "'rope_theta': 10000");
  struct model_config got = read_changed(*state, "'hidden_size': 64.0, 'num_hidden_layers': 3.0,"
                                                 "'sliding_window': 1.28e2, 'rope_theta': 1e4,"
                                                 "'swiglu_limit': 7");
  struct error err = {{0}};
  if (!model_config_same(&want, &got, &err))
    fail_msg("%s", err.text);
}

static void test_aliases(void **state) {
  write_changed(*state, "'num_experts': 6, 'experts_per_token': 3", "num_local_experts");
  assert_refused(*state, "experts_per_token: want 2, as num_experts_per_tok says, found 3");
  write_changed(*state, "'num_experts': 6, 'experts_per_token': 2.0", "num_local_experts");
  assert_int_equal(read_good(*state).n_experts, 6);
  write_changed(*state, "'experts_per_token': 3", "num_experts_per_tok");
  assert_int_equal(read_good(*state).top_k, 3);
  write_changed(*state, "'experts_per_token': '3'", "num_experts_per_tok");
  assert_refused(*state, "experts_per_token: want an integer from 1 to 2147483647, found \"3\"");
  write_changed(*state, "'num_experts': 7", NULL);
  assert_refused(*state, "num_experts: want 8, as num_local_experts says, found 7");
}

// Window and layer types have one form for one meaning: no window, no sliding layer.
static void test_window_and_layer_types_agree(void **state) {
#define TYPES(first) "'layer_types': ['" first "', 'full_attention', 'full_attention']"
  static const char *const full[] = {
      "'sliding_window': null",
      "'sliding_window': 0",
      "'sliding_window': null, " TYPES("sliding_attention"),
      TYPES("full_attention"),
  };
  for (size_t i = 0; i < sizeof full / sizeof *full; i++) {
    struct model_config c = read_changed(*state, full[i]);
    assert_int_equal(c.window, 0);
    assert_string_equal(c.layer_types, "fff");
  }
}

#define YARN "'rope_type': 'yarn', 'factor': 8, 'original_max_position_embeddings': 64"

static void test_rope_dialects(void **state) {
  struct model_config c =
      read_changed(*state, "'rope_parameters': {" YARN ", 'rope_theta': 10000}");
  assert_true(c.rope.yarn && c.rope.theta == 10000 && c.rope.factor == 8);
  assert_true(c.rope.truncate); // HF's default where the record is there
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

static void test_null_kv_heads_means_ungrouped(void **state) {
  struct model_config c = read_changed(*state, "'num_key_value_heads': null");
  assert_int_equal(c.n_kv_heads, 4);
}

static const struct {
  const char *changes;
  const char *want;
} REFUSED[] = {
    {"'model_type': 'llama'", "config.json: model_type: want \"gpt_oss\", found \"llama\""},
    {"'vocab_size': '100'", "vocab_size: want an integer from 1 to 2147483647, found \"100\""},
    {"'vocab_size': null", "vocab_size: want an integer from 1 to 2147483647, found nothing"},
    {"'hidden_size': 64.5", "hidden_size: want an integer from 1 to 2147483647, found 64.5"},
    {"'hidden_size': 0", "hidden_size: want an integer"},
    {"'hidden_size': -64", "hidden_size: want an integer"},
    {"'hidden_size': 2147483648", "hidden_size: want an integer"},
    {"'hidden_size': 9223372036854775807", "hidden_size: want an integer"},
    {"'hidden_size': true", "hidden_size: want an integer"},
    {"'hidden_size': [64]", "hidden_size: want an integer"},
    {"'num_hidden_layers': 513", "num_hidden_layers: want at most 512, found 513"},
    {"'num_key_value_heads': 3", "num_key_value_heads: want a divisor of num_attention_heads"},
    {"'head_dim': 33", "head_dim: want an even number, found 33"},
    {"'num_experts_per_tok': 9", "num_experts_per_tok: want at most the 8 experts, found 9"},
    {"'sliding_window': -1", "sliding_window: want an integer from 0 to 2147483647, found -1"},
    {"'sliding_window': 'no'", "sliding_window: want an integer from 0 to 2147483647"},
    {"'layer_types': 'full'", "layer_types: want one name per layer, found \"full\""},
    {"'layer_types': ['full_attention']", "layer_types: want one name per layer"},
    {"'layer_types': ['full_attention', 'linear', 'full_attention']",
     "layer_types: want sliding_attention or full_attention, found \"linear\""},
    {"'layer_types': ['full_attention', 1, 'full_attention']",
     "layer_types: want sliding_attention or full_attention, found 1"},
    {"'rms_norm_eps': 0", "rms_norm_eps: want a positive number, found 0"},
    {"'rms_norm_eps': '1e-5'", "rms_norm_eps: want a positive number, found \"1e-5\""},
    {"'swiglu_limit': -7", "swiglu_limit: want a positive number, found -7"},
    {"'swiglu_alpha': false", "swiglu_alpha: want a positive number, found false"},
    {"'attention_bias': 1", "attention_bias: want true or false, found 1"},
    {"'tie_word_embeddings': 'no'", "tie_word_embeddings: want true or false, found \"no\""},
    {"'quantization_config': {'quant_method': 'gptq'}", "quantization_config: want quant_method"},
    {"'quantization_config': {}", "quantization_config: want quant_method mxfp4"},
    {"'rope_theta': 1", "rope_theta: want more than 1, found 1"},
    {"'rope_theta': -1", "rope_theta: want a positive number, found -1"},
    {"'rope_scaling': 32", "rope_scaling: want an object or no such key, found 32"},
    {"'rope_scaling': null", "rope_scaling: want an object or no such key, found null"},
    {"'rope_parameters': null", "rope_parameters: want an object or no such key, found null"},
    {"'rope_scaling': {" YARN "}, 'rope_parameters': {}", "rope_parameters: want nothing beside"},
    {"'rope_scaling': {}", "rope_scaling.rope_type: want yarn or default, found nothing"},
    {"'rope_parameters': {" YARN ", 'rope_theta': 10000}, 'rope_theta': 5",
     "rope_parameters.rope_theta: want the rope_theta beside it, found 10000"},
    {"'rope_scaling': {'rope_type': 'llama3'}", "rope_scaling.rope_type: want yarn or default"},
    {"'rope_scaling': {'rope_type': 7}", "rope_scaling.rope_type: want yarn or default, found 7"},
    {"'rope_parameters': {'rope_type': 'yarn', 'factor': 8}",
     "rope_parameters.original_max_position_embeddings: want a positive number, found nothing"},
    {"'rope_scaling': {'rope_type': 'yarn'}", "rope_scaling.factor: want a positive number"},
    {"'rope_scaling': {" YARN ", 'factor': 0.5}", "rope_scaling.factor: want at least 1, found"},
    {"'rope_scaling': {" YARN ", 'beta_fast': 0}", "rope_scaling.beta_fast: want a positive"},
    {"'rope_scaling': {" YARN ", 'truncate': 0}", "rope_scaling.truncate: want true or false"},
    {"'rope_scaling': {" YARN ", 'attention_factor': 'x'}", "rope_scaling.attention_factor: want"},
    {"'rope_scaling': {" YARN ", 'mscale': 'x', 'mscale_all_dim': 1}", "rope_scaling.mscale: want"},
    {"'rope_scaling': {" YARN ", 'rope_theta': 'x'}", "rope_scaling.rope_theta: want a positive"},
};

static void test_refuses_by_key(void **state) {
  for (size_t i = 0; i < sizeof REFUSED / sizeof *REFUSED; i++) {
    write_changed(*state, REFUSED[i].changes, NULL);
    assert_refused(*state, REFUSED[i].want);
  }
}

static void test_sizes_have_no_defaults(void **state) {
  static const char *const keys[] = {
      "model_type",        "vocab_size",          "hidden_size",
      "intermediate_size", "num_hidden_layers",   "num_attention_heads",
      "num_local_experts", "num_key_value_heads", "num_experts_per_tok",
  };
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
    char want[64];
    snprintf(want, sizeof want, "config.json: %s: want ", keys[i]);
    write_changed(*state, "", keys[i]);
    assert_refused(*state, want);
  }
}

static void test_broken_files_are_refused(void **state) {
  char path[256];
  path_in(path, *state, CONFIG);
  assert_refused(*state, "config.json: No such file or directory");
  assert_int_equal(mkdir(path, 0700), 0);
  assert_refused(*state, "config.json: want a regular file");
  assert_int_equal(rmdir(path), 0);
  write_json(*state, CONFIG, "");
  assert_refused(*state, "config.json:1: want JSON");
  write_json(*state, CONFIG, "[]");
  assert_refused(*state, "config.json: want a JSON object");
  write_json(*state, CONFIG, "{'vocab_size': 1,\n 'vocab_size': 2}");
  assert_refused(*state, "config.json:2: want JSON, found an error: duplicate object key");
  write_json(*state, CONFIG, MINIMAL);
  assert_int_equal(truncate(path, (off_t)strlen(MINIMAL) - 1), 0);
  assert_refused(*state, "config.json:1: want JSON");
}

// Each change of MINIMAL is found, by key and with both values.
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

static void test_same_names_the_difference(void **state) {
  struct model_config want = read_changed(*state, "");
  for (size_t i = 0; i < sizeof DIFFERENCES / sizeof *DIFFERENCES; i++) {
    struct error err = {{0}};
    struct model_config got = read_changed(*state, DIFFERENCES[i].changes);
    if (model_config_same(&want, &got, &err))
      fail_msg("%s: no difference", DIFFERENCES[i].changes);
    assert_contains(err.text, DIFFERENCES[i].want);
    assert_ptr_equal(strstr(err.text, "config.json: "), err.text);
  }
}

static void test_same_ignores_what_does_not_matter(void **state) {
  struct error err = {{0}};
  struct model_config want = read_changed(*state, "");
  struct model_config got = read_changed(*state, "'rope_scaling': {" LIKE_DEFAULT "}");
  assert_true(model_config_same(&want, &got, &err));
  got.eps = (double)1e-5f; // as generated code spells it
  assert_true(model_config_same(&want, &got, &err));
  want.rope.yarn = got.rope.yarn = false;
  got.rope.factor = 2;
  got.rope.truncate = true;
  assert_true(model_config_same(&want, &got, &err));
}

static void assert_stop_ids(const char *folder, int n, const int32_t *ids) {
  struct stop_ids stop;
  struct error err = {{0}};
  if (!stop_ids_read(&stop, folder, 1024, &err))
    fail_msg("%s", err.text);
  assert_int_equal(stop.n, n);
  assert_memory_equal(stop.id, ids, (size_t)n * sizeof *ids);
}

static void test_stop_ids(void **state) {
  assert_stop_ids(MODELS "abacus", 3, (int32_t[]){1016, 1015, 1022});
  assert_stop_ids(MODELS "rand_tied", 1, (int32_t[]){297});
  write_json(*state, CONFIG, "{'eos_token_id': [5, 6.0]}");
  assert_stop_ids(*state, 2, (int32_t[]){5, 6});
  write_json(*state, GENERATION, "{'eos_token_id': 7}");
  assert_stop_ids(*state, 1, (int32_t[]){7});
  write_json(*state, GENERATION, "{'eos_token_id': 0}");
  assert_stop_ids(*state, 1, (int32_t[]){0});
  write_json(*state, GENERATION, "{'bos_token_id': 7}");
  assert_stop_ids(*state, 2, (int32_t[]){5, 6});
}

static const struct {
  const char *name, *text, *want;
} BAD_STOP_IDS[] = {
    {CONFIG, "{}", "eos_token_id: want an id in generation_config.json or in config.json, found"},
    {CONFIG, "{'eos_token_id': null}", "eos_token_id: want an id in generation_config.json"},
    {CONFIG, "{'eos_token_id': []}", "eos_token_id: want an id in generation_config.json"},
    {CONFIG, "{'eos_token_id': 1024}",
     "eos_token_id: want token ids below 1024, at most 16, found"},
    {CONFIG, "{'eos_token_id': -1}", "config.json: eos_token_id: want token ids below 1024"},
    {CONFIG, "{'eos_token_id': '7'}", "eos_token_id: want token ids below 1024"},
    {CONFIG, "{'eos_token_id': [[7]]}", "eos_token_id: want token ids below 1024"},
    {CONFIG, "{'eos_token_id': [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]}", "at most 16"},
    {GENERATION, "{'eos_token_id': 1024}", "generation_config.json: eos_token_id: want token ids"},
    {GENERATION, "{", "generation_config.json:1: want JSON"},
};

static void test_bad_stop_ids_are_refused(void **state) {
  for (size_t i = 0; i < sizeof BAD_STOP_IDS / sizeof *BAD_STOP_IDS; i++) {
    struct stop_ids stop;
    struct error err = {{0}};
    write_json(*state, BAD_STOP_IDS[i].name, BAD_STOP_IDS[i].text);
    assert_false(stop_ids_read(&stop, *state, 1024, &err));
    assert_contains(err.text, BAD_STOP_IDS[i].want);
  }
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_reads_abacus),
      cmocka_unit_test(test_reads_the_other_models),
      IN_FOLDER(test_fills_in_defaults),
      IN_FOLDER(test_numbers_may_be_spelled_either_way),
      IN_FOLDER(test_aliases),
      IN_FOLDER(test_window_and_layer_types_agree),
      IN_FOLDER(test_rope_dialects),
      IN_FOLDER(test_null_kv_heads_means_ungrouped),
      IN_FOLDER(test_refuses_by_key),
      IN_FOLDER(test_sizes_have_no_defaults),
      IN_FOLDER(test_broken_files_are_refused),
      IN_FOLDER(test_same_names_the_difference),
      IN_FOLDER(test_same_ignores_what_does_not_matter),
      IN_FOLDER(test_stop_ids),
      IN_FOLDER(test_bad_stop_ids_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
