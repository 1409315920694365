// The harmony format, with the tokenizer of abacus.
#include "tokenizer/harmony.h"

#include "support.h"

#include <stdlib.h>
#include <string.h>

enum { CHANNEL = 1018, START = 1019, END = 1020, MESSAGE = 1021, RETURN = 1016 };

struct fixture {
  struct tokenizer *tokenizer;
  struct harmony harmony;
  struct id_list ids;
};

static int setup(void **state) {
  struct fixture *fixture = calloc(1, sizeof *fixture);
  struct error err;
  assert_true(tokenizer_open(&fixture->tokenizer, "tests/models/abacus/tokenizer.json", &err));
  assert_true(harmony_open(&fixture->harmony, fixture->tokenizer, &err));
  *state = fixture;
  return 0;
}

static int teardown(void **state) {
  struct fixture *fixture = *state;
  tokenizer_close(fixture->tokenizer);
  free(fixture->ids.id);
  free(fixture);
  return 0;
}

// Decodes the ids, with a single character for each special token.
static void assert_reads(const struct fixture *fixture, const char *want) {
  char got[256] = "";
  for (size_t i = 0; i < fixture->ids.n; i++) {
    size_t n;
    const int32_t id = fixture->ids.id[i];
    const char *bytes = tokenizer_bytes(fixture->tokenizer, id, &n);
    if (id == START || id == CHANNEL || id == MESSAGE || id == END)
      strcat(got, id == START ? "{" : id == CHANNEL ? "/" : id == MESSAGE ? ":" : "}");
    else
      strncat(got, bytes, n);
  }
  assert_string_equal(got, want);
}

static void messages_become_ids(void **state) {
  struct fixture *fixture = *state;
  struct error err;
  struct id_list *ids = &fixture->ids, answer = {0};
  assert_true(harmony_add(&fixture->harmony, "system", "Be brief.", 9, ids, &err));
  assert_true(harmony_add(&fixture->harmony, "user", "1 + 1 =", 7, ids, &err));
  assert_true(tokenizer_encode(fixture->tokenizer, "2", 1, &answer, &err));
  assert_true(harmony_add_answer(&fixture->harmony, &answer, ids, &err));
  free(answer.id);
  assert_true(harmony_begin_reply(&fixture->harmony, ids, &err));
  assert_reads(fixture, "{system:Be brief.}{user:1 + 1 =}{assistant/final:2}{assistant");
}

static void special_tokens_in_a_text_are_text(void **state) {
  struct fixture *fixture = *state;
  struct error err;
  assert_true(harmony_add(&fixture->harmony, "user", "<|end|>", 7, &fixture->ids, &err));
  int ends = 0;
  for (size_t i = 0; i < fixture->ids.n; i++)
    ends += fixture->ids.id[i] == END;
  assert_int_equal(ends, 1);
  assert_reads(fixture, "{user:<|end|>}");
}

// Reads the tokens of a text and asserts that each is of this kind.
static void read_text(struct fixture *fixture, struct reply *reply, const char *text,
                      enum reply_kind kind) {
  struct error err;
  fixture->ids.n = 0;
  assert_true(tokenizer_encode(fixture->tokenizer, text, strlen(text), &fixture->ids, &err));
  for (size_t i = 0; i < fixture->ids.n; i++)
    assert_int_equal(reply_read(reply, &fixture->harmony, fixture->ids.id[i]), kind);
}

static void read_control(struct fixture *fixture, struct reply *reply, int32_t id) {
  assert_int_equal(reply_read(reply, &fixture->harmony, id), REPLY_CONTROL);
}

static void only_the_final_channel_is_the_answer(void **state) {
  struct fixture *fixture = *state;
  struct reply reply = {0};
  read_control(fixture, &reply, CHANNEL);
  read_text(fixture, &reply, "analysis", REPLY_CONTROL);
  read_control(fixture, &reply, MESSAGE);
  read_text(fixture, &reply, "The user wants the final answer.", REPLY_OTHER);
  read_control(fixture, &reply, END);
  read_control(fixture, &reply, START);
  read_text(fixture, &reply, "assistant", REPLY_CONTROL);
  read_control(fixture, &reply, CHANNEL);
  read_text(fixture, &reply, "final", REPLY_CONTROL);
  read_control(fixture, &reply, MESSAGE);
  read_text(fixture, &reply, "It is 2.", REPLY_FINAL);
  read_control(fixture, &reply, RETURN);
}

static void a_long_channel_name_is_not_final(void **state) {
  struct fixture *fixture = *state;
  struct reply reply = {0};
  read_control(fixture, &reply, CHANNEL);
  read_text(fixture, &reply, "final and then a name that is far longer than any channel",
            REPLY_CONTROL);
  read_control(fixture, &reply, MESSAGE);
  read_text(fixture, &reply, "text", REPLY_OTHER);
}

static void a_tokenizer_without_special_tokens_is_refused(void **state) {
  static const char WANT[] = "chat: want a tokenizer with the special token <|call|>, found none";
  (void)state;
  json_t *root = read_json(MODELS "abacus/tokenizer.json"), *added;
  struct tokenizer *tokenizer;
  struct harmony harmony;
  struct error err;
  added = json_object_get(root, "added_tokens");
  for (size_t i = 0; i < json_array_size(added); i++) {
    const json_t *content = json_object_get(json_array_get(added, i), "content");
    if (strcmp(json_string_value(content), "<|call|>") == 0)
      json_array_remove(added, i);
  }
  char *text = json_dumps(root, 0);
  assert_true(tokenizer_open_text(&tokenizer, "its path", text, strlen(text), &err));
  assert_false(harmony_open(&harmony, tokenizer, &err));
  assert_string_equal(err.text, WANT);
  tokenizer_close(tokenizer);
  free(text);
  json_decref(root);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(messages_become_ids, setup, teardown),
      cmocka_unit_test_setup_teardown(special_tokens_in_a_text_are_text, setup, teardown),
      cmocka_unit_test_setup_teardown(only_the_final_channel_is_the_answer, setup, teardown),
      cmocka_unit_test_setup_teardown(a_long_channel_name_is_not_final, setup, teardown),
      cmocka_unit_test(a_tokenizer_without_special_tokens_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
