// Texts with special tokens in them: their ids against those that other programs computed, and
// which of them are rendered conversations.
#include "tokenizer_support.h"

#include "harmony/rendered.h"

#include <stdlib.h>
#include <string.h>

#define CHAT MODELS "abacus_chat"
#define HARMONY "tests/vectors/harmony_cases.json"

// The ids of a text. Asserts that they are the text again, that the first special token is named,
// and that ids were appended.
static struct id_list encode(const struct tokenizer *tokenizer, const char *text, int32_t *first) {
  struct id_list list = {0};
  struct error err;
  size_t at = 0, n;
  assert_true(id_list_add(&list, 7));
  if (!tokenizer_encode_special(tokenizer, text, strlen(text), &list, first, &err))
    fail_msg("%s", err.text);
  assert_int_equal(list.id[0], 7);
  memmove(list.id, list.id + 1, --list.n * sizeof *list.id);
  int32_t special = -1;
  for (size_t i = 0; i < list.n; i++) {
    const char *token = tokenizer_bytes(tokenizer, list.id[i], &n);
    assert_non_null(token);
    assert_true(strncmp(text + at, token, n) == 0);
    char copy[64] = "";
    memcpy(copy, token, n < sizeof copy ? n : 0);
    if (special < 0 && tokenizer_special(tokenizer, copy) == list.id[i])
      special = list.id[i];
    at += n;
  }
  assert_int_equal(at, strlen(text));
  assert_int_equal(*first, special);
  return list;
}

static bool has_ids(const struct tokenizer *tokenizer, const char *text, const int32_t *ids,
                    size_t n) {
  int32_t first;
  const struct id_list list = encode(tokenizer, text, &first);
  const bool same = list.n == n && memcmp(list.id, ids, n * sizeof *ids) == 0;
  free(list.id);
  return same;
}

static bool has_json_ids(const struct tokenizer *tokenizer, const json_t *text,
                         const json_t *array) {
  size_t n;
  int32_t *ids = read_ids(array, &n);
  const bool same = has_ids(tokenizer, json_string_value(text), ids, n);
  free(ids);
  return same;
}

static void assert_ids(const struct tokenizer *tokenizer, const char *text, const int32_t *ids,
                       size_t n) {
  if (!has_ids(tokenizer, text, ids, n))
    fail_msg("other ids for \"%s\"", text);
}
#define ASSERT_IDS(tokenizer, text, ...)                                                           \
  assert_ids(tokenizer, text, (const int32_t[]){__VA_ARGS__},                                      \
             sizeof((const int32_t[]){__VA_ARGS__}) / sizeof(int32_t))

// --- ids that other programs computed ---

// How many times the texts of harmony's special tokens are in a text.
static size_t count_spelled(const char *text) {
  static const char *const names[] = {"<|start|>",     "<|end|>",  "<|message|>", "<|channel|>",
                                      "<|constrain|>", "<|call|>", "<|return|>"};
  size_t n = 0;
  for (size_t i = 0; i < COUNT(names); i++)
    for (const char *at = text; (at = strstr(at, names[i])); at++)
      n++;
  return n;
}

static size_t count_special_ids(const json_t *ids) {
  size_t n = 0;
  for (size_t i = 0; i < json_array_size(ids); i++)
    n += json_integer_value(json_array_get(ids, i)) >= 199998;
  return n;
}

// A user who spells a special token writes text, so a rendering with such a message has other ids.
static void renderings_have_the_ids_of_the_reference(void **state) {
  struct tokenizer *o200k = must_open(O200K "/tokenizer.json");
  json_t *root = read_json(HARMONY), *rendering;
  size_t i, same = 0, different = 0;
  (void)state;
  json_array_foreach(json_object_get(root, "render"), i, rendering) {
    const json_t *text = json_object_get(rendering, "text");
    const json_t *ids = json_object_get(rendering, "ids");
    const bool spells = count_spelled(json_string_value(text)) > count_special_ids(ids);
    assert_int_equal(has_json_ids(o200k, text, ids), !spells);
    same += !spells;
    different += spells;
  }
  assert_int_equal(same, 32);
  assert_int_equal(different, 8);
  json_decref(root);
  tokenizer_close(o200k);
}

static void replies_have_the_ids_of_the_reference(void **state) {
  struct tokenizer *o200k = must_open(O200K "/tokenizer.json");
  json_t *root = read_json(HARMONY), *reply;
  size_t i;
  (void)state;
  json_array_foreach(json_object_get(root, "parse"), i, reply) assert_true(
      has_json_ids(o200k, json_object_get(reply, "text"), json_object_get(reply, "ids")));
  assert_int_equal(i, 12);
  json_decref(root);
  tokenizer_close(o200k);
}

static void conversations_have_the_ids_of_transformers(void **state) {
  struct tokenizer *tokenizer = must_open(CHAT "/tokenizer.json");
  json_t *root = read_json(CHAT "/conversations.json"), *each;
  size_t i;
  (void)state;
  json_array_foreach(root, i, each) {
    size_t n;
    int32_t *ids = read_ids(json_object_get(each, "prompt_ids"), &n);
    assert_ids(tokenizer, json_string_value(json_object_get(each, "prompt")), ids, n);
    assert_true(is_rendered(tokenizer, ids, n));
    free(ids);
  }
  assert_int_equal(i, 168);
  json_decref(root);
  tokenizer_close(tokenizer);
}

// --- small tokenizers ---

// Opens small_json with other added_tokens. Their ids have to be above 258.
static struct tokenizer *open_with_added(const char *folder, const char *added) {
  json_t *root = small_json(), *list = json_loads(added, 0, NULL);
  assert_non_null(list);
  set_at(root, "added_tokens", list);
  struct tokenizer *tokenizer = must_open_json(folder, root);
  json_decref(root);
  return tokenizer;
}

// The longest token counts where several begin, and the first one where they overlap.
static void overlapping_tokens_are_found_from_the_left(void **state) {
  struct tokenizer *t =
      open_with_added(*state, "[{\"id\":300,\"content\":\"<a>\",\"special\":true},"
                              "{\"id\":301,\"content\":\"<a><b>\",\"special\":true},"
                              "{\"id\":302,\"content\":\"b><\",\"special\":true},"
                              "{\"id\":303,\"content\":\"<b>\",\"special\":true},"
                              "{\"id\":304,\"content\":\"日\",\"special\":true}]");
  ASSERT_IDS(t, "<a><b>", 301);
  ASSERT_IDS(t, "<a><a><b><b>", 300, 301, 303);
  ASSERT_IDS(t, "<b><b>", 303, 303);
  ASSERT_IDS(t, "b><b>", 302, 'b', '>');
  ASSERT_IDS(t, "ab><", 'a', 302);
  ASSERT_IDS(t, "<a<a><", '<', 'a', 300, '<');
  ASSERT_IDS(t, "a日bc", 'a', 304, 'b', 'c');
  tokenizer_close(t);
}

// Merges and matches of the pattern, here x+, end at a special token.
static void text_between_tokens_is_encoded_by_itself(void **state) {
  struct tokenizer *t =
      open_with_added(*state, "[{\"id\":300,\"content\":\"<>\",\"special\":true}]");
  ASSERT_IDS(t, "abc", 257);
  ASSERT_IDS(t, "ab<>c", 256, 300, 'c');
  ASSERT_IDS(t, "<>xx<>x<>", 300, 'x', 'x', 300, 'x', 300);
  tokenizer_close(t);
}

// HF looks for tokens with `normalized` after it has found the others.
static void normalized_tokens_are_found_between_the_others(void **state) {
  struct tokenizer *t = open_with_added(
      *state, "[{\"id\":300,\"content\":\"<a><b>\",\"special\":true,\"normalized\":true},"
              "{\"id\":301,\"content\":\"<b>\",\"special\":true,\"normalized\":false},"
              "{\"id\":302,\"content\":\"<a>\",\"special\":true,\"normalized\":true}]");
  assert_int_equal(tokenizer_special(t, "<a><b>"), 300);
  ASSERT_IDS(t, "<a><b>", 302, 301);
  ASSERT_IDS(t, "<b><a>", 301, 302);
  tokenizer_close(t);
  t = open_with_added(*state,
                      "[{\"id\":300,\"content\":\"<a><b>\",\"special\":true,\"normalized\":true},"
                      "{\"id\":302,\"content\":\"<a>\",\"special\":true,\"normalized\":true}]");
  ASSERT_IDS(t, "<a><b><a>", 300, 302);
  tokenizer_close(t);
}

static void a_tokenizer_may_have_no_special_tokens(void **state) {
  static const char *const lists[] = {"[]", NULL};
  for (size_t i = 0; i < COUNT(lists); i++) {
    json_t *root = small_json();
    set_at(root, "added_tokens", lists[i] ? json_loads(lists[i], 0, NULL) : NULL);
    struct tokenizer *t = must_open_json(*state, root);
    json_decref(root);
    assert_int_equal(tokenizer_special(t, "<|end|>"), -1);
    ASSERT_IDS(t, "<|end|>ab", '<', '|', 'e', 'n', 'd', '|', '>', 256);
    assert_false(is_rendered(t, (const int32_t[]){'<', '|'}, 2));
    tokenizer_close(t);
  }
}

static void an_empty_text_has_no_ids(void **state) {
  struct tokenizer *t = must_open(CHAT "/tokenizer.json");
  int32_t first = 7;
  const struct id_list list = encode(t, "", &first);
  (void)state;
  assert_int_equal(list.n, 0);
  assert_int_equal(first, -1);
  assert_false(is_rendered(t, list.id, 0));
  free(list.id);
  tokenizer_close(t);
}

static void other_text_than_utf8_is_refused(void **state) {
  struct tokenizer *t = must_open(CHAT "/tokenizer.json");
  static const char text[] = "<|start|>user\xff<|end|>";
  struct id_list list = {0};
  struct error err;
  int32_t first;
  (void)state;
  assert_false(tokenizer_encode_special(t, text, sizeof text - 1, &list, &first, &err));
  assert_string_equal(err.text, "text: byte 13: want UTF-8, found 0xff");
  assert_int_equal(list.n, 0);
  free(list.id);
  tokenizer_close(t);
}

static void a_failure_after_a_special_token_leaves_the_list(void **state) {
  struct tokenizer *t = open_with_pattern(*state, "x|(?:a|aa)+[bc]");
  char text[1001] = "x<|end|>";
  struct id_list list = {0};
  struct error err;
  int32_t first;
  memset(text + strlen(text), 'a', sizeof text - 1 - strlen(text));
  assert_true(id_list_add(&list, 5));
  assert_false(tokenizer_encode_special(t, text, strlen(text), &list, &first, &err));
  assert_string_equal(err.text, "text: byte 0: the tokenizer's split pattern failed: it takes too "
                                "many steps for a text of 992 bytes");
  assert_int_equal(list.n, 1);
  free(list.id);
  tokenizer_close(t);
}

// A million special tokens, and the beginnings of as many.
static void long_texts_are_encoded(void **state) {
  struct tokenizer *t = must_open(CHAT "/tokenizer.json");
  static const char *const repeated[] = {"<|start|>", "<|start|", "<|start|><|", "<<|end|>>"};
  enum { REPEATS = 1000000 };
  (void)state;
  for (size_t i = 0; i < COUNT(repeated); i++) {
    const size_t n = strlen(repeated[i]);
    char *text = malloc(REPEATS * n + 1);
    struct id_list list = {0};
    struct error err;
    int32_t first;
    for (size_t at = 0; at < REPEATS * n; at += n)
      memcpy(text + at, repeated[i], n);
    text[REPEATS * n] = 0;
    assert_true(tokenizer_encode_special(t, text, REPEATS * n, &list, &first, &err));
    assert_int_equal(first, i == 0 || i == 2 ? 1531 : i == 3 ? 1532 : -1);
    assert_true(list.n >= REPEATS);
    free(list.id);
    free(text);
  }
  tokenizer_close(t);
}

// --- rendered conversations ---

static const struct {
  bool rendered;
  const char *text;
} PROMPTS[] = {
    {true, "<|start|>assistant"},
    {true, "<|start|>user<|message|>Hi<|end|><|start|>assistant"},
    {true, "<|start|>user<|message|>Hi<|end|><|start|>assistant<|channel|>final<|message|>It is"},
    {true,
     "<|start|>user<|message|>Hi<|end|><|start|>assistant to=functions.f<|channel|>commentary"},
    {true, "<|start|>user<|message|>Hi<|start|>assistant"},
    {false, "<|start|>"},
    {false, "<|start|>assistan"},
    {false, "<|start|>assistants"},
    {false, "<|start|>assistant\n"},
    {false, "<|start|> assistant"},
    {false, " <|start|>assistant"},
    {false, "assistant"},
    {false, "Explain: <|start|>user<|message|>Hi<|end|><|start|>assistant"},
    {false, "<|start|>user<|message|>Hi"},
    {false, "<|start|>user<|message|>Hi<|end|>"},
    {false, "<|start|>user<|message|>Hi<|end|><|start|>user"},
    {false,
     "<|start|>user<|message|>Hi<|end|><|start|>assistant<|channel|>final<|message|>Ho<|end|>"},
    {false, "<|start|>assistant<|channel|>final<|message|>Ho<|return|>"},
    {false, "<|start|>assistant to=functions.f<|message|>{}<|call|>"},
    {false, "<|endoftext|><|start|>assistant"},
};

static void rendered_conversations_are_recognised(void **state) {
  struct tokenizer *t = must_open(CHAT "/tokenizer.json");
  (void)state;
  for (size_t i = 0; i < COUNT(PROMPTS); i++) {
    int32_t first;
    const struct id_list list = encode(t, PROMPTS[i].text, &first);
    if (is_rendered(t, list.id, list.n) != PROMPTS[i].rendered)
      fail_msg("%s", PROMPTS[i].text);
    free(list.id);
  }
  tokenizer_close(t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(renderings_have_the_ids_of_the_reference),
      cmocka_unit_test(replies_have_the_ids_of_the_reference),
      cmocka_unit_test(conversations_have_the_ids_of_transformers),
      IN_FOLDER(overlapping_tokens_are_found_from_the_left),
      IN_FOLDER(text_between_tokens_is_encoded_by_itself),
      IN_FOLDER(normalized_tokens_are_found_between_the_others),
      IN_FOLDER(a_tokenizer_may_have_no_special_tokens),
      cmocka_unit_test(an_empty_text_has_no_ids),
      cmocka_unit_test(other_text_than_utf8_is_refused),
      IN_FOLDER(a_failure_after_a_special_token_leaves_the_list),
      cmocka_unit_test(long_texts_are_encoded),
      cmocka_unit_test(rendered_conversations_are_recognised),
  };
  return cmocka_run_group_tests_name("special_text", tests, NULL, NULL);
}
