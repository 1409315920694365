// Reading replies in the harmony format: those of the case file, and every other kind.
#include "harmony_support.h"
#include "tokenizer_support.h"

#include <stdlib.h>
#include <string.h>

static void assert_field(const json_t *want, const char *key, const char *got) {
  const char *text = json_string_value(json_object_get(want, key));
  assert_true((text == NULL) == (got == NULL));
  if (text)
    assert_string_equal(got, text);
}

static enum reply_end end_of(const struct harmony *harmony, int32_t last) {
  if (last == harmony->end)
    return REPLY_ENDED;
  if (last == harmony->call)
    return REPLY_CALLED;
  return last == harmony->ret ? REPLY_RETURNED : REPLY_CUT;
}

static void check_messages(const json_t *wanted, const struct reply *reply) {
  assert_int_equal(reply->n, json_array_size(wanted));
  for (size_t i = 0; i < reply->n; i++) {
    const struct reply_message *message = &reply->message[i];
    const json_t *want = json_array_get(wanted, i);
    assert_null(message->role);
    assert_field(want, "channel", message->channel);
    assert_field(want, "recipient", message->recipient);
    assert_field(want, "constrain", message->content_type);
    assert_field(want, "text", message->text.bytes);
    assert_int_equal(message->complete, !json_is_true(json_object_get(want, "unfinished")));
    assert_true(message->well_formed);
  }
}

static void the_cases_are_read(void **state) {
  const struct harmony *harmony = *state;
  json_t *root = read_json(CASES), *cases = json_object_get(root, "parse");
  assert_int_equal(json_array_size(cases), 12);
  for (size_t i = 0; i < json_array_size(cases); i++) {
    const json_t *each = json_array_get(cases, i);
    size_t n;
    int32_t *ids = read_ids(json_object_get(each, "ids"), &n);
    struct reply reply = read_reply(harmony, ids, n, false);
    check_messages(json_object_get(each, "messages"), &reply);
    assert_int_equal(reply.end, end_of(harmony, ids[n - 1]));
    assert_true(reply_is_well_formed(&reply));
    reply_free(&reply);
    free(ids);
  }
  json_decref(root);
}

// Asserts the reply to the first n ids of a case, which keeps to the format.
static void check_cut(const struct harmony *harmony, const int32_t *ids, size_t n,
                      const json_t *wanted) {
  struct reply reply = read_reply(harmony, ids, n, false);
  size_t message = 0;
  bool in_header = true;
  for (size_t i = 0; i < n; i++) {
    message += ids[i] == harmony->message;
    in_header = in_header ? ids[i] != harmony->message : ids[i] == harmony->start;
    in_header = in_header && end_of(harmony, ids[i]) == REPLY_CUT;
  }
  assert_int_equal(reply.n, message);
  assert_int_equal(reply.header_text.n > 0, in_header && n > 0);
  assert_int_equal(reply.end, n > 0 ? end_of(harmony, ids[n - 1]) : REPLY_CUT);
  for (size_t i = 0; i < reply.n; i++) {
    const struct reply_message *got = &reply.message[i];
    const char *want = json_string_value(json_object_get(json_array_get(wanted, i), "text"));
    const bool last = i + 1 == reply.n;
    const char *lost = strstr(got->text.bytes, "\xef\xbf\xbd"); // half a character
    assert_true(got->well_formed);
    assert_memory_equal(got->text.bytes, want,
                        lost ? (size_t)(lost - got->text.bytes) : got->text.n);
    assert_true(!lost || (last && lost + 3 == got->text.bytes + got->text.n));
    if (got->complete)
      assert_string_equal(got->text.bytes, want);
    assert_true(got->complete || (last && reply.end == REPLY_CUT));
  }
  reply_free(&reply);
}

static void the_cases_may_be_cut_off_anywhere(void **state) {
  const struct harmony *harmony = *state;
  json_t *root = read_json(CASES), *cases = json_object_get(root, "parse");
  for (size_t i = 0; i < json_array_size(cases); i++) {
    const json_t *each = json_array_get(cases, i);
    size_t n;
    int32_t *ids = read_ids(json_object_get(each, "ids"), &n);
    for (size_t k = 0; k <= n; k++)
      check_cut(harmony, ids, k, json_object_get(each, "messages"));
    free(ids);
  }
  json_decref(root);
}

struct reading {
  const char *reply, *want;
  enum reply_end end;
};

static void check_readings(const struct harmony *harmony, const struct reading *readings,
                           size_t n) {
  for (size_t i = 0; i < n; i++) {
    struct reply reply = read_spelled(harmony, readings[i].reply, false);
    assert_reply(&reply, readings[i].want, readings[i].end);
    reply_free(&reply);
  }
}

static void a_header_is_read_in_any_order(void **state) {
  static const char *const HEADERS[] = {
      " to=functions.f<|channel|>commentary <|constrain|>json",
      " to=functions.f<|channel|>commentary<|constrain|>json",
      " to=functions.f<|channel|>commentary json",
      " to=functions.f <|constrain|>json<|channel|>commentary",
      " to=functions.f json<|channel|>commentary",
      "<|channel|>commentary to=functions.f <|constrain|>json",
      "<|channel|>commentary to=functions.f json",
      "<|channel|>commentary <|constrain|>json to=functions.f",
      "<|channel|>commentary json to=functions.f",
      "<|constrain|>json to=functions.f<|channel|>commentary",
      "<|constrain|>json<|channel|>commentary to=functions.f",
      "<|channel|> to=functions.f commentary\n<|constrain|> json ",
  };
  const struct harmony *harmony = *state;
  for (size_t i = 0; i < COUNT(HEADERS); i++) {
    struct buffer text = {0};
    assert_true(buffer_add_text(&text, HEADERS[i]) &&
                buffer_add_text(&text, "<|message|>{}<|call|>"));
    struct reply reply = read_spelled(harmony, text.bytes, true);
    assert_reply(&reply, "call commentary to=functions.f type=json: {}", REPLY_CALLED);
    reply_free(&reply);
    free(text.bytes);
  }
}

static void the_header_says_whom_a_message_is_for(void **state) {
  static const struct reading READINGS[] = {
      {"<|channel|>final<|message|>a<|return|>", "answer final: a", REPLY_RETURNED},
      {"<|message|>a<|end|>", "answer: a", REPLY_ENDED},
      {" to=f<|message|>a<|call|>", "call to=f: a", REPLY_CALLED},
      {"<|channel|>analysis to=python<|message|>1<|call|>", "call analysis to=python: 1",
       REPLY_CALLED},
      {"<|channel|>final to=f<|message|>1<|call|>", "call final to=f: 1", REPLY_CALLED},
      {"<|channel|>analysis code<|message|>a<|end|>", "reasoning analysis type=code: a",
       REPLY_ENDED},
      {"<|channel|>commentary<|message|>a<|end|>", "preamble commentary: a", REPLY_ENDED},
      {"<|channel|>finale<|message|>a<|end|>", "reasoning finale malformed: a", REPLY_ENDED},
      {"<|channel|>final<|message|>a<|end|><|start|>user<|message|>b",
       "answer final: a\nother role=user cut malformed: b", REPLY_CUT},
      {"<|start|>assistant<|channel|>final<|message|>a<|return|>", "answer final: a",
       REPLY_RETURNED},
      {"<|channel|>final<|message|><|return|>", "answer final: ", REPLY_RETURNED},
  };
  check_readings(*state, READINGS, COUNT(READINGS));
}

static void what_is_not_in_the_format_is_given_back(void **state) {
  static const struct reading READINGS[] = {
      {"", "", REPLY_CUT},
      {"Hello there", "answer cut malformed: Hello there", REPLY_CUT},
      {"Hello there <|end|>", "answer malformed: Hello there ", REPLY_ENDED},
      {"Hello there<|return|>", "answer malformed: Hello there", REPLY_RETURNED},
      {"Well, <|channel|>final<|message|>a<|return|>",
       "answer malformed: Well, \nanswer final malformed: a", REPLY_RETURNED},
      {"<|channel|>final json, so<|message|>a<|return|>",
       "answer malformed:  so\nanswer final type=json, malformed: a", REPLY_RETURNED},
      {"<|channel|>final<|channel|>analysis<|message|>a<|return|>",
       "answer malformed: analysis\nanswer final malformed: a", REPLY_RETURNED},
      {" to=f to=g<|message|>a<|call|>", "answer malformed:  to=g\ncall to=f malformed: a",
       REPLY_CALLED},
      {" to= to=f<|message|>a<|call|>", "answer malformed:  to=\ncall to=f malformed: a",
       REPLY_CALLED},
      {"<|channel|><|message|>a<|return|>", "answer malformed: a", REPLY_RETURNED},
      {"<|channel|>final<|constrain|><|message|>a<|return|>", "answer final malformed: a",
       REPLY_RETURNED},
      {"<|start|><|channel|>final<|message|>a<|return|>", "answer final malformed: a",
       REPLY_RETURNED},
      {"<|start|>to=f<|message|>a<|call|>", "call to=f malformed: a", REPLY_CALLED},
      {"<|channel|>final<|return|>", "answer final malformed: ", REPLY_RETURNED},
      {"<|channel|>commentary to=f<|call|>", "call commentary to=f malformed: ", REPLY_CALLED},
      {"<|start|>user<|start|>assistant<|message|>a<|end|>",
       "other role=user malformed: \nanswer: a", REPLY_ENDED},
      {"<|start|>assistant<|end|><|end|><|return|>", "", REPLY_RETURNED},
      {"<|channel|>final<|message|>a<|start|>assistant<|channel|>final<|message|>b<|end|>",
       "answer final malformed: a\nanswer final: b", REPLY_ENDED},
      {"<|channel|>analysis<|message|>a<|channel|>final<|message|>b<|return|>",
       "reasoning analysis malformed: a\nanswer final malformed: b", REPLY_RETURNED},
      {"<|channel|>analysis<|message|>a<|end|><|channel|>final<|message|>b<|return|>",
       "reasoning analysis: a\nanswer final malformed: b", REPLY_RETURNED},
      {"<|message|>a<|message|>b<|constrain|>c<|end|>",
       "answer malformed: a<|message|>b<|constrain|>c", REPLY_ENDED},
      {"<|message|>a<|end|>b", "answer: a\nanswer cut malformed: b", REPLY_CUT},
      {"<|message|>a<|endoftext|>", "answer: a", REPLY_STOPPED},
      {"<|message|>a<|startoftext|>b<|end|>", "answer: a<|startoftext|>b", REPLY_ENDED},
  };
  check_readings(*state, READINGS, COUNT(READINGS));
}

static void a_header_that_is_cut_off_is_kept(void **state) {
  static const struct {
    const char *reply, *header;
  } CUTS[] = {
      {"<|channel|>final", "<|channel|>final"},
      {" to=functions.f", " to=functions.f"},
      {" to", " to"},
      {"<|message|>a<|end|><|start|>assistant<|channel|>comm", "<|start|>assistant<|channel|>comm"},
      {"<|message|>a<|end|><|start|>", "<|start|>"},
      {"<|message|>a", ""},
      {"Hello", ""}, // given back as a message
      {"<|message|>a<|end|>", ""},
  };
  for (size_t i = 0; i < COUNT(CUTS); i++) {
    struct reply reply = read_spelled(*state, CUTS[i].reply, false);
    const char *text = reply.header_text.n > 0 ? reply.header_text.bytes : "";
    assert_string_equal(text, CUTS[i].header);
    assert_true(reply_is_well_formed(&reply) || strcmp(CUTS[i].reply, "Hello") == 0);
    reply_free(&reply);
  }
}

static void a_stop_id_of_the_model_completes_a_message(void **state) {
  struct reply reply = read_spelled(*state, "<|channel|>final<|message|>a", true);
  assert_reply(&reply, "answer final: a", REPLY_STOPPED);
  reply_free(&reply);
  reply = read_spelled(*state, "Hello", true);
  assert_reply(&reply, "answer malformed: Hello", REPLY_STOPPED);
  reply_free(&reply);
  reply = read_spelled(*state, "<|channel|>final<|message|>a<|return|>", true);
  assert_reply(&reply, "answer final: a", REPLY_RETURNED);
  reply_free(&reply);
}

static void some_messages_do_not_count(void **state) {
  static const struct {
    const char *reply;
    enum reply_kind kind;
    bool has;
  } HAS[] = {
      {"<|channel|>final<|message|>a", REPLY_ANSWER, true},
      {"<|channel|>final<|message|>", REPLY_ANSWER, true},
      {"<|channel|>final<|message|>a", REPLY_REASONING, false},
      {"<|channel|>final<|return|>", REPLY_ANSWER, false},
      {"<|channel|>final", REPLY_ANSWER, false},
      {"a", REPLY_ANSWER, true},
      {" to=f<|message|>a<|call|>", REPLY_CALL, true},
      {" to=f<|call|>", REPLY_CALL, true},
      {" to=f<|message|>a", REPLY_CALL, false},
      {"<|start|>user<|message|>a<|end|>", REPLY_OTHER, false},
  };
  for (size_t i = 0; i < COUNT(HAS); i++) {
    struct reply reply = read_spelled(*state, HAS[i].reply, false);
    assert_int_equal(reply_has(&reply, HAS[i].kind), HAS[i].has);
    reply_free(&reply);
  }
}

// Adds the tokens of single bytes, which every vocabulary has.
static void add_bytes(const struct harmony *harmony, struct id_list *ids, const char *bytes) {
  for (; *bytes; bytes++) {
    int32_t id = 0;
    for (size_t n = 0;; id++) {
      const char *token = tokenizer_bytes(harmony->tokenizer, id, &n);
      if (token && n == 1 && *token == *bytes)
        break;
    }
    assert_true(id_list_add(ids, id));
  }
}

static void bytes_become_utf8(void **state) {
  static const struct {
    const char *bytes, *text;
  } CASES_OF_BYTES[] = {
      {"\xf0\x9f\x8d\xa3!", "\xf0\x9f\x8d\xa3!"},
      {"\xf0\x9f\x8d", "\xef\xbf\xbd"},
      {"\xf0\x9f\x8d!", "\xef\xbf\xbd!"},
      {"\xf0\x9f\xf0\x9f\x8d\xa3", "\xef\xbf\xbd\xf0\x9f\x8d\xa3"},
      {"\xe3\x81\xe3\x81\x82", "\xef\xbf\xbd\xe3\x81\x82"},
      {"a\xff\xfe", "a\xef\xbf\xbd\xef\xbf\xbd"},
      {"\xc0\x80", "\xef\xbf\xbd\xef\xbf\xbd"},
      {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
      {"\x80z", "\xef\xbf\xbdz"},
  };
  const struct harmony *harmony = *state;
  static const char *const ENDS[] = {"", "<|end|>", "<|start|>", "<|channel|>"};
  for (size_t i = 0; i < COUNT(CASES_OF_BYTES) * COUNT(ENDS); i++) {
    struct id_list ids = spell(harmony, "<|message|>"), end = spell(harmony, ENDS[i % COUNT(ENDS)]);
    add_bytes(harmony, &ids, CASES_OF_BYTES[i / COUNT(ENDS)].bytes);
    const size_t n = ids.n - 1;
    if (end.n > 0)
      assert_true(id_list_add(&ids, end.id[0]));
    struct reply reply = read_reply(harmony, ids.id, ids.n, false);
    assert_int_equal(reply.n, 1);
    assert_string_equal(reply.message[0].text.bytes, CASES_OF_BYTES[i / COUNT(ENDS)].text);
    assert_int_equal(reply.message[0].ids.n, n);
    assert_memory_equal(reply.message[0].ids.id, ids.id + 1, n * sizeof *ids.id);
    reply_free(&reply);
    free(ids.id);
    free(end.id);
  }
}

static void malformed_bytes_in_a_header_become_utf8(void **state) {
  const struct harmony *harmony = *state;
  struct id_list ids = spell(harmony, "<|channel|>"), rest = spell(harmony, "<|message|>a");
  add_bytes(harmony, &ids, "\xf0\x9f x\xc3");
  for (size_t i = 0; i < rest.n; i++)
    assert_true(id_list_add(&ids, rest.id[i]));
  struct reply reply = read_reply(harmony, ids.id, ids.n, false);
  assert_reply(&reply, "reasoning \xef\xbf\xbd type=x\xef\xbf\xbd cut malformed: a", REPLY_CUT);
  reply_free(&reply);
  free(ids.id);
  free(rest.id);
}

static void a_character_is_held_until_it_is_whole(void **state) {
  const struct harmony *harmony = *state;
  struct id_list ids = spell(harmony, "<|message|>");
  add_bytes(harmony, &ids, "\xe3\x81\x82");
  struct reply reply = {0};
  struct reply_piece piece;
  struct error err;
  reply_begin(&reply, harmony);
  for (size_t i = 0; i < ids.n; i++) {
    assert_true(reply_read(&reply, ids.id[i], &piece, &err));
    assert_int_equal(piece.n, i == 3 ? 3 : 0);
  }
  assert_memory_equal(piece.bytes, "\xe3\x81\x82", 3);
  reply_free(&reply);
  free(ids.id);
}

static void ids_outside_the_vocabulary_are_malformed(void **state) {
  const struct harmony *harmony = *state;
  const int32_t ids[] = {-1, harmony->channel, INT32_MIN, harmony->message, INT32_MAX, 1 << 30};
  struct reply reply = read_reply(harmony, ids, COUNT(ids), false);
  assert_reply(&reply,
               "answer malformed: \xef\xbf\xbd\n"
               "reasoning \xef\xbf\xbd cut malformed: \xef\xbf\xbd\xef\xbf\xbd",
               REPLY_CUT);
  reply_free(&reply);
}

// A header of a megabyte is read in the time of as much text.
static void a_header_may_be_long(void **state) {
  const struct harmony *harmony = *state;
  struct id_list ids = spell(harmony, "<|channel|>"), word = spell(harmony, "xyz"),
                 space = spell(harmony, " ");
  for (int i = 0; i < 300000; i++)
    assert_true(id_list_add(&ids, i % 1000 == 999 ? space.id[0] : word.id[i % (int)word.n]));
  struct reply reply = read_reply(harmony, ids.id, ids.n, false);
  assert_int_equal(reply.n, 1);
  assert_false(reply.message[0].well_formed);
  assert_true(reply.header_text.n >= ids.n);
  reply_free(&reply);
  free(ids.id);
  free(word.id);
  free(space.id);
}

// ---- any ids ----

static size_t count_in(const char *text) {
  size_t n = 0;
  for (; text && *text; text++)
    n += *text == 'q';
  return n;
}

static size_t count_in_messages(const struct reply *reply) {
  size_t n = 0;
  for (size_t i = 0; i < reply->n; i++) {
    const struct reply_message *message = &reply->message[i];
    n += count_in(message->role) + count_in(message->channel) + count_in(message->recipient) +
         count_in(message->content_type) + count_in(message->text.bytes);
  }
  return n;
}

// No q of a random reply is lost, and none is given back twice.
static void nothing_is_lost(void **state) {
  static const char *const PIECES[] = {
      "q",          " q",      "q q",         " to=",        "to",
      "assistant",  "final",   "analysis",    " ",           "\n",
      "<|start|>",  "<|end|>", "<|message|>", "<|channel|>", "<|constrain|>",
      "<|return|>", "<|call|>"};
  const struct harmony *harmony = *state;
  uint64_t seed = 1;
  for (int i = 0; i < 20000; i++) {
    struct buffer text = {0};
    for (unsigned k = random_below(&seed, 12); k > 0; k--)
      assert_true(buffer_add_text(&text, PIECES[random_below(&seed, COUNT(PIECES))]));
    const char *spelled = text.n > 0 ? text.bytes : "";
    struct reply reply = read_spelled(harmony, spelled, random_below(&seed, 2) == 0);
    const size_t want = count_in(spelled), got = count_in_messages(&reply);
    const size_t cut = reply.header_text.n > 0 ? count_in(reply.header_text.bytes) : 0;
    if (got > want || got + cut < want)
      fail_msg("\"%s\": %zu of %zu, %zu in a header", spelled, got, want, cut);
    reply_free(&reply);
    free(text.bytes);
  }
}

static void random_ids_are_read(void **state) {
  const struct harmony *harmony = *state;
  const int32_t special[] = {harmony->start,     harmony->end, harmony->message, harmony->channel,
                             harmony->constrain, harmony->ret, harmony->call};
  const unsigned vocab = (unsigned)tokenizer_size(harmony->tokenizer);
  uint64_t seed = 2;
  int32_t ids[64];
  for (int i = 0; i < 20000; i++) {
    const size_t n = random_below(&seed, COUNT(ids));
    for (size_t k = 0; k < n; k++)
      ids[k] = random_below(&seed, 3) == 0 ? special[random_below(&seed, COUNT(special))]
                                           : (int32_t)random_below(&seed, vocab + 2);
    struct reply reply = read_reply(harmony, ids, n, false);
    reply_free(&reply);
  }
}

int main(void) {
  const struct CMUnitTest o200k[] = {
      cmocka_unit_test(the_cases_are_read),
      cmocka_unit_test(the_cases_may_be_cut_off_anywhere),
      cmocka_unit_test(a_header_is_read_in_any_order),
      cmocka_unit_test(the_header_says_whom_a_message_is_for),
      cmocka_unit_test(what_is_not_in_the_format_is_given_back),
      cmocka_unit_test(a_header_that_is_cut_off_is_kept),
      cmocka_unit_test(a_stop_id_of_the_model_completes_a_message),
      cmocka_unit_test(some_messages_do_not_count),
      cmocka_unit_test(bytes_become_utf8),
      cmocka_unit_test(malformed_bytes_in_a_header_become_utf8),
      cmocka_unit_test(a_character_is_held_until_it_is_whole),
      cmocka_unit_test(ids_outside_the_vocabulary_are_malformed),
      cmocka_unit_test(a_header_may_be_long),
  };
  const struct CMUnitTest abacus[] = {
      cmocka_unit_test(nothing_is_lost),
      cmocka_unit_test(random_ids_are_read),
  };
  return cmocka_run_group_tests_name("replies", o200k, open_o200k, close_harmony) +
         cmocka_run_group_tests_name("replies of any ids", abacus, open_abacus, close_harmony);
}
