// The reference against logits and hidden states that HF transformers computed, with one folder per
// model in MODELS, and its formulas against values that were computed by hand.
#include "reference/math.h"
#include "reference/reference.h"

#include "support.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// The bound on the relative L2 error of a vector. HF computes in float, the reference in double and
// rounds in between.
static const double TOLERANCE = 1e-4;

// An open model, and the results of HF for it.
struct fixture {
  struct checkpoint *checkpoint;
  struct model_config config;
  json_t *reference;
  float *logits; // (positions of all sequences, vocab)
  float *hidden; // (n_layers + 1, positions of the last sequence, d_model), or NULL
};

// The context of the visitor: what it compares with, and the largest errors so far.
struct comparison {
  const struct fixture *fixture;
  const float *logits; // of this sequence
  const float *hidden; // of the last sequence; otherwise NULL
  size_t positions;
  double logits_error, hidden_error;
};

static size_t count_positions(const json_t *sequences) {
  size_t n = 0;
  for (size_t i = 0; i < json_array_size(sequences); i++)
    n += json_array_size(json_array_get(sequences, i));
  return n;
}

static void open_fixture(struct fixture *fixture, const char *folder) {
  char path[PATH_BYTES];
  size_t n;
  *fixture = (struct fixture){0};
  fixture->config = read_config(folder);
  fixture->checkpoint = open_checkpoint(folder);
  path_in(path, folder, "reference.json");
  fixture->reference = read_json(path);
  const json_t *sequences = json_object_get(fixture->reference, "sequences");
  const json_t *last = json_array_get(sequences, json_array_size(sequences) - 1);
  path_in(path, folder, "logits.f32");
  fixture->logits = read_floats(path, &n);
  assert_true(n > 0);
  assert_int_equal(n, count_positions(sequences) * (size_t)fixture->config.vocab);
  path_in(path, folder, "hidden.f32");
  if (access(path, F_OK) != 0)
    return;
  fixture->hidden = read_floats(path, &n);
  assert_int_equal(n, json_array_size(last) * (size_t)(fixture->config.n_layers + 1) *
                          (size_t)fixture->config.d_model);
}

static void close_fixture(struct fixture *fixture) {
  checkpoint_close(fixture->checkpoint);
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

// fmax would lose a NaN.
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
      return fail(err, "hidden state %zu of position %d: error %g", layer, position, error);
  }
  return c->logits_error < TOLERANCE ||
         fail(err, "logits of position %d: error %g", position, c->logits_error);
}

static void run_sequence(struct comparison *c, const json_t *sequence) {
  struct error err;
  int32_t *ids = read_ids(sequence, &c->positions);
  bool ok = reference_run(c->fixture->checkpoint, &c->fixture->config, ids, (int)c->positions,
                          compare, c, &err);
  free(ids);
  if (!ok)
    fail_msg("%s", err.text);
  c->logits += c->positions * (size_t)c->fixture->config.vocab;
}

// *state is the folder of a model.
static void agrees_with_transformers(void **state) {
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
  return position < 2 || fail(err, "enough");
}

static void assert_run_fails(const struct fixture *fixture, const struct model_config *config,
                             const int32_t *ids, int n, const char *want) {
  struct error err;
  int visits = 0;
  assert_false(reference_run(fixture->checkpoint, config, ids, n, stop_at_two, &visits, &err));
  assert_int_equal(visits, 0);
  assert_contains(err.text, want);
}

static void wrong_ids_and_tensors_are_refused(void **state) {
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

// A checkpoint whose embedding is U8 in place of a float type.
static void bytes_are_refused_as_numbers(void **state) {
  static const uint8_t DATA[64];
  write_safetensors(*state, "model.safetensors",
                    "{\"model.embed_tokens.weight\":{\"dtype\":\"U8\",\"shape\":[2,32],"
                    "\"data_offsets\":[0,64]}}",
                    DATA, sizeof DATA);
  const struct model_config config = {.vocab = 2, .d_model = 32, .n_layers = 1, .d_ff = 32};
  struct fixture f = {0};
  struct error err;
  assert_true(checkpoint_open(&f.checkpoint, *state, &config, &err));
  assert_run_fails(&f, &config, (int32_t[]){1}, 1,
                   "model.embed_tokens.weight: want dtype BF16, F16 or F32, found U8");
  close_fixture(&f);
}

static void a_visitor_can_stop(void **state) {
  (void)state;
  struct fixture f;
  struct error err;
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

static void inv_freq_of_gpt_oss_is_right(void **state) {
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

// With rounding, the ramp of gpt-oss runs from 8 to 18 instead of 8.09 to 17.40.
static void inv_freq_can_be_truncated(void **state) {
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

static void inv_freq_without_yarn_is_a_power(void **state) {
  (void)state;
  const struct rope_config rope = {.theta = 10000, .factor = 1, .attention_factor = 1};
  float got[4];
  rope_inv_freq(got, &rope, 8);
  const double want[] = {1, 0.1, 0.01, 0.001};
  for (int i = 0; i < 4; i++)
    assert_close(got[i], want[i], FLT_EPSILON);
}

// The original context is so short that both ends of the ramp are pair 0; HF then makes it 0.001
// wide.
static void inv_freq_of_an_empty_ramp_is_that_of_transformers(void **state) {
  (void)state;
  struct rope_config rope = GPT_OSS_ROPE;
  rope.original_max_positions = 6;
  rope.truncate = true;
  float got[32];
  rope_inv_freq(got, &rope, 64);
  assert_true(got[0] == 1);
  assert_close(got[1], pow(150000, -1 / 32.0) / 32, FLT_EPSILON);
}

static void swiglu_clamps(void **state) {
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

static void equal_experts_are_picked_by_id(void **state) {
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

static void mxfp4_codes_have_their_values(void **state) {
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
    "agrees_with_transformers: " model, agrees_with_transformers, NULL, NULL,                      \
        (void *)(uintptr_t)(MODELS model)                                                          \
  }

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(inv_freq_of_gpt_oss_is_right),
      cmocka_unit_test(inv_freq_can_be_truncated),
      cmocka_unit_test(inv_freq_without_yarn_is_a_power),
      cmocka_unit_test(inv_freq_of_an_empty_ramp_is_that_of_transformers),
      cmocka_unit_test(swiglu_clamps),
      cmocka_unit_test(equal_experts_are_picked_by_id),
      cmocka_unit_test(mxfp4_codes_have_their_values),
      cmocka_unit_test(wrong_ids_and_tensors_are_refused),
      IN_FOLDER(bytes_are_refused_as_numbers),
      cmocka_unit_test(a_visitor_can_stop),
      AGREES("abacus"),
      AGREES("abacus_chat"),
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
