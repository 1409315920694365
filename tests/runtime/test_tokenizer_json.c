// tokenizer.json files: every key that is checked, files that are cut off, values of wrong types.
#include "tokenizer_support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

// model.vocab may have the special tokens as well; a text still does not become one.
static void special_tokens_may_be_in_the_vocabulary(void **state) {
  const char *folder = *state;
  json_t *root = small_json();
  set_at(root, "model.ignore_merges", json_true());
  set_at(root, "model.vocab.<|end|>", json_integer(300));
  set_at(root, "model.vocab.<|b c|>", json_integer(301));
  struct tokenizer *tokenizer = must_open_json(folder, root);
  size_t n;
  assert_int_equal(tokenizer_special(tokenizer, "<|b c|>"), 301);
  assert_memory_equal(tokenizer_bytes(tokenizer, 301, &n), "<|b c|>", 7);
  assert_null(tokenizer_bytes(tokenizer, 299, &n));
  assert_encodes(tokenizer, "<|end|>", 7, (int32_t[]){'<', '|', 'e', 'n', 'd', '|', '>'}, 7);
  tokenizer_close(tokenizer);
  json_decref(root);
}

// Files of a training say how long its texts were: texts are neither cut off nor filled up.
static void truncation_and_padding_are_ignored(void **state) {
  const char *folder = *state;
  json_t *root = small_json();
  set_at(root, "truncation",
         json_pack("{s:s, s:i, s:s, s:i}", "direction", "Right", "max_length", 2, "strategy",
                   "LongestFirst", "stride", 0));
  set_at(root, "padding",
         json_pack("{s:{s:i}, s:s, s:n, s:i, s:i, s:s}", "strategy", "Fixed", 8, "direction",
                   "Right", "pad_to_multiple_of", "pad_id", 0, "pad_type_id", 0, "pad_token", "a"));
  struct tokenizer *tokenizer = must_open_json(folder, root);
  assert_encodes(tokenizer, "a", 1, (int32_t[]){'a'}, 1);
  assert_encodes(tokenizer, "abcabc", 6, (int32_t[]){257, 257}, 2);
  tokenizer_close(tokenizer);
  json_decref(root);
}

// Adds n special tokens from `first` on.
static void add_specials(json_t *root, int first, int n) {
  json_t *list = json_object_get(root, "added_tokens");
  for (int i = 0; i < n; i++) {
    char text[32];
    snprintf(text, sizeof text, i % 2 ? "<|reserved_%d|>" : "%d_reserved", i / 2);
    json_array_append_new(
        list, json_pack("{s:i, s:s, s:b}", "id", first + i, "content", text, "special", 1));
  }
}

// The time to read a file is in proportion to its tokens. A reader that compares each of these with
// all others needs 9 s.
static void many_special_tokens_are_read(void **state) {
  const char *folder = *state;
  enum { MANY = 60000, FIRST = 1000 };
  json_t *root = small_json();
  add_specials(root, FIRST, MANY);
  const clock_t began = clock();
  struct tokenizer *tokenizer = must_open_json(folder, root);
  assert_true((double)(clock() - began) / CLOCKS_PER_SEC < 6);
  assert_int_equal(tokenizer_special(tokenizer, "<|reserved_29999|>"), FIRST + MANY - 1);
  assert_int_equal(tokenizer_special(tokenizer, "29999_reserved"), FIRST + MANY - 2);
  tokenizer_close(tokenizer);
  json_decref(root);
}

struct refusal {
  const char *at, *json; // the path in small_json and its new value; NULL: it is removed
  const char *message;   // after the path of the file
};

static const struct refusal refusals[] = {
    {"version", "\"2.0\"", "version: want \"1.0\", found \"2.0\""},
    {"Truncation", "{}", "Truncation: want no such key, found {}"},
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

// Asserts that the tokenizer.json in the folder was refused. `message` comes after its path.
static void assert_refused(const char *folder, bool ok, const struct tokenizer *tokenizer,
                           const struct error *err, const char *message) {
  char want[sizeof err->text], path[PATH_BYTES];
  tokenizer_path(path, folder);
  snprintf(want, sizeof want, "%s%s", path, message);
  assert_false(ok);
  assert_null(tokenizer);
  assert_string_equal(err->text, want);
}

static void files_are_refused_by_key(void **state) {
  const char *folder = *state;
  for (size_t i = 0; i < COUNT(refusals); i++) {
    const struct refusal *refusal = &refusals[i];
    json_t *root = small_json();
    set_at(root, refusal->at,
           refusal->json ? json_loads(refusal->json, JSON_DECODE_ANY, NULL) : NULL);
    struct tokenizer *tokenizer;
    struct error err;
    bool ok = open_json(folder, root, &tokenizer, &err);
    char message[256];
    snprintf(message, sizeof message, ": %s", refusal->message);
    assert_refused(folder, ok, tokenizer, &err, message);
    json_decref(root);
  }
}

static void other_files_than_json_are_refused(void **state) {
  const char *folder = *state;
  static const char *const cases[][2] = {
      {"", ":1: want the rest of the JSON, found the end of the file: fetch it again"},
      {"{\n\"a\":", ":2: want the rest of the JSON, found the end of the file: fetch it again"},
      {"version 1\n", ":1: want JSON, found an error: '[' or '{' expected near 'version'"},
      {"[]", ": want a JSON object, found an array"},
      {"{\"a\":1,\"a\":2}", ":1: want JSON, found an error: duplicate object key near '\"a\"'"},
      {"{}x", ":1: want JSON, found an error: end of file expected near 'x'"},
  };
  struct tokenizer *tokenizer;
  struct error err;
  for (size_t i = 0; i < COUNT(cases); i++) {
    bool ok = open_bytes(folder, cases[i][0], strlen(cases[i][0]), &tokenizer, &err);
    assert_refused(folder, ok, tokenizer, &err, cases[i][1]);
  }
  bool ok = open_bytes(folder, "{\"a\":1\0}", 8, &tokenizer, &err);
  assert_refused(folder, ok, tokenizer, &err, ": want JSON, found a byte 0");
}

static void unreadable_files_are_refused(void **state) {
  (void)state;
  struct tokenizer *tokenizer;
  struct error err;
  assert_false(tokenizer_open(&tokenizer, "no/tokenizer.json", &err));
  assert_string_equal(err.text, "no/tokenizer.json: No such file or directory");
  assert_false(tokenizer_open(&tokenizer, "tests", &err));
  assert_string_equal(err.text, "tests: want a regular file, found something else");
}

static void assert_prefix_refused(const char *folder, const char *json, size_t bytes) {
  struct tokenizer *tokenizer;
  struct error err;
  char start[PATH_BYTES + 8], path[PATH_BYTES];
  tokenizer_path(path, folder);
  int n = snprintf(start, sizeof start, "%s:1: ", path);
  assert_false(open_bytes(folder, json, bytes, &tokenizer, &err));
  assert_memory_equal(err.text, start, (size_t)n);
}

static void cut_off_files_are_refused(void **state) {
  const char *folder = *state;
  json_t *small = small_json(), *abacus = read_json(ABACUS "/tokenizer.json");
  char *text = json_dumps(small, JSON_COMPACT);
  for (size_t n = 0; n < strlen(text); n++)
    assert_prefix_refused(folder, text, n);
  free(text);
  text = json_dumps(abacus, JSON_COMPACT);
  for (size_t n = 0; n < strlen(text); n += 61)
    assert_prefix_refused(folder, text, n);
  free(text);
  json_decref(small);
  json_decref(abacus);
}

// Replaces a member of an object or an array by each of some values and opens root.
static void replace_member(const char *folder, const json_t *root, json_t *parent, const char *key,
                           size_t index, int *refused) {
  static const char *const values[] = {"null", "true", "-1",    "1",  "2000000000",
                                       "1.5",  "\"\"", "\"x\"", "[]", "{}"};
  json_t *old = json_incref(key ? json_object_get(parent, key) : json_array_get(parent, index));
  for (size_t i = 0; i < COUNT(values); i++) {
    json_t *value = json_loads(values[i], JSON_DECODE_ANY, NULL);
    assert_int_equal(key ? json_object_set_new(parent, key, value)
                         : json_array_set_new(parent, index, value),
                     0);
    struct tokenizer *tokenizer;
    struct error err;
    if (open_json(folder, root, &tokenizer, &err))
      tokenizer_close(tokenizer);
    else
      *refused += strncmp(err.text, folder, strlen(folder)) == 0;
  }
  if (key)
    json_object_set_new(parent, key, old);
  else
    json_array_set_new(parent, index, old);
}

static void replace_members(const char *folder, const json_t *root, json_t *parent, int *refused) {
  size_t index;
  json_t *value;
  json_array_foreach(parent, index, value) {
    replace_members(folder, root, value, refused);
    replace_member(folder, root, parent, NULL, index, refused);
  }
  json_t *keys = json_deep_copy(parent);
  const char *key;
  json_object_foreach(keys, key, value) {
    replace_members(folder, root, json_object_get(parent, key), refused);
    replace_member(folder, root, parent, key, 0, refused);
  }
  json_decref(keys);
}

static void wrong_types_are_refused_everywhere(void **state) {
  const char *folder = *state;
  json_t *root = small_json();
  int refused = 0;
  replace_members(folder, root, root, &refused);
  assert_true(refused > 2500);
  tokenizer_close(must_open_json(folder, root));
  json_decref(root);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      IN_FOLDER(special_tokens_may_be_in_the_vocabulary),
      IN_FOLDER(truncation_and_padding_are_ignored),
      IN_FOLDER(many_special_tokens_are_read),
      IN_FOLDER(files_are_refused_by_key),
      IN_FOLDER(other_files_than_json_are_refused),
      cmocka_unit_test(unreadable_files_are_refused),
      IN_FOLDER(cut_off_files_are_refused),
      IN_FOLDER(wrong_types_are_refused_everywhere),
  };
  return cmocka_run_group_tests_name("tokenizer_json", tests, NULL, NULL);
}
