// The tokenizer against ids that other programs computed, against a second, quadratic BPE, and
// against files and texts that it has to refuse. Run from the repository root.
#include "base/utf8.h"
#include "tokenizer/tokenizer.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define O200K "tests/vectors/o200k_harmony"
#define ABACUS "tests/models/abacus"

struct fixture {
  char path[64]; // of the tokenizer.json that a test writes
  struct tokenizer *o200k, *abacus;
};

// --- helpers ---

// A fixed sequence of numbers in [0, n) (Knuth's MMIX generator).
static unsigned random_below(uint64_t *seed, unsigned n) {
  *seed = *seed * 6364136223846793005 + 1442695040888963407;
  return (unsigned)(*seed >> 33) % n;
}

static json_t *read_json(const char *path) {
  json_error_t error;
  json_t *root = json_load_file(path, 0, &error);
  if (!root)
    fail_msg("%s:%d: %s", path, error.line, error.text);
  return root;
}

static struct tokenizer *must_open(const char *path) {
  struct tokenizer *tokenizer;
  struct error err;
  if (!tokenizer_open(&tokenizer, path, &err))
    fail_msg("%s", err.text);
  return tokenizer;
}

static struct id_list must_encode(const struct tokenizer *tokenizer, const char *text,
                                  size_t bytes) {
  struct id_list list = {0};
  struct error err;
  if (!tokenizer_encode(tokenizer, text, bytes, &list, &err))
    fail_msg("%s", err.text);
  return list;
}

static void assert_decodes(const struct tokenizer *tokenizer, const struct id_list *list,
                           const char *text, size_t bytes) {
  size_t at = 0;
  for (size_t i = 0; i < list->n; i++) {
    size_t n;
    const char *token = tokenizer_bytes(tokenizer, list->id[i], &n);
    assert_non_null(token);
    assert_true(n <= bytes - at);
    assert_memory_equal(token, text + at, n);
    at += n;
  }
  assert_int_equal(at, bytes);
}

static void assert_encodes(const struct tokenizer *tokenizer, const char *text, size_t bytes,
                           const int32_t *ids, size_t n) {
  struct id_list list = must_encode(tokenizer, text, bytes);
  if (list.n != n || (n > 0 && memcmp(list.id, ids, n * sizeof *ids)))
    fail_msg("other ids for \"%s\"", text);
  assert_decodes(tokenizer, &list, text, bytes);
  free(list.id);
}

static void assert_round_trip(const struct tokenizer *tokenizer, const char *text, size_t bytes) {
  struct id_list list = must_encode(tokenizer, text, bytes);
  assert_decodes(tokenizer, &list, text, bytes);
  free(list.id);
}

static size_t read_ids(const json_t *array, int32_t *ids, size_t capacity) {
  assert_true(json_array_size(array) <= capacity);
  for (size_t i = 0; i < json_array_size(array); i++)
    ids[i] = (int32_t)json_integer_value(json_array_get(array, i));
  return json_array_size(array);
}

// One token in ByteLevel's alphabet, as a key of model.vocab. The caller frees it.
static char *alphabet_key(const char *token, size_t bytes) {
  char *key = malloc(2 * bytes + 1), *end = key;
  for (size_t i = 0; i < bytes; i++) {
    unsigned b = (unsigned char)token[i];
    unsigned code_point = b;
    if (b <= 32)
      code_point = 256 + b;
    else if (127 <= b && b <= 160)
      code_point = 256 + 33 + b - 127;
    else if (b == 173)
      code_point = 256 + 67;
    if (code_point >= 0x80)
      *end++ = (char)(0xc0 | code_point >> 6);
    *end++ = (char)(code_point < 0x80 ? code_point : 0x80 | (code_point & 0x3f));
  }
  *end = '\0';
  return key;
}

static void add_token(const json_t *root, const char *token, size_t bytes, int32_t id) {
  char *key = alphabet_key(token, bytes);
  json_object_set_new(json_object_get(json_object_get(root, "model"), "vocab"), key,
                      json_integer(id));
  free(key);
}

// The smallest tokenizer.json with something of everything: ids 0 to 255 are the bytes, 256 and 257
// "ab" and "abc", 258 "é", 300 and 301 special.
static json_t *small_json(void) {
  json_t *root = json_loads(
      "{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,\"added_tokens\":["
      "{\"id\":300,\"content\":\"<|end|>\",\"single_word\":false,\"lstrip\":false,"
      "\"rstrip\":false,\"normalized\":false,\"special\":true},"
      "{\"id\":301,\"content\":\"<|b c|>\",\"special\":true}],"
      "\"normalizer\":null,\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":["
      "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"x+\"},\"behavior\":\"Isolated\","
      "\"invert\":false},{\"type\":\"ByteLevel\",\"add_prefix_space\":false,"
      "\"trim_offsets\":true,\"use_regex\":false}]},\"post_processor\":null,"
      "\"decoder\":{\"type\":\"ByteLevel\"},\"model\":{\"type\":\"BPE\",\"dropout\":null,"
      "\"ignore_merges\":false,\"vocab\":{},\"merges\":[[\"a\",\"b\"],\"ab c\","
      "\"Ã ©\"]}}",
      0, NULL);
  assert_non_null(root);
  for (int b = 0; b < 256; b++)
    add_token(root, &(char){(char)b}, 1, b);
  add_token(root, "ab", 2, 256);
  add_token(root, "abc", 3, 257);
  add_token(root, "é", 2, 258);
  return root;
}

// Puts a value (stolen; NULL deletes) at a path such as "model.merges.0".
static void set_at(json_t *root, const char *path, json_t *value) {
  const char *dot = strchr(path, '.');
  char name[64];
  snprintf(name, sizeof name, "%.*s", dot ? (int)(dot - path) : (int)strlen(path), path);
  if (dot)
    set_at(json_is_array(root) ? json_array_get(root, (size_t)atoi(name))
                               : json_object_get(root, name),
           dot + 1, value);
  else if (json_is_array(root))
    json_array_set_new(root, (size_t)atoi(name), value);
  else if (value)
    json_object_set_new(root, name, value);
  else
    json_object_del(root, name);
}

static bool open_bytes(const struct fixture *f, const char *json, size_t bytes,
                       struct tokenizer **tokenizer, struct error *err) {
  FILE *file = fopen(f->path, "wb");
  assert_non_null(file);
  assert_int_equal(fwrite(json, 1, bytes, file), bytes);
  assert_int_equal(fclose(file), 0);
  return tokenizer_open(tokenizer, f->path, err);
}

static bool open_json(const struct fixture *f, const json_t *root, struct tokenizer **tokenizer,
                      struct error *err) {
  char *text = json_dumps(root, JSON_COMPACT);
  assert_non_null(text);
  bool ok = open_bytes(f, text, strlen(text), tokenizer, err);
  free(text);
  return ok;
}

static struct tokenizer *must_open_json(const struct fixture *f, const json_t *root) {
  struct tokenizer *tokenizer;
  struct error err;
  if (!open_json(f, root, &tokenizer, &err))
    fail_msg("%s", err.text);
  return tokenizer;
}

// small_json with another split pattern.
static struct tokenizer *open_with_pattern(const struct fixture *f, const char *regex) {
  json_t *root = small_json();
  set_at(root, "pre_tokenizer.pretokenizers.0.pattern.Regex", json_string(regex));
  struct tokenizer *tokenizer = must_open_json(f, root);
  json_decref(root);
  return tokenizer;
}

static int open_fixture(void **state) {
  struct fixture *f = calloc(1, sizeof *f);
  *state = f;
  snprintf(f->path, sizeof f->path, "%s/test_tokenizer.XXXXXX", P_tmpdir);
  int fd = mkstemp(f->path);
  if (fd < 0)
    return -1;
  close(fd);
  f->o200k = must_open(O200K "/tokenizer.json");
  f->abacus = must_open(ABACUS "/tokenizer.json");
  return 0;
}

static int close_fixture(void **state) {
  struct fixture *f = *state;
  unlink(f->path);
  tokenizer_close(f->o200k);
  tokenizer_close(f->abacus);
  free(f);
  return 0;
}

// --- UTF-8 ---

static void utf8_ends_at_the_first_bad_byte(void **state) {
  (void)state;
  static const struct {
    const char *text;
    size_t bytes, good;
  } cases[] = {
      {"", 0, 0},
      {"a\0b", 3, 3},
      {"\x7f", 1, 1},
      {"\xc2\x80\xdf\xbf", 4, 4},
      {"\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf", 12, 12},
      {"\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", 8, 8},
      {"a\x80", 2, 1},             // continuation without a lead
      {"\xc0\x80", 2, 0},          // overlong U+0000
      {"\xc1\xbf", 2, 0},          // overlong U+007F
      {"\xe0\x9f\xbf", 3, 0},      // overlong U+07FF
      {"\xf0\x8f\xbf\xbf", 4, 0},  // overlong U+FFFF
      {"\xed\xa0\x80", 3, 0},      // surrogate U+D800
      {"\xed\xbf\xbf", 3, 0},      // surrogate U+DFFF
      {"\xf4\x90\x80\x80", 4, 0},  // U+110000
      {"\xf5\x80\x80\x80", 4, 0},  // no such lead
      {"ab\xff", 3, 2},            //
      {"ab\xe3\x81", 4, 2},        // cut off
      {"ab\xf0\x9f\x8d", 5, 2},    // cut off
      {"\xe3\x81\x82\xc3(", 5, 3}, // lead without continuation
      {"\xf0\x9f(\xa3", 4, 0},     //
      {"\xf0\x9f\x8d(", 4, 0},     //
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    assert_int_equal(utf8_check(cases[i].text, cases[i].bytes), cases[i].good);
}

// --- ids that others computed ---

static void o200k_gives_the_ids_of_the_reference(void **state) {
  const struct fixture *f = *state;
  json_t *cases = read_json(O200K "/cases.json");
  assert_int_equal(json_array_size(cases), 400);
  for (size_t i = 0; i < json_array_size(cases); i++) {
    const json_t *text = json_object_get(json_array_get(cases, i), "text");
    int32_t ids[1024];
    size_t n = read_ids(json_object_get(json_array_get(cases, i), "ids"), ids, 1024);
    assert_encodes(f->o200k, json_string_value(text), json_string_length(text), ids, n);
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
      {"<|start|>", 5, {27, 91, 5236, 91, 29}}, // a special token's text is no special token
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
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

// Encodes what the ids between special tokens decode to, and wants the ids back. Returns how many
// were compared.
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
    int32_t ids[1024];
    size_t n = read_ids(json_array_get(sequences, i), ids, 1024);
    compared += check_sequence(tokenizer, ids, n);
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
  struct tokenizer *tokenizer = must_open_json(f, root);
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

// Any code point, the shorter encodings more often, so that words, spaces and marks meet.
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
  static const char *const units[] = {"a",    "A",  " ", "\n",       "1",
                                      "日",   "aA", "á", "\xcc\x81", "A\xcc\x81\xcc\x80",
                                      "\r\n", "!/", "--"};
  enum { REPEATS = 200000 };
  for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
    size_t n = strlen(units[i]), bytes = 0;
    char *text = malloc(REPEATS * n + 1);
    for (; bytes < REPEATS * n; bytes += n)
      memcpy(text + bytes, units[i], n);
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

// Whatever stops the pattern half-way, the ids of the pieces before do not stay.
static void a_failing_pattern_is_an_error(void **state) {
  const struct fixture *f = *state;
  struct tokenizer *tokenizer = open_with_pattern(f, "(*LIMIT_MATCH=100)x|(?:a|b)+c");
  struct id_list list = {0};
  struct error err;
  char text[1001];
  memset(text, 'a', sizeof text);
  text[0] = 'x';
  assert_false(tokenizer_encode(tokenizer, text, sizeof text, &list, &err));
  assert_string_equal(err.text,
                      "text: byte 1: the tokenizer's split pattern failed: match limit exceeded");
  assert_int_equal(list.n, 0);
  free(list.id);
  tokenizer_close(tokenizer);
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

// --- pieces ---

static void matches_and_gaps_are_pieces(void **state) {
  const struct fixture *f = *state;
  static const struct {
    const char *regex, *text;
    size_t n;
    int32_t ids[6];
  } cases[] = {
      {"(?!)", "abcab", 2, {257, 256}},                 // no match: the text is one piece
      {"b", "abc", 3, {'a', 'b', 'c'}},                 // gap, match, gap
      {"b(c)?", "abcab", 5, {'a', 'b', 'c', 'a', 'b'}}, // groups change nothing
      {"ab", "abcab", 3, {256, 'c', 256}},              //
      {"(?=b)", "abc", 3, {'a', 'b', 'c'}},             // an empty match cuts
      {"x*", "abxab", 5, {'a', 'b', 'x', 'a', 'b'}},    // at every character
      {"x*", "é", 1, {258}},                            // but not inside of one
      {"b$", "ab\nab", 5, {'a', 'b', '\n', 'a', 'b'}},  // Oniguruma's $ ends a line
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct tokenizer *tokenizer = open_with_pattern(f, cases[i].regex);
    assert_encodes(tokenizer, cases[i].text, strlen(cases[i].text), cases[i].ids, cases[i].n);
    tokenizer_close(tokenizer);
  }
}

// U+180E was a space until Unicode 6.3, and still is one for PCRE2's \s.
static void spaces_are_those_of_unicode(void **state) {
  const struct fixture *f = *state;
  static const char text[] = "a\xe1\xa0\x8e\xc2\x85\xe3\x80\x80 b";
  json_t *root = small_json();
  set_at(root, "pre_tokenizer.pretokenizers.0.pattern.Regex", json_string("\\\\|[^\\s]+|\\s+"));
  set_at(root, "model.ignore_merges", json_true());
  add_token(root, "a\xe1\xa0\x8e", 4, 260);
  add_token(root, "\xc2\x85\xe3\x80\x80 ", 6, 261);
  struct tokenizer *tokenizer = must_open_json(f, root);
  assert_encodes(tokenizer, text, strlen(text), (int32_t[]){260, 261, 'b'}, 3);
  assert_encodes(tokenizer, "\\s", 2, (int32_t[]){'\\', 's'}, 2);
  tokenizer_close(tokenizer);
  json_decref(root);
}

static void ignore_merges_takes_whole_pieces(void **state) {
  const struct fixture *f = *state;
  json_t *root = small_json();
  set_at(root, "pre_tokenizer.pretokenizers.0.pattern.Regex", json_string("[^x]+"));
  add_token(root, "bcd", 3, 260); // no merge makes it
  struct tokenizer *merging = must_open_json(f, root);
  set_at(root, "model.ignore_merges", json_true());
  struct tokenizer *whole = must_open_json(f, root);
  assert_encodes(merging, "bcd", 3, (int32_t[]){'b', 'c', 'd'}, 3);
  assert_encodes(whole, "bcd", 3, (int32_t[]){260}, 1);
  assert_encodes(whole, "abcd", 4, (int32_t[]){257, 'd'}, 2);
  assert_encodes(whole, "<|end|>", 7, (int32_t[]){'<', '|', 'e', 'n', 'd', '|', '>'}, 7);
  tokenizer_close(merging);
  tokenizer_close(whole);
  json_decref(root);
}

// A special token may stand in the vocabulary too; text still does not become it.
static void special_tokens_may_be_in_the_vocabulary(void **state) {
  const struct fixture *f = *state;
  json_t *root = small_json();
  set_at(root, "model.ignore_merges", json_true());
  set_at(root, "model.vocab.<|end|>", json_integer(300));
  set_at(root, "model.vocab.<|b c|>", json_integer(301));
  struct tokenizer *tokenizer = must_open_json(f, root);
  size_t n;
  assert_int_equal(tokenizer_special(tokenizer, "<|b c|>"), 301);
  assert_memory_equal(tokenizer_bytes(tokenizer, 301, &n), "<|b c|>", 7);
  assert_null(tokenizer_bytes(tokenizer, 299, &n));
  assert_encodes(tokenizer, "<|end|>", 7, (int32_t[]){'<', '|', 'e', 'n', 'd', '|', '>'}, 7);
  tokenizer_close(tokenizer);
  json_decref(root);
}

// --- merging against the definition ---

enum { RULES = 60, TOKENS = 256 + RULES };

// Random tokens and merges: token i has bytes text[i]; rule r merges left[r] and right[r].
struct grammar {
  char text[TOKENS][64];
  size_t bytes[TOKENS];
  int32_t n_tokens;
  int32_t left[RULES], right[RULES], merged[RULES];
  int n_rules;
};

static int find_rule(const struct grammar *g, int32_t left, int32_t right) {
  for (int r = 0; r < g->n_rules; r++)
    if (g->left[r] == left && g->right[r] == right)
      return r;
  return -1;
}

static int32_t find_or_add_token(struct grammar *g, const char *text, size_t bytes) {
  for (int32_t i = 0; i < g->n_tokens; i++)
    if (g->bytes[i] == bytes && memcmp(g->text[i], text, bytes) == 0)
      return i;
  memcpy(g->text[g->n_tokens], text, bytes);
  g->bytes[g->n_tokens] = bytes;
  return g->n_tokens++;
}

static int32_t random_token(const struct grammar *g, uint64_t *seed) {
  static const unsigned char letters[] = {'a', 'b', ' ', 0, 0xc3, 0xa9};
  unsigned made = (unsigned)g->n_tokens - 256;
  unsigned pick = random_below(seed, 6 + made);
  return pick < 6 ? letters[pick] : (int32_t)(256 + pick - 6);
}

static void add_random_rule(struct grammar *g, uint64_t *seed) {
  int32_t left = random_token(g, seed), right = random_token(g, seed);
  size_t bytes = g->bytes[left] + g->bytes[right];
  char text[64];
  if (bytes > 8 || find_rule(g, left, right) >= 0)
    return;
  memcpy(text, g->text[left], g->bytes[left]);
  memcpy(text + g->bytes[left], g->text[right], g->bytes[right]);
  g->left[g->n_rules] = left;
  g->right[g->n_rules] = right;
  g->merged[g->n_rules++] = find_or_add_token(g, text, bytes);
}

static struct tokenizer *open_grammar(const struct fixture *f, const struct grammar *g) {
  json_t *root = small_json(), *merges = json_array();
  set_at(root, "pre_tokenizer.pretokenizers.0.pattern.Regex", json_string("(?!)"));
  set_at(root, "added_tokens", json_array());
  set_at(root, "model.vocab", json_object());
  for (int32_t i = 0; i < g->n_tokens; i++)
    add_token(root, g->text[i], g->bytes[i], i);
  for (int r = 0; r < g->n_rules; r++) {
    char *left = alphabet_key(g->text[g->left[r]], g->bytes[g->left[r]]);
    char *right = alphabet_key(g->text[g->right[r]], g->bytes[g->right[r]]);
    json_array_append_new(merges, json_pack("[s,s]", left, right));
    free(left);
    free(right);
  }
  set_at(root, "model.merges", merges);
  struct tokenizer *tokenizer = must_open_json(f, root);
  json_decref(root);
  return tokenizer;
}

// The definition of BPE, taken at its word: look at all pairs, merge the first of lowest rank,
// again.
static size_t merge_all(const struct grammar *g, int32_t *ids, size_t n) {
  for (;;) {
    int best = RULES;
    size_t at = 0;
    for (size_t i = 0; i + 1 < n; i++) {
      int rule = find_rule(g, ids[i], ids[i + 1]);
      if (rule >= 0 && rule < best) {
        best = rule;
        at = i;
      }
    }
    if (best == RULES)
      return n;
    ids[at] = g->merged[best];
    memmove(ids + at + 1, ids + at + 2, (n - at - 2) * sizeof *ids);
    n--;
  }
}

static void check_grammar(const struct fixture *f, const struct grammar *g, uint64_t *seed) {
  static const char *const units[] = {"a", "b", " ", "\0", "é", "aaaaa"};
  struct tokenizer *tokenizer = open_grammar(f, g);
  for (int trial = 0; trial < 20; trial++) {
    char text[64 * 5];
    int32_t ids[64 * 5];
    size_t bytes = 0;
    for (unsigned k = random_below(seed, 64); k > 0; k--) {
      const char *unit = units[random_below(seed, 6)];
      size_t n = *unit ? strlen(unit) : 1;
      memcpy(text + bytes, unit, n);
      bytes += n;
    }
    for (size_t i = 0; i < bytes; i++)
      ids[i] = (unsigned char)text[i];
    assert_encodes(tokenizer, text, bytes, ids, merge_all(g, ids, bytes));
  }
  tokenizer_close(tokenizer);
}

static void merging_follows_the_definition(void **state) {
  uint64_t seed = 2;
  for (int trial = 0; trial < 40; trial++) {
    struct grammar *g = calloc(1, sizeof *g);
    for (int b = 0; b < 256; b++)
      find_or_add_token(g, &(char){(char)b}, 1);
    for (int tries = 0; tries < 200 && g->n_rules < RULES; tries++)
      add_random_rule(g, &seed);
    check_grammar(*state, g, &seed);
    free(g);
  }
}

// --- files that are refused ---

struct refusal {
  const char *at, *json; // what stands where in small_json; NULL: nothing does
  const char *message;   // after the path
};

static const struct refusal refusals[] = {
    {"version", "\"2.0\"", "version: want \"1.0\", found \"2.0\""},
    {"truncation", "{}", "truncation: want null or nothing, found {}"},
    {"normalizer", "{\"type\":\"NFC\"}",
     "normalizer: want null or nothing, found {\"type\":\"NFC\"}"},
    {"extra", "1", "extra: want no such key, found 1"},
    {"added_tokens", "7", "added_tokens: want an array, found 7"},
    {"added_tokens.0", "7", "added_tokens[0]: want an object, found 7"},
    {"added_tokens.0.special", "false", "added_tokens[0].special: want true, found false"},
    {"added_tokens.0.lstrip", "true", "added_tokens[0].lstrip: want false or nothing, found true"},
    {"added_tokens.1.content", NULL, "added_tokens[1].content: want a string, found nothing"},
    {"added_tokens.1.content", "\"\"",
     "added_tokens[1]: want a token of 1 or more bytes, found "
     "{\"id\":301,\"content\":\"\",\"special\":true}"},
    {"added_tokens.1.id", "2000000000",
     "added_tokens[1]: want an id from 0 to 4194303, found "
     "{\"id\":2000000000,\"content\":\"<|b c|>\",\"special\":true}"},
    {"added_tokens.1.id", "300",
     "added_tokens[1].id: want an id that no other token has, found 300"},
    {"added_tokens.1.content", "\"<|end|>\"",
     "added_tokens[1].content: want a text that no other token has, found \"<|end|>\""},
    {"added_tokens.1.content", "\"abc\"",
     "added_tokens[1].id: want the id of the same token in model.vocab, found 301"},
    {"added_tokens.1.id", "97", "model.vocab[\"a\"]: want an id that no other token has, found 97"},
    {"pre_tokenizer", "null", "pre_tokenizer: want an object, found null"},
    {"pre_tokenizer.type", "\"Whitespace\"",
     "pre_tokenizer.type: want \"Sequence\", found \"Whitespace\""},
    {"pre_tokenizer.pretokenizers", "[]",
     "pre_tokenizer.pretokenizers: want an array of Split and ByteLevel, found []"},
    {"pre_tokenizer.pretokenizers.0.type", "\"Digits\"",
     "pre_tokenizer.pretokenizers[0].type: want \"Split\", found \"Digits\""},
    {"pre_tokenizer.pretokenizers.0.behavior", "\"Removed\"",
     "pre_tokenizer.pretokenizers[0].behavior: want \"Isolated\", found \"Removed\""},
    {"pre_tokenizer.pretokenizers.0.invert", "true",
     "pre_tokenizer.pretokenizers[0].invert: want false, found true"},
    {"pre_tokenizer.pretokenizers.0.pattern", "{\"String\":\" \"}",
     "pre_tokenizer.pretokenizers[0].pattern.String: want no such key, found \" \""},
    {"pre_tokenizer.pretokenizers.0.pattern.Regex", "1",
     "pre_tokenizer.pretokenizers[0].pattern.Regex: want a string, found 1"},
    {"pre_tokenizer.pretokenizers.0.pattern.Regex", "\"a(\"",
     "pre_tokenizer.pretokenizers[0].pattern.Regex: want a regular expression, found one with an "
     "error: missing closing parenthesis"},
    {"pre_tokenizer.pretokenizers.0.pattern.Regex", "\"a\\\\w+\"",
     "pre_tokenizer.pretokenizers[0].pattern.Regex: want a pattern with no escapes but \\r \\n \\t "
     "\\p \\P \\s \\S \\d \\D, found \\w"},
    {"pre_tokenizer.pretokenizers.1.add_prefix_space", "true",
     "pre_tokenizer.pretokenizers[1].add_prefix_space: want false, found true"},
    {"pre_tokenizer.pretokenizers.1.use_regex", NULL,
     "pre_tokenizer.pretokenizers[1].use_regex: want false, found nothing"},
    {"post_processor", "{\"type\":\"TemplateProcessing\"}",
     "post_processor.type: want \"ByteLevel\", found \"TemplateProcessing\""},
    {"decoder", "null", "decoder: want an object, found null"},
    {"decoder.type", "\"WordPiece\"", "decoder.type: want \"ByteLevel\", found \"WordPiece\""},
    {"model", NULL, "model: want an object, found nothing"},
    {"model.type", "\"Unigram\"", "model.type: want \"BPE\", found \"Unigram\""},
    {"model.dropout", "0.5", "model.dropout: want null or nothing, found 0.5"},
    {"model.unk_token", "\"<unk>\"", "model.unk_token: want null or nothing, found \"<unk>\""},
    {"model.continuing_subword_prefix", "\"##\"",
     "model.continuing_subword_prefix: want null or \"\" or nothing, found \"##\""},
    {"model.end_of_word_suffix", "\"</w>\"",
     "model.end_of_word_suffix: want null or \"\" or nothing, found \"</w>\""},
    {"model.byte_fallback", "true", "model.byte_fallback: want false or nothing, found true"},
    {"model.ignore_merges", "1", "model.ignore_merges: want false or true or nothing, found 1"},
    {"model.vocab", "[]", "model.vocab: want an object, found []"},
    {"model.vocab", "{}", "model.vocab: want all 256 byte symbols, found none for 0x00"},
    {"model.vocab.A", NULL, "model.vocab: want all 256 byte symbols, found none for 0x41"},
    {"model.vocab.ab", "-1", "model.vocab[\"ab\"]: want an id from 0 to 4194303, found -1"},
    {"model.vocab.ab", "2000000000",
     "model.vocab[\"ab\"]: want an id from 0 to 4194303, found 2000000000"},
    {"model.vocab.ab", "256.0", "model.vocab[\"ab\"]: want an id from 0 to 4194303, found 256.0"},
    {"model.vocab.ab", "98", "model.vocab[\"ab\"]: want an id that no other token has, found 98"},
    {"model.vocab.", "400", "model.vocab[\"\"]: want a token of 1 or more bytes, found 400"},
    {"model.vocab.日", "400",
     "model.vocab[\"日\"]: want characters of ByteLevel's alphabet, found others"},
    {"model.vocab.a b", "400",
     "model.vocab[\"a b\"]: want characters of ByteLevel's alphabet, found others"},
    {"model.vocab.ab", NULL,
     "model.merges[0]: want two tokens that make a token of model.vocab, found [\"a\",\"b\"]"},
    {"model.merges", "null", "model.merges: want an array, found null"},
    {"model.merges.1", "[\"ab\"]",
     "model.merges[1]: want [\"left\",\"right\"] or \"left right\", found [\"ab\"]"},
    {"model.merges.1", "[\"ab\",1]",
     "model.merges[1]: want [\"left\",\"right\"] or \"left right\", found [\"ab\",1]"},
    {"model.merges.1", "[\"zz\",\"a\"]",
     "model.merges[1]: want two tokens of model.vocab, found [\"zz\",\"a\"]"},
    {"model.merges.1", "\"a b c\"",
     "model.merges[1]: want two tokens of model.vocab, found \"a b c\""},
    {"model.merges.1", "\"ab\"", "model.merges[1]: want two tokens of model.vocab, found \"ab\""},
    {"model.merges.1", "[\"<|end|>\",\"a\"]",
     "model.merges[1]: want two tokens of model.vocab, found [\"<|end|>\",\"a\"]"},
};

static void assert_refused(const struct fixture *f, bool ok, const struct tokenizer *tokenizer,
                           const struct error *err, const char *message) {
  char want[sizeof err->text];
  snprintf(want, sizeof want, "%s:%s", f->path, message);
  assert_false(ok);
  assert_null(tokenizer);
  assert_string_equal(err->text, want);
}

static void files_are_refused_by_key(void **state) {
  const struct fixture *f = *state;
  for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
    const struct refusal *refusal = &refusals[i];
    json_t *root = small_json();
    set_at(root, refusal->at,
           refusal->json ? json_loads(refusal->json, JSON_DECODE_ANY, NULL) : NULL);
    struct tokenizer *tokenizer;
    struct error err;
    bool ok = open_json(f, root, &tokenizer, &err);
    char message[256];
    snprintf(message, sizeof message, " %s", refusal->message);
    assert_refused(f, ok, tokenizer, &err, message);
    json_decref(root);
  }
}

static void other_files_than_json_are_refused(void **state) {
  const struct fixture *f = *state;
  static const char *const cases[][2] = {
      {"", "1: want the rest of the JSON, found the end of the file: fetch it again"},
      {"{\n\"a\":", "2: want the rest of the JSON, found the end of the file: fetch it again"},
      {"version 1\n", "1: want JSON, found an error: '[' or '{' expected near 'version'"},
      {"[]", " want a JSON object, found an array"},
      {"{\"a\":1,\"a\":2}", "1: want JSON, found an error: duplicate object key near '\"a\"'"},
      {"{}x", "1: want JSON, found an error: end of file expected near 'x'"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct tokenizer *tokenizer;
    struct error err;
    bool ok = open_bytes(f, cases[i][0], strlen(cases[i][0]), &tokenizer, &err);
    assert_refused(f, ok, tokenizer, &err, cases[i][1]);
  }
}

static void unreadable_files_are_refused(void **state) {
  (void)state;
  struct tokenizer *tokenizer;
  struct error err;
  assert_false(tokenizer_open(&tokenizer, "no/tokenizer.json", &err));
  assert_string_equal(err.text, "no/tokenizer.json: No such file or directory");
  assert_false(tokenizer_open(&tokenizer, "tests", &err));
  assert_string_equal(err.text, "tests: Is a directory");
}

static void assert_prefix_refused(const struct fixture *f, const char *json, size_t bytes) {
  struct tokenizer *tokenizer;
  struct error err;
  char start[80];
  int n = snprintf(start, sizeof start, "%s:1: ", f->path);
  assert_false(open_bytes(f, json, bytes, &tokenizer, &err));
  assert_memory_equal(err.text, start, (size_t)n);
}

static void cut_off_files_are_refused(void **state) {
  const struct fixture *f = *state;
  json_t *small = small_json(), *abacus = read_json(ABACUS "/tokenizer.json");
  char *text = json_dumps(small, JSON_COMPACT);
  for (size_t n = 0; n < strlen(text); n++)
    assert_prefix_refused(f, text, n);
  free(text);
  text = json_dumps(abacus, JSON_COMPACT);
  for (size_t n = 0; n < strlen(text); n += 61)
    assert_prefix_refused(f, text, n);
  free(text);
  json_decref(small);
  json_decref(abacus);
}

// Opens root with each of some values in the place of an object's or array's member.
static void replace_member(const struct fixture *f, const json_t *root, json_t *parent,
                           const char *key, size_t index, int *refused) {
  static const char *const values[] = {"null", "true", "-1",    "1",  "2000000000",
                                       "1.5",  "\"\"", "\"x\"", "[]", "{}"};
  json_t *old = json_incref(key ? json_object_get(parent, key) : json_array_get(parent, index));
  for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
    json_t *value = json_loads(values[i], JSON_DECODE_ANY, NULL);
    assert_int_equal(key ? json_object_set_new(parent, key, value)
                         : json_array_set_new(parent, index, value),
                     0);
    struct tokenizer *tokenizer;
    struct error err;
    if (open_json(f, root, &tokenizer, &err))
      tokenizer_close(tokenizer);
    else
      *refused += strncmp(err.text, f->path, strlen(f->path)) == 0;
  }
  if (key)
    json_object_set_new(parent, key, old);
  else
    json_array_set_new(parent, index, old);
}

static void replace_members(const struct fixture *f, const json_t *root, json_t *parent,
                            int *refused) {
  size_t index;
  json_t *value;
  json_array_foreach(parent, index, value) {
    replace_members(f, root, value, refused);
    replace_member(f, root, parent, NULL, index, refused);
  }
  json_t *keys = json_deep_copy(parent);
  const char *key;
  json_object_foreach(keys, key, value) {
    replace_members(f, root, json_object_get(parent, key), refused);
    replace_member(f, root, parent, key, 0, refused);
  }
  json_decref(keys);
}

static void wrong_types_are_refused_everywhere(void **state) {
  const struct fixture *f = *state;
  json_t *root = small_json();
  int refused = 0;
  replace_members(f, root, root, &refused);
  assert_true(refused > 2500);
  tokenizer_close(must_open_json(f, root));
  json_decref(root);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(utf8_ends_at_the_first_bad_byte),
      cmocka_unit_test(o200k_gives_the_ids_of_the_reference),
      cmocka_unit_test(o200k_gives_the_golden_ids),
      cmocka_unit_test(o200k_has_its_tokens),
      cmocka_unit_test(abacus_gives_its_training_ids),
      cmocka_unit_test(merges_may_be_joined_strings),
      cmocka_unit_test(random_text_comes_back),
      cmocka_unit_test(long_runs_come_back),
      cmocka_unit_test(a_nul_is_a_character),
      cmocka_unit_test(other_text_than_utf8_is_refused),
      cmocka_unit_test(a_failing_pattern_is_an_error),
      cmocka_unit_test(encoding_appends),
      cmocka_unit_test(matches_and_gaps_are_pieces),
      cmocka_unit_test(spaces_are_those_of_unicode),
      cmocka_unit_test(ignore_merges_takes_whole_pieces),
      cmocka_unit_test(special_tokens_may_be_in_the_vocabulary),
      cmocka_unit_test(merging_follows_the_definition),
      cmocka_unit_test(files_are_refused_by_key),
      cmocka_unit_test(other_files_than_json_are_refused),
      cmocka_unit_test(unreadable_files_are_refused),
      cmocka_unit_test(cut_off_files_are_refused),
      cmocka_unit_test(wrong_types_are_refused_everywhere),
  };
  return cmocka_run_group_tests_name("tokenizer", tests, open_fixture, close_fixture);
}
