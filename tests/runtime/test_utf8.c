// Well-formed UTF-8, and every way to be malformed.
#include "base/utf8.h"

#include "support.h"

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
      {"a\x80", 2, 1},             // a continuation without a lead
      {"\xc0\x80", 2, 0},          // overlong U+0000
      {"\xc1\xbf", 2, 0},          // overlong U+007F
      {"\xe0\x9f\xbf", 3, 0},      // overlong U+07FF
      {"\xf0\x8f\xbf\xbf", 4, 0},  // overlong U+FFFF
      {"\xed\xa0\x80", 3, 0},      // surrogate U+D800
      {"\xed\xbf\xbf", 3, 0},      // surrogate U+DFFF
      {"\xf4\x90\x80\x80", 4, 0},  // U+110000
      {"\xf5\x80\x80\x80", 4, 0},  // no such lead
      {"ab\xff", 3, 2},            //
      {"ab\xe3\x81", 4, 2},        // is cut off
      {"ab\xf0\x9f\x8d", 5, 2},    // is cut off
      {"\xe3\x81\x82\xc3(", 5, 3}, // a lead without a continuation
      {"\xf0\x9f(\xa3", 4, 0},     //
      {"\xf0\x9f\x8d(", 4, 0},     //
  };
  for (size_t i = 0; i < COUNT(cases); i++)
    assert_int_equal(utf8_check(cases[i].text, cases[i].bytes), cases[i].good);
}

static void the_beginning_of_a_character_says_its_length(void **state) {
  (void)state;
  static const struct {
    const char *text;
    size_t bytes, length;
  } cases[] = {
      {"\0", 1, 1},           {"a", 1, 1},
      {"\xc3", 1, 2},         {"\xc3\xa4", 2, 2},
      {"\xe3", 1, 3},         {"\xe3\x81", 2, 3},
      {"\xf0", 1, 4},         {"\xf0\x9f\x8d", 3, 4},
      {"\x80", 1, 0},         {"\xc1", 1, 0},
      {"\xc3\xc3", 2, 0},     {"ab", 2, 0},
      {"\xe0\x9f", 2, 0},     {"\xed\xa0", 2, 0},
      {"\xf4\x90", 2, 0},     {"\xf0\x9f(", 3, 0},
      {"\xff", 1, 0},         {"\xf0\x9f\x8d\xa3", 4, 4},
      {"\xc3\xa4\xa4", 3, 0},
  };
  for (size_t i = 0; i < COUNT(cases); i++)
    assert_int_equal(utf8_length(cases[i].text, cases[i].bytes), cases[i].length);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(utf8_ends_at_the_first_bad_byte),
      cmocka_unit_test(the_beginning_of_a_character_says_its_length),
  };
  return cmocka_run_group_tests_name("utf8", tests, NULL, NULL);
}
