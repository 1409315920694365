// The harmony format against ids written out by hand from abacus' tokenizer.
#include "tokenizer/harmony.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
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

// Decodes everything but the special tokens, which become single characters.
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

static void messages(void **state) {
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

// Feeds a text to a reply and asserts that each of its tokens is read as `part`.
static void feed(struct fixture *fixture, struct reply *reply, const char *text,
                 enum reply_kind part) {
  struct error err;
  fixture->ids.n = 0;
  assert_true(tokenizer_encode(fixture->tokenizer, text, strlen(text), &fixture->ids, &err));
  for (size_t i = 0; i < fixture->ids.n; i++)
    assert_int_equal(reply_read(reply, &fixture->harmony, fixture->ids.id[i]), part);
}

static void control(struct fixture *fixture, struct reply *reply, int32_t id) {
  assert_int_equal(reply_read(reply, &fixture->harmony, id), REPLY_CONTROL);
}

static void reasoning_then_answer(void **state) {
  struct fixture *fixture = *state;
  struct reply reply = {0};
  control(fixture, &reply, CHANNEL);
  feed(fixture, &reply, "analysis", REPLY_CONTROL);
  control(fixture, &reply, MESSAGE);
  feed(fixture, &reply, "The user wants the final answer.", REPLY_OTHER);
  control(fixture, &reply, END);
  control(fixture, &reply, START);
  feed(fixture, &reply, "assistant", REPLY_CONTROL);
  control(fixture, &reply, CHANNEL);
  feed(fixture, &reply, "final", REPLY_CONTROL);
  control(fixture, &reply, MESSAGE);
  feed(fixture, &reply, "It is 2.", REPLY_FINAL);
  control(fixture, &reply, RETURN);
}

static void a_long_channel_name_is_not_final(void **state) {
  struct fixture *fixture = *state;
  struct reply reply = {0};
  control(fixture, &reply, CHANNEL);
  feed(fixture, &reply, "final and then a name that is far longer than any channel", REPLY_CONTROL);
  control(fixture, &reply, MESSAGE);
  feed(fixture, &reply, "text", REPLY_OTHER);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(messages, setup, teardown),
      cmocka_unit_test_setup_teardown(special_tokens_in_a_text_are_text, setup, teardown),
      cmocka_unit_test_setup_teardown(reasoning_then_answer, setup, teardown),
      cmocka_unit_test_setup_teardown(a_long_channel_name_is_not_final, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
