// The split pattern: the pieces that it makes, differences between PCRE2 and Oniguruma, failures.
#include "tokenizer_support.h"

#include <stdlib.h>
#include <string.h>

static void matches_and_gaps_are_pieces(void **state) {
  const char *folder = *state;
  static const struct {
    const char *regex, *text;
    size_t n;
    int32_t ids[6];
  } cases[] = {
      {"(?!)", "abcab", 2, {257, 256}},                 // without a match, the text is one piece
      {"b", "abc", 3, {'a', 'b', 'c'}},                 // a gap, a match, a gap
      {"b(c)?", "abcab", 5, {'a', 'b', 'c', 'a', 'b'}}, // groups change nothing
      {"ab", "abcab", 3, {256, 'c', 256}},              //
      {"(?=b)", "abc", 3, {'a', 'b', 'c'}},             // an empty match splits
      {"x*", "abxab", 5, {'a', 'b', 'x', 'a', 'b'}},    // at every character
      {"x*", "é", 1, {258}},                            // but not inside one
      {"b$", "ab\nab", 5, {'a', 'b', '\n', 'a', 'b'}},  // Oniguruma's $ ends a line
  };
  for (size_t i = 0; i < COUNT(cases); i++) {
    struct tokenizer *tokenizer = open_with_pattern(folder, cases[i].regex);
    assert_encodes(tokenizer, cases[i].text, strlen(cases[i].text), cases[i].ids, cases[i].n);
    tokenizer_close(tokenizer);
  }
}

// U+180E was a space until Unicode 6.3, and still matches \s of PCRE2.
static void spaces_are_those_of_unicode(void **state) {
  const char *folder = *state;
  static const char text[] = "a\xe1\xa0\x8e\xc2\x85\xe3\x80\x80 b";
  json_t *root = small_json();
  set_at(root, "pre_tokenizer.pretokenizers.0.pattern.Regex", json_string("\\\\|[^\\s]+|\\s+"));
  set_at(root, "model.ignore_merges", json_true());
  add_token(root, "a\xe1\xa0\x8e", 4, 260);
  add_token(root, "\xc2\x85\xe3\x80\x80 ", 6, 261);
  struct tokenizer *tokenizer = must_open_json(folder, root);
  assert_encodes(tokenizer, text, strlen(text), (int32_t[]){260, 261, 'b'}, 3);
  assert_encodes(tokenizer, "\\s", 2, (int32_t[]){'\\', 's'}, 2);
  tokenizer_close(tokenizer);
  json_decref(root);
}

// When the pattern fails in the middle of a text, the ids of the earlier pieces are removed.
static void a_failing_pattern_is_an_error(void **state) {
  const char *folder = *state;
  struct tokenizer *tokenizer = open_with_pattern(folder, "(*LIMIT_MATCH=100)x|(?:a|b)+c");
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

int main(void) {
  const struct CMUnitTest tests[] = {
      IN_FOLDER(matches_and_gaps_are_pieces),
      IN_FOLDER(spaces_are_those_of_unicode),
      IN_FOLDER(a_failing_pattern_is_an_error),
  };
  return cmocka_run_group_tests_name("split", tests, NULL, NULL);
}
