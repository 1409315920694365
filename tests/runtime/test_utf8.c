// utf8_check on well-formed texts and on every way to be malformed.
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

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(utf8_ends_at_the_first_bad_byte),
  };
  return cmocka_run_group_tests_name("utf8", tests, NULL, NULL);
}
