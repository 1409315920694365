// The number types of a checkpoint.
#include "checkpoint/dtype.h"

#include "support.h"

#include <math.h>
#include <string.h>

static void numbers_are_widened_exactly(void **state) {
  (void)state;
  static const struct {
    uint16_t half;
    float value;
  } halves[] = {
      {0x0000, 0},        {0x3c00, 1},         {0xc000, -2},
      {0x0001, 0x1p-24f}, {0x8001, -0x1p-24f}, {0x03ff, 0x1.ff8p-15f},
      {0x0400, 0x1p-14f}, {0x7bff, 65504},     {0x3555, 0.333251953125f},
      {0x7c00, INFINITY}, {0xfc00, -INFINITY},
  };
  float value;
  for (size_t i = 0; i < COUNT(halves); i++) {
    dtype_widen(&value, (const uint8_t *)&halves[i].half, DTYPE_F16, 1);
    assert_true(value == halves[i].value);
  }
  dtype_widen(&value, (const uint8_t[]){0x00, 0x80}, DTYPE_F16, 1);
  assert_true(value == 0 && signbit(value));
  dtype_widen(&value, (const uint8_t[]){0x01, 0x7e}, DTYPE_F16, 1);
  assert_true(isnan(value));

  float values[6];
  const uint8_t bytes[] = {0x80, 0x3f, 0x00, 0xc0, 0x00, 0x00, 0x80, 0x7f, 0x01, 0x00, 0x49, 0x40};
  dtype_widen(values, bytes, DTYPE_BF16, 6);
  const float want[] = {1, -2, 0, INFINITY, 0x1p-133f, 3.140625f};
  assert_memory_equal(values, want, sizeof want);
}

static void types_have_names_and_sizes(void **state) {
  (void)state;
  assert_string_equal(dtype_name(DTYPE_BF16), "BF16");
  assert_string_equal(dtype_name(DTYPE_U8), "U8");
  assert_int_equal(dtype_bytes(DTYPE_U8), 1);
  assert_int_equal(dtype_bytes(DTYPE_F16), 2);
  assert_int_equal(dtype_bytes(DTYPE_BF16), 2);
  assert_int_equal(dtype_bytes(DTYPE_F32), 4);
}

static void names_are_parsed(void **state) {
  static const char *const OTHER[] = {"", "F", "F64", "I8", "bf16", "BF16 ", "F8_E4M3"};
  (void)state;
  for (enum dtype want = DTYPE_U8; want < DTYPE_OTHER; want++) {
    assert_int_equal(dtype_parse(dtype_name(want)), want);
    assert_int_equal(dtype_bits(dtype_name(want)), 8 * dtype_bytes(want));
  }
  for (size_t i = 0; i < COUNT(OTHER); i++)
    assert_int_equal(dtype_parse(OTHER[i]), DTYPE_OTHER);
}

static void other_types_have_sizes(void **state) {
  (void)state;
  assert_int_equal(dtype_bits("F4"), 4);
  assert_int_equal(dtype_bits("F6_E3M2"), 6);
  assert_int_equal(dtype_bits("BOOL"), 8);
  assert_int_equal(dtype_bits("F8_E8M0"), 8);
  assert_int_equal(dtype_bits("I16"), 16);
  assert_int_equal(dtype_bits("U32"), 32);
  assert_int_equal(dtype_bits("C64"), 64);
  assert_int_equal(dtype_bits("F5"), 0);
  assert_int_equal(dtype_bits(""), 0);
}

// An F32 may lie at any address, and every bit of it stays.
static void floats_are_copied_from_any_address(void **state) {
  const float want[] = {1.5f, -0x1p-149f, INFINITY};
  uint8_t bytes[sizeof want + 1];
  float got[COUNT(want)];
  (void)state;
  memcpy(bytes + 1, want, sizeof want);
  dtype_widen(got, bytes + 1, DTYPE_F32, COUNT(want));
  assert_memory_equal(got, want, sizeof want);
}

static void bytes_are_whole_numbers(void **state) {
  const uint8_t bytes[] = {0, 1, 127, 128, 255};
  float got[COUNT(bytes)];
  (void)state;
  dtype_widen(got, bytes, DTYPE_U8, COUNT(bytes));
  for (size_t i = 0; i < COUNT(bytes); i++)
    assert_true(got[i] == (float)bytes[i]);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(numbers_are_widened_exactly),
      cmocka_unit_test(types_have_names_and_sizes),
      cmocka_unit_test(names_are_parsed),
      cmocka_unit_test(other_types_have_sizes),
      cmocka_unit_test(floats_are_copied_from_any_address),
      cmocka_unit_test(bytes_are_whole_numbers),
  };
  return cmocka_run_group_tests_name("dtype", tests, NULL, NULL);
}
