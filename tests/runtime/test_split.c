// The split pattern: the pieces that it makes, differences between PCRE2 and Oniguruma, failures.
#include "tokenizer/split.h"
#include "tokenizer_support.h"

#include <stdio.h>
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

// Encodes n times `letter` and a "!" with a pattern. An empty message: that works.
static void assert_run(const char *folder, const char *regex, char letter, size_t n,
                       const char *message) {
  struct tokenizer *tokenizer = open_with_pattern(folder, regex);
  struct id_list list = {0};
  struct error err = {""};
  char *text = malloc(n + 1);
  assert_non_null(text);
  memset(text, letter, n);
  text[n] = '!';
  assert_int_equal(tokenizer_encode(tokenizer, text, n + 1, &list, &err), !*message);
  assert_string_equal(err.text, message);
  assert_int_equal(list.n, *message ? 0 : n + 1);
  free(text);
  free(list.id);
  tokenizer_close(tokenizer);
}

// Each of these takes a time that is exponential, or a high power, of the text.
static void a_pattern_without_end_is_an_error(void **state) {
  const char *folder = *state;
  static const char *const regexes[] = {"(a+)+$|(a|aa)+$", "(?:a|a)+[bc]", "((a*)*)*[bc]",
                                        "(?:a{1,30}){1,30}[bc]"};
  for (size_t i = 0; i < COUNT(regexes); i++)
    assert_run(folder, regexes[i], 'a', 40,
               "text: byte 0: the tokenizer's split pattern failed: it takes too many steps for a "
               "text of 41 bytes");
  assert_run(folder, "a*[bc]", 'a', 2999,
             "text: byte 268: the tokenizer's split pattern failed: it takes too many steps for a "
             "text of 3000 bytes");
}

// The steps that one long piece may take grow with it.
static void long_pieces_are_split(void **state) {
  const char *folder = *state;
  static const char o200k[] = "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}]*[\\p{Ll}]+|"
                              "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}]+[\\p{Ll}]*|\\p{N}{1,3}|"
                              " ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
  assert_run(folder, o200k, 'A', 300000, "");
  assert_run(folder, o200k, ' ', 300000, "");
  assert_run(folder, o200k, '7', 300000, "");
  assert_run(folder, "(?:a|b)+", 'b', 300000, "");
}

// When the pattern fails in the middle of a text, the ids of the earlier pieces are removed.
static void a_failing_pattern_is_an_error(void **state) {
  const char *folder = *state;
  struct tokenizer *tokenizer = open_with_pattern(folder, "x|(?:a|aa)+c");
  struct id_list list = {0};
  struct error err;
  char text[1001];
  memset(text, 'a', sizeof text);
  text[0] = 'x';
  text[1000] = 'c';
  assert_true(tokenizer_encode(tokenizer, text, sizeof text, &list, &err));
  assert_int_equal(list.n, 1001);
  text[1000] = 'a';
  text[999] = '-';
  assert_false(tokenizer_encode(tokenizer, text, sizeof text, &list, &err));
  assert_string_equal(err.text, "text: byte 1: the tokenizer's split pattern failed: it takes too "
                                "many steps for a text of 1001 bytes");
  assert_int_equal(list.n, 1001);
  free(list.id);
  tokenizer_close(tokenizer);
}

// What Oniguruma reads differently, or PCRE2 alone has, is refused; its like in sets and after
// backslashes is not.
static void foreign_parts_are_refused(void **state) {
  (void)state;
  static const char groups[] = "no groups but (...) (?:...) (?=...) (?!...) (?<=...) (?<!...) "
                               "(?>...) (?i:...) (?-i:...)";
  static const char repeats[] = "no repeat in (?=...) (?!...) (?<=...) (?<!...) (?>...)";
  static const char after[] = "no repeat with a + after it";
  static const char *const cases[][3] = {
      {"(*LIMIT_MATCH=4000000000)a", groups, "(*"},
      {"(*NO_JIT)(a+)+$", groups, "(*"},
      {"a(*FAIL)", groups, "(*"},
      {"(?C1)a", groups, "(?C"},
      {"(?R)?a", groups, "(?R"},
      {"(a(?1)?)", groups, "(?1"},
      {"(?(?=a)a|b)", groups, "(?("},
      {"a(?i)b|c", groups, "(?i"},
      {"(?m:.)", groups, "(?m"},
      {"\\C", "no escapes but \\r \\n \\t \\p \\P \\s \\S \\d \\D", "\\C"},
      {"[a[bc]]", "no set within a set", "["},
      {"[a-z&&[^c]]", "no set within a set", "&&"},
      {"a{,3}", "no {,n}", "{,3}"},
      {"\\p{N}{1,3}+", after, "{1,3}+"},
      {"a*+b", after, "*+"},
      {"a++b", after, "++"},
      {"(?=(?:a|b)*c)", repeats, "*"},
      {"(?>a(b))(?<!(c)a{2})", repeats, "{2}"},
  };
  for (size_t i = 0; i < COUNT(cases); i++) {
    struct split split = {0};
    struct error err;
    char message[sizeof err.text];
    snprintf(message, sizeof message, "want a pattern with %s, found %s", cases[i][1], cases[i][2]);
    assert_false(split_compile(&split, cases[i][0], &err));
    assert_string_equal(err.text, message);
    split_free(&split);
  }
  static const char *const good[] = {"[(*?]",       "\\(*a",    "[]a]?",  "[^]+*]+",
                                     "(?i:'s|'T)?", "(?!a?)b*", "a{2}?",  "a{2",
                                     "(?=a)b+",     "\\p{L}+",  "[\\[&]", "&&"};
  for (size_t i = 0; i < COUNT(good); i++) {
    struct split split = {0};
    struct error err;
    assert_true(split_compile(&split, good[i], &err));
    split_free(&split);
  }
}

static bool count_piece(void *context, const char *piece, size_t bytes, struct error *err) {
  (void)piece;
  (void)bytes;
  (void)err;
  ++*(int *)context;
  return true;
}

// Splits again in the middle of a text, as another thread would.
static bool split_beside(void *context, const char *piece, size_t bytes, struct error *err) {
  int pieces = 0;
  assert_true(split_text(context, piece, bytes, count_piece, &pieces, err));
  assert_int_equal(pieces, bytes);
  return true;
}

// The working memory stays from one call to the next, and no two calls share it.
static void working_memory_is_kept(void **state) {
  (void)state;
  struct split split = {0};
  struct error err;
  int pieces = 0;
  assert_true(split_compile(&split, "a|[^a]+", &err));
  assert_null(*split.idle);
  assert_true(split_text(&split, "aab", 3, count_piece, &pieces, &err));
  assert_int_equal(pieces, 3);
  const struct split_scratch *kept = *split.idle;
  assert_non_null(kept);
  assert_true(split_text(&split, "ab", 2, count_piece, &pieces, &err));
  assert_ptr_equal(*split.idle, kept);
  assert_true(split_text(&split, "aa", 2, split_beside, &split, &err));
  assert_ptr_equal(*split.idle, kept);
  split_free(&split);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      IN_FOLDER(matches_and_gaps_are_pieces),       IN_FOLDER(spaces_are_those_of_unicode),
      IN_FOLDER(a_pattern_without_end_is_an_error), IN_FOLDER(long_pieces_are_split),
      IN_FOLDER(a_failing_pattern_is_an_error),     cmocka_unit_test(foreign_parts_are_refused),
      cmocka_unit_test(working_memory_is_kept),
  };
  return cmocka_run_group_tests_name("split", tests, NULL, NULL);
}
