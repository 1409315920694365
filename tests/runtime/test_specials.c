// The search for special tokens, compared with a search that tries every token at every byte.
#include "tokenizer/specials.h"

#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct tokens {
  struct specials specials;
  const char *const *text; // by id
  int32_t n;
};

static struct tokens make(const char *const *text, int32_t n) {
  struct tokens tokens = {.text = text, .n = n};
  size_t bytes = 0;
  for (int32_t i = 0; i < n; i++)
    bytes += strlen(text[i]);
  assert_true(specials_init(&tokens.specials, bytes));
  for (int32_t i = 0; i < n; i++)
    specials_add(&tokens.specials, i, text[i], strlen(text[i]));
  assert_true(specials_link(&tokens.specials));
  return tokens;
}

// The longest token at the beginning of a text, or -1.
static int32_t longest_token(const struct tokens *tokens, const char *text, size_t bytes) {
  int32_t best = -1;
  for (int32_t id = 0; id < tokens->n; id++) {
    const size_t length = strlen(tokens->text[id]);
    if (length <= bytes && memcmp(text, tokens->text[id], length) == 0 &&
        (best < 0 || length > strlen(tokens->text[best])))
      best = id;
  }
  return best;
}

static void assert_located(const struct tokens *tokens, const char *text) {
  const size_t bytes = strlen(text);
  struct special_list list = {0};
  assert_true(specials_locate(&tokens->specials, text, bytes, &list));
  size_t n = 0;
  for (size_t i = bytes; i-- > 0;) {
    const int32_t want = longest_token(tokens, text + i, bytes - i);
    if (want < 0)
      continue;
    assert_true(n < list.n);
    assert_int_equal(list.at[n].start, i);
    assert_int_equal(list.at[n++].id, want);
  }
  assert_int_equal(n, list.n);
  free(list.at);
}

static void the_longest_token_at_each_byte_is_located(void **state) {
  static const char *const tokens_text[] = {"<a>", "<a><b>", "a", "b><", "<b>c", "é", "<"};
  static const char *const texts[] = {"",   "x",  "<a>",    "<a><b>c", "<a><a><b><b>c", "<<a>",
                                      "<a", "a>", "eé\xc3", "<b",      "<b><b>c<"};
  struct tokens tokens = make(tokens_text, COUNT(tokens_text));
  (void)state;
  for (size_t i = 0; i < COUNT(texts); i++)
    assert_located(&tokens, texts[i]);
  specials_free(&tokens.specials);
}

static void tokens_are_found_by_all_their_bytes(void **state) {
  static const char *const text[] = {"<a>", "<a><b>", "b>"};
  struct tokens tokens = make(text, COUNT(text));
  (void)state;
  for (int32_t id = 0; id < tokens.n; id++)
    assert_int_equal(specials_find(&tokens.specials, text[id], strlen(text[id])), id);
  assert_int_equal(specials_find(&tokens.specials, "<b>", 3), -1);
  assert_int_equal(specials_find(&tokens.specials, ">", 1), -1);
  assert_int_equal(specials_find(&tokens.specials, "x<a>", 4), -1);
  assert_int_equal(specials_find(&tokens.specials, "", 0), -1);
  specials_free(&tokens.specials);
}

static void without_tokens_none_is_located(void **state) {
  struct tokens tokens = make(NULL, 0);
  (void)state;
  assert_located(&tokens, "<|start|>");
  assert_int_equal(specials_find(&tokens.specials, "<|start|>", 9), -1);
  specials_free(&tokens.specials);
}

enum { RANDOM_TOKENS = 20, RANDOM_BYTES = 12 };

// Fills a text with 1 to RANDOM_BYTES - 1 letters. Few different ones make many overlaps.
static void random_text(char text[static RANDOM_BYTES], uint64_t *seed) {
  const unsigned bytes = 1 + random_below(seed, RANDOM_BYTES - 1);
  for (unsigned i = 0; i < bytes; i++)
    text[i] = (char)('a' + random_below(seed, 2));
  text[bytes] = 0;
}

static void random_tokens_are_located(void **state) {
  uint64_t seed = 1;
  (void)state;
  for (int trial = 0; trial < 500; trial++) {
    char text[RANDOM_TOKENS][RANDOM_BYTES], other[100];
    const char *list[RANDOM_TOKENS];
    int32_t n = 0;
    for (int i = 0; i < RANDOM_TOKENS; i++) {
      random_text(text[n], &seed);
      bool known = false;
      for (int32_t j = 0; j < n; j++)
        known = known || strcmp(text[j], text[n]) == 0;
      list[n] = text[n];
      n += !known;
    }
    for (size_t i = 0; i + 1 < sizeof other; i++)
      other[i] = (char)('a' + random_below(&seed, 2));
    other[sizeof other - 1] = 0;
    struct tokens tokens = make(list, n);
    assert_located(&tokens, other);
    specials_free(&tokens.specials);
  }
}

// Each byte of the text begins thousands of bytes that a token has, too. A search that compared
// them at every byte would take some 10^11 steps.
static void nearly_matching_texts_take_linear_time(void **state) {
  enum { TOKEN = 50000, TEXT = 4000000 };
  char *token[2], *text = malloc(TEXT);
  (void)state;
  for (int i = 0; i < 2; i++) {
    token[i] = malloc(TOKEN + 2);
    memset(token[i], 'a', TOKEN + 1);
    token[i][TOKEN + 1] = 0;
    token[i][i == 0 ? 0 : TOKEN] = 'b';
  }
  memset(text, 'a', TEXT);
  struct tokens tokens = make((const char *const[]){token[0], token[1]}, 2);
  struct special_list list = {0};
  const clock_t began = clock();
  assert_true(specials_locate(&tokens.specials, text, TEXT, &list));
  assert_int_equal(list.n, 0);
  text[0] = 'b';
  assert_true(specials_locate(&tokens.specials, text, TEXT, &list));
  assert_int_equal(list.n, 1);
  assert_true((clock() - began) / CLOCKS_PER_SEC < 10);
  specials_free(&tokens.specials);
  free(list.at);
  free(token[0]);
  free(token[1]);
  free(text);
}

static void many_tokens_take_linear_time(void **state) {
  enum { TOKENS = 100000, BYTES = 24 };
  char(*text)[BYTES] = malloc(TOKENS * sizeof *text);
  const char **list = malloc(TOKENS * sizeof *list);
  (void)state;
  for (int i = 0; i < TOKENS; i++) {
    snprintf(text[i], sizeof text[i], "<|reserved_%d|>", i);
    list[i] = text[i];
  }
  const clock_t began = clock();
  struct tokens tokens = make(list, TOKENS);
  for (int i = 0; i < TOKENS; i++)
    assert_int_equal(specials_find(&tokens.specials, text[i], strlen(text[i])), i);
  assert_true((clock() - began) / CLOCKS_PER_SEC < 10);
  specials_free(&tokens.specials);
  free(text);
  free(list);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_longest_token_at_each_byte_is_located),
      cmocka_unit_test(tokens_are_found_by_all_their_bytes),
      cmocka_unit_test(without_tokens_none_is_located),
      cmocka_unit_test(random_tokens_are_located),
      cmocka_unit_test(nearly_matching_texts_take_linear_time),
      cmocka_unit_test(many_tokens_take_linear_time),
  };
  return cmocka_run_group_tests_name("specials", tests, NULL, NULL);
}
