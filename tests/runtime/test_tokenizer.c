// The tokenizer against ids that other programs computed, and on texts that it must give back or
// refuse.
#include "tokenizer_support.h"

#include "base/utf8.h"

#include <stdlib.h>
#include <string.h>

struct fixture {
  char *folder; // for the tokenizer.json that a test writes
  struct tokenizer *o200k, *abacus;
};

static int open_fixture(void **state) {
  struct fixture *f = calloc(1, sizeof *f);
  *state = f;
  f->folder = new_folder();
  f->o200k = must_open(O200K "/tokenizer.json");
  f->abacus = must_open(ABACUS "/tokenizer.json");
  return 0;
}

static int close_fixture(void **state) {
  struct fixture *f = *state;
  void *folder = f->folder;
  tokenizer_close(f->o200k);
  tokenizer_close(f->abacus);
  free(f);
  return remove_folder(&folder);
}

// --- ids that other programs computed ---

static void o200k_gives_the_ids_of_the_reference(void **state) {
  const struct fixture *f = *state;
  json_t *cases = read_json(O200K "/cases.json");
  assert_int_equal(json_array_size(cases), 400);
  for (size_t i = 0; i < json_array_size(cases); i++) {
    const json_t *text = json_object_get(json_array_get(cases, i), "text");
    size_t n;
    int32_t *ids = read_ids(json_object_get(json_array_get(cases, i), "ids"), &n);
    assert_encodes(f->o200k, json_string_value(text), json_string_length(text), ids, n);
    free(ids);
  }
  json_decref(cases);
}

static void o200k_gives_the_golden_ids(void **state) {
  const struct fixture *f = *state;
  static const struct {
    const char *text;
    size_t n;
    int32_t ids[8];
  } cases[] = {
      {"", 0, {0}},
      {"Hello world", 2, {13225, 2375}},
      {"ฉันรักทะเล", 5, {97797, 6560, 151737, 37899, 17758}},
      {"🍣 sushi and 🍜 ramen", 7, {102415, 96, 85535, 326, 197348, 250, 90938}},
      {"email: test@example.com", 5, {4261, 25, 1746, 81309, 1136}},
      {"  leading spaces", 3, {220, 8117, 18608}},
      {"<|start|>", 5, {27, 91, 5236, 91, 29}}, // the text of a special token is ordinary text
  };
  for (size_t i = 0; i < COUNT(cases); i++)
    assert_encodes(f->o200k, cases[i].text, strlen(cases[i].text), cases[i].ids, cases[i].n);
}

static void o200k_has_its_tokens(void **state) {
  const struct tokenizer *t = ((struct fixture *)*state)->o200k;
  size_t n;
  assert_int_equal(tokenizer_size(t), 200019);
  assert_int_equal(tokenizer_special(t, "<|startoftext|>"), 199998);
  assert_int_equal(tokenizer_special(t, "<|return|>"), 200002);
  assert_int_equal(tokenizer_special(t, "<|call|>"), 200012);
  assert_int_equal(tokenizer_special(t, "<|start"), -1);
  assert_int_equal(tokenizer_special(t, "Hello"), -1);
  assert_memory_equal(tokenizer_bytes(t, 200006, &n), "<|start|>", 9);
  assert_int_equal(n, 9);
  assert_memory_equal(tokenizer_bytes(t, 188, &n), "\0", 1);
  assert_int_equal(n, 1);
  assert_non_null(tokenizer_bytes(t, 72056, &n));
  assert_int_equal(n, 128);
  assert_null(tokenizer_bytes(t, 200019, &n));
  assert_null(tokenizer_bytes(t, -1, &n));
  assert_null(tokenizer_bytes(t, INT32_MAX, &n));
}

// Decodes the ids between special tokens and encodes them again. Returns how many were compared.
static size_t check_sequence(const struct tokenizer *tokenizer, const int32_t *ids, size_t n) {
  size_t compared = 0;
  for (size_t start = 0, end = 0; end <= n; end++) {
    if (end < n && ids[end] < 1014)
      continue;
    char text[4096];
    size_t bytes = 0;
    for (size_t i = start; i < end; i++) {
      size_t token_bytes;
      const char *token = tokenizer_bytes(tokenizer, ids[i], &token_bytes);
      assert_non_null(token);
      assert_true(token_bytes < sizeof text - bytes);
      memcpy(text + bytes, token, token_bytes);
      bytes += token_bytes;
    }
    text[bytes] = '\0';
    assert_encodes(tokenizer, text, bytes, ids + start, end - start);
    compared += end - start;
    start = end + 1;
  }
  return compared;
}

static size_t check_abacus_sequences(const struct tokenizer *tokenizer) {
  json_t *root = read_json(ABACUS "/reference.json");
  const json_t *sequences = json_object_get(root, "sequences");
  size_t compared = 0;
  for (size_t i = 0; i < json_array_size(sequences); i++) {
    size_t n;
    int32_t *ids = read_ids(json_array_get(sequences, i), &n);
    compared += check_sequence(tokenizer, ids, n);
    free(ids);
  }
  json_decref(root);
  return compared;
}

static void abacus_gives_its_training_ids(void **state) {
  const struct fixture *f = *state;
  assert_int_equal(tokenizer_size(f->abacus), 1024);
  assert_int_equal(tokenizer_special(f->abacus, "<|return|>"), 1016);
  assert_true(check_abacus_sequences(f->abacus) > 500);
}

static void merges_may_be_joined_strings(void **state) {
  const struct fixture *f = *state;
  json_t *root = read_json(ABACUS "/tokenizer.json");
  json_t *merges = json_object_get(json_object_get(root, "model"), "merges");
  for (size_t i = 0; i < json_array_size(merges); i++) {
    const json_t *pair = json_array_get(merges, i);
    json_array_set_new(merges, i,
                       json_sprintf("%s %s", json_string_value(json_array_get(pair, 0)),
                                    json_string_value(json_array_get(pair, 1))));
  }
  struct tokenizer *tokenizer = must_open_json(f->folder, root);
  assert_true(check_abacus_sequences(tokenizer) > 500);
  tokenizer_close(tokenizer);
  json_decref(root);
}

// --- texts ---

static size_t put_code_point(char *out, unsigned c) {
  if (c < 0x80) {
    out[0] = (char)c;
    return 1;
  }
  int n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
  for (int i = n - 1; i > 0; i--, c >>= 6)
    out[i] = (char)(0x80 | (c & 0x3f));
  out[0] = (char)(0xf00 >> n | c);
  return (size_t)n;
}

// Draws any code point. Short encodings come more often, so that letters, spaces and marks meet.
static unsigned random_code_point(uint64_t *seed) {
  static const unsigned end[] = {0x80, 0x80, 0x300, 0x370, 0x800, 0x3000, 0xd800, 0x110000};
  unsigned c = random_below(seed, end[random_below(seed, 8)]);
  return c >= 0xd800 && c < 0xe000 ? ' ' : c;
}

static void random_text_comes_back(void **state) {
  const struct fixture *f = *state;
  uint64_t seed = 1;
  for (int trial = 0; trial < 2000; trial++) {
    char text[4 * 64];
    size_t bytes = 0;
    for (unsigned n = random_below(&seed, 64); n > 0; n--)
      bytes += put_code_point(text + bytes, random_code_point(&seed));
    assert_int_equal(utf8_check(text, bytes), bytes);
    assert_round_trip(f->o200k, text, bytes);
    assert_round_trip(f->abacus, text, bytes);
  }
}

static void long_runs_come_back(void **state) {
  const struct fixture *f = *state;
  static const char *const repeated[] = {"a",    "A",  " ", "\n",       "1",
                                         "日",   "aA", "á", "\xcc\x81", "A\xcc\x81\xcc\x80",
                                         "\r\n", "!/", "--"};
  enum { REPEATS = 200000 };
  for (size_t i = 0; i < COUNT(repeated); i++) {
    size_t n = strlen(repeated[i]), bytes = 0;
    char *text = malloc(REPEATS * n + 1);
    for (; bytes < REPEATS * n; bytes += n)
      memcpy(text + bytes, repeated[i], n);
    assert_round_trip(f->o200k, text, bytes);
    text[bytes++] = 'x';
    assert_round_trip(f->o200k, text, bytes);
    free(text);
  }
}

static void a_nul_is_a_character(void **state) {
  const struct fixture *f = *state;
  assert_encodes(f->o200k, "\0", 1, (int32_t[]){188}, 1);
  assert_round_trip(f->o200k, "a\0\0b", 4);
  assert_round_trip(f->abacus, "\0a\0", 3);
}

static void other_text_than_utf8_is_refused(void **state) {
  const struct fixture *f = *state;
  struct id_list list = {0};
  struct error err;
  assert_true(tokenizer_encode(f->o200k, "Hello world", 11, &list, &err));
  assert_false(tokenizer_encode(f->o200k, "Hello \xff", 7, &list, &err));
  assert_string_equal(err.text, "text: byte 6: want UTF-8, found 0xff");
  assert_int_equal(list.n, 2);
  free(list.id);
}

static void encoding_appends(void **state) {
  const struct fixture *f = *state;
  struct id_list list = {0};
  struct error err;
  assert_true(tokenizer_encode(f->o200k, "Hello", 5, &list, &err));
  assert_true(tokenizer_encode(f->o200k, " world", 6, &list, &err));
  assert_int_equal(list.n, 2);
  assert_int_equal(list.id[0], 13225);
  assert_int_equal(list.id[1], 2375);
  free(list.id);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(o200k_gives_the_ids_of_the_reference),
      cmocka_unit_test(o200k_gives_the_golden_ids),
      cmocka_unit_test(o200k_has_its_tokens),
      cmocka_unit_test(abacus_gives_its_training_ids),
      cmocka_unit_test(merges_may_be_joined_strings),
      cmocka_unit_test(random_text_comes_back),
      cmocka_unit_test(long_runs_come_back),
      cmocka_unit_test(a_nul_is_a_character),
      cmocka_unit_test(other_text_than_utf8_is_refused),
      cmocka_unit_test(encoding_appends),
  };
  return cmocka_run_group_tests_name("tokenizer", tests, open_fixture, close_fixture);
}
