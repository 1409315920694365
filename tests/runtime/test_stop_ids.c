// The ids that end a sequence, from generation_config.json or config.json.
#include "checkpoint/stop_ids.h"

#include "support.h"

#define CONFIG "config.json"
#define GENERATION "generation_config.json"

static void assert_stop_ids(const char *folder, int n, const int32_t *ids) {
  struct stop_ids stop;
  struct error err;
  if (!stop_ids_read(&stop, folder, 1536, &err))
    fail_msg("%s", err.text);
  assert_int_equal(stop.n, n);
  assert_memory_equal(stop.id, ids, (size_t)n * sizeof *ids);
}

static void ids_are_read_from_either_file(void **state) {
  assert_stop_ids(MODELS "abacus", 3, (int32_t[]){1016, 1015, 1022});
  assert_stop_ids(MODELS "abacus_chat", 3, (int32_t[]){1528, 1527, 1534});
  assert_stop_ids(MODELS "rand_tied", 1, (int32_t[]){297});
  write_quoted(*state, CONFIG, "{'eos_token_id': [5, 6.0]}");
  assert_stop_ids(*state, 2, (int32_t[]){5, 6});
  write_quoted(*state, GENERATION, "{'eos_token_id': 7}");
  assert_stop_ids(*state, 1, (int32_t[]){7});
  write_quoted(*state, GENERATION, "{'eos_token_id': 0}");
  assert_stop_ids(*state, 1, (int32_t[]){0});
  write_quoted(*state, GENERATION, "{'bos_token_id': 7}");
  assert_stop_ids(*state, 2, (int32_t[]){5, 6});
}

static const struct {
  const char *name, *text, *want;
} BAD_STOP_IDS[] = {
    {CONFIG, "{}", "eos_token_id: want an id in generation_config.json or in config.json, found"},
    {CONFIG, "{'eos_token_id': null}", "eos_token_id: want an id in generation_config.json"},
    {CONFIG, "{'eos_token_id': []}", "eos_token_id: want an id in generation_config.json"},
    {CONFIG, "{'eos_token_id': 1024}",
     "eos_token_id: want token ids below 1024, at most 16, found"},
    {CONFIG, "{'eos_token_id': -1}", "config.json: eos_token_id: want token ids below 1024"},
    {CONFIG, "{'eos_token_id': '7'}", "eos_token_id: want token ids below 1024"},
    {CONFIG, "{'eos_token_id': [[7]]}", "eos_token_id: want token ids below 1024"},
    {CONFIG, "{'eos_token_id': [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]}", "at most 16"},
    {GENERATION, "{'eos_token_id': 1024}", "generation_config.json: eos_token_id: want token ids"},
    {GENERATION, "{", "generation_config.json:1: want JSON"},
};

static void bad_ids_are_refused(void **state) {
  for (size_t i = 0; i < COUNT(BAD_STOP_IDS); i++) {
    struct stop_ids stop;
    struct error err;
    write_quoted(*state, BAD_STOP_IDS[i].name, BAD_STOP_IDS[i].text);
    assert_false(stop_ids_read(&stop, *state, 1024, &err));
    assert_contains(err.text, BAD_STOP_IDS[i].want);
  }
}

static void a_folder_without_ids_has_none(void **state) {
  struct stop_ids stop;
  struct error err;
  assert_true(stop_ids_find(&stop, *state, 1024, &err));
  assert_int_equal(stop.n, 0);
  write_quoted(*state, CONFIG, "{'eos_token_id': 5}");
  assert_true(stop_ids_find(&stop, *state, 1024, &err));
  assert_int_equal(stop.n, 1);
  write_quoted(*state, GENERATION, "{'eos_token_id': 1024}");
  assert_false(stop_ids_find(&stop, *state, 1024, &err));
}

static void assumed_ids_are_below_the_vocabulary(void **state) {
  static const int32_t IDS[] = {200002, 199999, 200012};
  struct stop_ids stop;
  (void)state;
  stop_ids_assume(&stop, 201088);
  assert_int_equal(stop.n, 3);
  assert_memory_equal(stop.id, IDS, sizeof IDS);
  stop_ids_assume(&stop, 200012);
  assert_int_equal(stop.n, 2);
  stop_ids_assume(&stop, 199999);
  assert_int_equal(stop.n, 0);
}

static void every_id_of_the_list_stops(void **state) {
  const struct stop_ids stop = {3, {7, 0, 1023}}, none = {0};
  (void)state;
  assert_true(is_stop_id(&stop, 7) && is_stop_id(&stop, 0) && is_stop_id(&stop, 1023));
  assert_false(is_stop_id(&stop, 1) || is_stop_id(&stop, -1));
  assert_false(is_stop_id(&none, 0));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      IN_FOLDER(ids_are_read_from_either_file),
      IN_FOLDER(bad_ids_are_refused),
      IN_FOLDER(a_folder_without_ids_has_none),
      cmocka_unit_test(assumed_ids_are_below_the_vocabulary),
      cmocka_unit_test(every_id_of_the_list_stops),
  };
  return cmocka_run_group_tests_name("stop_ids", tests, NULL, NULL);
}
