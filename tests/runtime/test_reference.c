// The reference pass against logits and hidden states that HF transformers computed (one folder a
// model below MODELS), and its formulas against values worked out by hand.
#include "reference/math.h"
#include "reference/reference.h"

#include <float.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// After everything else: cmocka.h needs these four before it, and defines a macro called fail;
// (fail)(...) is error.h's.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define MODELS "tests/models/"

// Relative L2 error of one vector. HF computes in float, this in double with floats between.
static const double TOLERANCE = 1e-4;

// One model, opened, and what HF says about it.
struct fixture {
  struct safetensors *checkpoint;
  struct model_config config;
  json_t *reference;
  float *logits; // (positions of all sequences, vocab)
  float *hidden; // (n_layers + 1, positions of the last sequence, hidden), or NULL
};

// Where the visitor stands, and the largest errors it has seen.
struct comparison {
  const struct fixture *fixture;
  const float *logits; // of this sequence
  const float *hidden; // NULL but for the last sequence
  size_t positions;
  double logits_error, hidden_error;
};

static float *read_floats(const char *folder, const char *name, size_t *n) {
  char path[256];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE *file = fopen(path, "rb");
  *n = 0;
  if (!file)
    return NULL;
  assert_int_equal(fseek(file, 0, SEEK_END), 0);
  *n = (size_t)ftell(file) / sizeof(float);
  rewind(file);
  float *values = malloc(*n * sizeof *values);
  assert_non_null(values);
  assert_int_equal(fread(values, sizeof *values, *n, file), *n);
  fclose(file);
  return values;
}

static size_t count_positions(const json_t *sequences) {
  size_t n = 0;
  for (size_t i = 0; i < json_array_size(sequences); i++)
    n += json_array_size(json_array_get(sequences, i));
  return n;
}

static void open_fixture(struct fixture *fixture, const char *folder) {
  struct error err = {{0}};
  char path[256];
  *fixture = (struct fixture){0};
  if (!model_config_read(&fixture->config, folder, &err) ||
      !safetensors_open(&fixture->checkpoint, folder, &err))
    fail_msg("%s", err.text);
  snprintf(path, sizeof path, "%s/reference.json", folder);
  fixture->reference = json_load_file(path, 0, NULL);
  const json_t *sequences = json_object_get(fixture->reference, "sequences");
  const json_t *last = json_array_get(sequences, json_array_size(sequences) - 1);
  size_t n;
  fixture->logits = read_floats(folder, "logits.f32", &n);
  assert_true(n > 0);
  assert_int_equal(n, count_positions(sequences) * (size_t)fixture->config.vocab);
  fixture->hidden = read_floats(folder, "hidden.f32", &n);
  if (fixture->hidden)
    assert_int_equal(n, json_array_size(last) * (size_t)(fixture->config.n_layers + 1) *
                            (size_t)fixture->config.d_model);
}

static void close_fixture(struct fixture *fixture) {
  safetensors_close(fixture->checkpoint);
  json_decref(fixture->reference);
  free(fixture->logits);
  free(fixture->hidden);
}

// |got - want| / |want|.
static double relative_error(const float *got, const float *want, size_t n) {
  double difference = 0, size = 0;
  for (size_t i = 0; i < n; i++) {
    difference += ((double)got[i] - want[i]) * ((double)got[i] - want[i]);
    size += (double)want[i] * want[i];
  }
  return sqrt(difference / size);
}

// Not fmax: a NaN must not get lost.
static double larger(double a, double b) {
  return a > b ? a : b;
}

static bool compare(void *context, int position, const float *logits, const float *hidden,
                    struct error *err) {
  struct comparison *c = context;
  size_t vocab = (size_t)c->fixture->config.vocab, p = (size_t)position;
  size_t width = (size_t)c->fixture->config.d_model;
  c->logits_error = larger(relative_error(logits, c->logits + p * vocab, vocab), c->logits_error);
  for (size_t layer = 0; c->hidden && layer <= (size_t)c->fixture->config.n_layers; layer++) {
    const float *want = c->hidden + (layer * c->positions + p) * width;
    double error = relative_error(hidden + layer * width, want, width);
    c->hidden_error = larger(error, c->hidden_error);
    if (!(error < TOLERANCE))
      return (fail)(err, "hidden state %zu of position %d: error %g", layer, position, error);
  }
  return c->logits_error < TOLERANCE ||
         (fail)(err, "logits of position %d: error %g", position, c->logits_error);
}

// Token ids of one sequence; the caller frees them.
static int32_t *ids_of(const json_t *sequence) {
  int32_t *ids = malloc(json_array_size(sequence) * sizeof *ids);
  assert_non_null(ids);
  for (size_t i = 0; i < json_array_size(sequence); i++)
    ids[i] = (int32_t)json_integer_value(json_array_get(sequence, i));
  return ids;
}

static void run_sequence(struct comparison *c, const json_t *sequence) {
  struct error err = {{0}};
  int32_t *ids = ids_of(sequence);
  c->positions = json_array_size(sequence);
  bool ok = reference_run(c->fixture->checkpoint, &c->fixture->config, ids, (int)c->positions,
                          compare, c, &err);
  free(ids);
  if (!ok)
    fail_msg("%s", err.text);
  c->logits += c->positions * (size_t)c->fixture->config.vocab;
}

// *state is the folder of a model.
static void test_agrees_with_transformers(void **state) {
  struct fixture fixture;
  open_fixture(&fixture, *state);
  struct comparison c = {.fixture = &fixture, .logits = fixture.logits};
  const json_t *sequences = json_object_get(fixture.reference, "sequences");
  for (size_t i = 0; i < json_array_size(sequences); i++) {
    c.hidden = i + 1 == json_array_size(sequences) ? fixture.hidden : NULL;
    run_sequence(&c, json_array_get(sequences, i));
  }
  print_message("largest relative error: logits %.2g", c.logits_error);
  if (fixture.hidden)
    print_message(", hidden states %.2g", c.hidden_error);
  print_message("\n");
  close_fixture(&fixture);
}

static bool stop_at_two(void *context, int position, const float *logits, const float *hidden,
                        struct error *err) {
  (void)logits;
  (void)hidden;
  ++*(int *)context;
  return position < 2 || (fail)(err, "enough");
}

static void assert_run_fails(const struct fixture *fixture, const struct model_config *config,
                             const int32_t *ids, int n, const char *want) {
  struct error err = {{0}};
  int visits = 0;
  assert_false(reference_run(fixture->checkpoint, config, ids, n, stop_at_two, &visits, &err));
  assert_int_equal(visits, 0);
  if (!strstr(err.text, want))
    fail_msg("want '%s' in '%s'", want, err.text);
}

static void test_refuses_by_name(void **state) {
  (void)state;
  struct fixture f;
  open_fixture(&f, MODELS "rand_mxfp4");
  const int32_t good[] = {1, 2, 3}, high[] = {1, 515}, negative[] = {-1};
  assert_run_fails(&f, &f.config, high, 2,
                   "reference: position 1: want a token id below 515, found 515");
  assert_run_fails(&f, &f.config, negative, 1,
                   "reference: position 0: want a token id below 515, found -1");
  assert_run_fails(&f, &f.config, good, 0, "want at least one token id");
  struct model_config config = f.config;
  config.n_layers = 4;
  assert_run_fails(&f, &config, good, 3, "model.layers.3.input_layernorm.weight: want shape [128]");
  config = f.config;
  config.n_heads = 3;
  assert_run_fails(
      &f, &config, good, 3,
      "model.layers.0.self_attn.q_proj.weight: want shape [96, 128], found [192, 128]");
  config = f.config;
  config.mxfp4 = false;
  assert_run_fails(&f, &config, good, 3,
                   "model.layers.0.mlp.experts.gate_up_proj: want shape [5, 128, 192], found no");
  config = f.config;
  config.d_model = 144;
  assert_run_fails(&f, &config, good, 3, "multiples of 32 for MXFP4, found 144 and 96");
  close_fixture(&f);
}

// A checkpoint of one tensor of 64 bytes that calls itself U8 where numbers are wanted.
static void test_refuses_packed_weights_in_a_dense_role(void **state) {
  (void)state;
  static const char header[] = "{\"model.embed_tokens.weight\":{\"dtype\":\"U8\",\"shape\":[2,32],"
                               "\"data_offsets\":[0,64]}}";
  static const uint8_t data[64];
  char folder[] = P_tmpdir "/getp-test-XXXXXX", path[sizeof folder + 32];
  assert_non_null(mkdtemp(folder));
  snprintf(path, sizeof path, "%s/model.safetensors", folder);
  FILE *file = fopen(path, "wb");
  assert_non_null(file);
  const uint8_t length[8] = {sizeof header - 1};
  assert_int_equal(fwrite(length, 1, 8, file), 8);
  assert_int_equal(fwrite(header, 1, sizeof header - 1, file), sizeof header - 1);
  assert_int_equal(fwrite(data, 1, sizeof data, file), sizeof data);
  assert_int_equal(fclose(file), 0);

  struct fixture f = {0};
  struct error err = {{0}};
  if (!safetensors_open(&f.checkpoint, folder, &err))
    fail_msg("%s", err.text);
  const struct model_config config = {.vocab = 2, .d_model = 32, .n_layers = 1, .d_ff = 32};
  assert_run_fails(&f, &config, (int32_t[]){1}, 1,
                   "model.embed_tokens.weight: want dtype BF16, F16 or F32, found U8");
  close_fixture(&f);
  assert_int_equal(remove(path), 0);
  assert_int_equal(rmdir(folder), 0);
}

static void test_stops_when_told(void **state) {
  (void)state;
  struct fixture f;
  struct error err = {{0}};
  int visits = 0;
  open_fixture(&f, MODELS "rand_tied");
  assert_false(reference_run(f.checkpoint, &f.config, (int32_t[]){1, 2, 3, 4, 5}, 5, stop_at_two,
                             &visits, &err));
  assert_int_equal(visits, 3);
  assert_string_equal(err.text, "enough");
  close_fixture(&f);
}

static void assert_close(double got, double want, double relative) {
  if (!(fabs(got - want) <= relative * fabs(want)))
    fail_msg("want %.9g, found %.9g", want, got);
}

static const struct rope_config GPT_OSS_ROPE = {
    .yarn = true,
    .theta = 150000,
    .factor = 32,
    .beta_fast = 32,
    .beta_slow = 1,
    .original_max_positions = 4096,
};

static void test_inv_freq_of_gpt_oss(void **state) {
  (void)state;
  static const double want[32] = {
      1,
      0.689044306,
      0.474782055,
      0.327145872,
      0.225418,
      0.155322989,
      0.107024421,
      0.0737445682,
      0.0508132748,
      0.0317056962,
      0.0193350011,
      0.0115920493,
      0.00679495949,
      0.00386035932,
      0.00209379238,
      0.0010526021,
      0.000456483919,
      0.000129318701,
      3.83088124e-05,
      2.6396469e-05,
      1.81883367e-05,
      1.25325698e-05,
      8.63549588e-06,
      5.95023926e-06,
      4.09997848e-06,
      2.82506683e-06,
      1.94659621e-06,
      1.34129104e-06,
      9.2420895e-07,
      6.36820915e-07,
      4.38797825e-07,
      3.02351143e-07,
  };
  float got[32];
  rope_inv_freq(got, &GPT_OSS_ROPE, 64);
  for (int i = 0; i < 32; i++)
    assert_close(got[i], want[i], FLT_EPSILON);
}

// Rounded, the ramp of gpt-oss runs from 8 to 18 in place of 8.09 to 17.40.
static void test_inv_freq_truncated(void **state) {
  (void)state;
  struct rope_config rope = GPT_OSS_ROPE;
  float exact[32], rounded[32];
  rope_inv_freq(exact, &rope, 64);
  rope.truncate = true;
  rope_inv_freq(rounded, &rope, 64);
  double plain = pow(150000, -13 / 32.0), ramp = 0.5;
  assert_close(rounded[13], plain * (ramp / 32 + 1 - ramp), FLT_EPSILON);
  assert_true(rounded[8] == exact[8] && rounded[18] == exact[18]);
  assert_true(rounded[9] < exact[9] && rounded[17] > exact[17]);
}

static void test_inv_freq_plain(void **state) {
  (void)state;
  const struct rope_config rope = {.theta = 10000, .factor = 1, .attention_factor = 1};
  float got[4];
  rope_inv_freq(got, &rope, 8);
  const double want[] = {1, 0.1, 0.01, 0.001};
  for (int i = 0; i < 4; i++)
    assert_close(got[i], want[i], FLT_EPSILON);
}

// An original context so short that both ends of the ramp are pair 0: HF makes it 0.001 wide.
static void test_inv_freq_of_an_empty_ramp(void **state) {
  (void)state;
  struct rope_config rope = GPT_OSS_ROPE;
  rope.original_max_positions = 6;
  rope.truncate = true;
  float got[32];
  rope_inv_freq(got, &rope, 64);
  assert_true(got[0] == 1);
  assert_close(got[1], pow(150000, -1 / 32.0) / 32, FLT_EPSILON);
}

static void test_swiglu_clamps(void **state) {
  (void)state;
  assert_close(swiglu(20, -20, 7, 1.702), -41.9997, 1e-6);
  assert_close(swiglu(-20, 20, 7, 1.702), -2.6e-13, 0.02);
  assert_close(swiglu(1, 1, 7, 1.702), 2 / (1 + exp(-1.702)), FLT_EPSILON);
  assert_true(swiglu(20, 3, 7, 1.702) == swiglu(7, 3, 7, 1.702));
  assert_true(swiglu(-20, 3, 7, 1.702) != swiglu(-7, 3, 7, 1.702));
  assert_true(swiglu(3, 20, 7, 1.702) == swiglu(3, 7, 7, 1.702));
  assert_true(swiglu(3, -1, 7, 1.702) == 0);
  assert_true(isnan(swiglu(NAN, 1, 7, 1.702)) && isnan(swiglu(1, NAN, 7, 1.702)));
}

static void test_route_breaks_ties_by_id(void **state) {
  (void)state;
  float weights[5];
  route(weights, (const float[]){1, 2, 2, 0, 2}, 5, 2);
  const float pair[] = {0, 0.5f, 0.5f, 0, 0};
  assert_memory_equal(weights, pair, sizeof pair);
  route(weights, (const float[]){-1, -1, -1, -1, -1}, 5, 1);
  const float first[] = {1, 0, 0, 0, 0};
  assert_memory_equal(weights, first, sizeof first);
  route(weights, (const float[]){0, logf(3), -9, 0, 0}, 5, 2);
  assert_close(weights[0], 0.25, FLT_EPSILON);
  assert_close(weights[1], 0.75, FLT_EPSILON);
  route(weights, (const float[]){500, -500, 400, 0, 1}, 5, 5);
  assert_true(weights[0] == 1 && weights[1] == 0);
}

static void test_mxfp4_codes(void **state) {
  (void)state;
  static const uint8_t codes[16] = {0x10, 0x32, 0x54, 0x76, 0x98, 0xba, 0xdc, 0xfe};
  static const float positive[8] = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6};
  float got[MXFP4_GROUP];
  mxfp4_expand(got, codes, 127);
  for (int i = 0; i < 8; i++) {
    assert_true(got[i] == positive[i]);
    assert_true(got[8 + i] == -positive[i] && signbit(got[8 + i]));
    assert_true(got[16 + i] == 0);
  }
  mxfp4_expand(got, codes, 130);
  assert_true(got[7] == 48 && got[9] == -4);
  mxfp4_expand(got, codes, 0);
  assert_true(got[1] == 0x1p-128f && got[7] == 0x1.8p-125f);
}

#define AGREES(model)                                                                              \
  {                                                                                                \
    "test_agrees_with_transformers: " model, test_agrees_with_transformers, NULL, NULL,            \
        (void *)(uintptr_t)(MODELS model)                                                          \
  }

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_inv_freq_of_gpt_oss),
      cmocka_unit_test(test_inv_freq_truncated),
      cmocka_unit_test(test_inv_freq_plain),
      cmocka_unit_test(test_inv_freq_of_an_empty_ramp),
      cmocka_unit_test(test_swiglu_clamps),
      cmocka_unit_test(test_route_breaks_ties_by_id),
      cmocka_unit_test(test_mxfp4_codes),
      cmocka_unit_test(test_refuses_by_name),
      cmocka_unit_test(test_refuses_packed_weights_in_a_dense_role),
      cmocka_unit_test(test_stops_when_told),
      AGREES("abacus"),
      AGREES("rand_mxfp4"),
      AGREES("rand_bf16"),
      AGREES("rand_tied"),
      AGREES("odd_128_experts"),
      AGREES("odd_all_experts"),
      AGREES("odd_default_rope"),
      AGREES("odd_f16"),
      AGREES("odd_f32"),
      AGREES("odd_no_window"),
      AGREES("odd_one_expert"),
      AGREES("odd_sharded"),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
