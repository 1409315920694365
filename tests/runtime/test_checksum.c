// The checksum of a file: any pieces in any order give it, and any damage changes it.
#include "weights/checksum.h"

#include "support.h"

#include <stdlib.h>
#include <string.h>

enum { BYTES = 4096 };

static void fill(uint8_t *bytes, size_t n) {
  for (size_t i = 0; i < n; i++)
    bytes[i] = (uint8_t)(i * 7 + 3);
}

// The number is that of another program for the same bytes.
static void the_checksum_is_that_of_the_format(void **state) {
  uint8_t bytes[1000];
  (void)state;
  fill(bytes, sizeof bytes);
  assert_int_equal(checksum(bytes, sizeof bytes, 4096), UINT64_C(0x197243cfa305b60f));
}

static void pieces_add_up_in_any_order(void **state) {
  uint8_t bytes[BYTES];
  uint64_t seed = 5;
  (void)state;
  fill(bytes, BYTES);
  const uint64_t want = checksum(bytes, BYTES, 800);
  for (int round = 0; round < 100; round++) {
    uint64_t sum = 0;
    size_t end = BYTES;
    while (end > 0) {
      const size_t words = 1 + random_below(&seed, (unsigned)(end / 8));
      end -= 8 * words;
      sum += checksum(bytes + end, 8 * words, 800 + end);
    }
    assert_int_equal(sum, want);
  }
}

static void threads_change_nothing(void **state) {
  enum { MANY = 3000000 };
  uint8_t *bytes = malloc(MANY);
  (void)state;
  assert_non_null(bytes);
  fill(bytes, MANY);
  for (size_t n = MANY - 9; n < MANY; n++)
    assert_int_equal(checksum_parallel(bytes, n, 64), checksum(bytes, n, 64));
  free(bytes);
}

static void zeros_add_nothing(void **state) {
  static const uint8_t ZEROS[BYTES];
  const uint8_t few[16] = {9, 8, 7};
  (void)state;
  assert_int_equal(checksum(ZEROS, BYTES, 16), 0);
  assert_int_equal(checksum(NULL, 0, 16), 0);
  assert_int_equal(checksum(few, 3, 40), checksum(few, 16, 40)); // filled up by zeros
}

static void every_flipped_bit_changes_it(void **state) {
  uint8_t bytes[BYTES];
  (void)state;
  fill(bytes, BYTES);
  const uint64_t before = checksum(bytes, BYTES, 0);
  for (size_t bit = 0; bit < 8 * BYTES; bit++) {
    bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    assert_int_not_equal(checksum(bytes, BYTES, 0), before);
    bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
  }
}

// Pieces of a file that were swapped, moved, lost or written twice. The top bits of a word are
// where a sum of products is weakest.
static void moved_words_change_it(void **state) {
  uint64_t words[BYTES / 8];
  (void)state;
  for (size_t i = 0; i < COUNT(words); i++)
    words[i] = UINT64_C(1) << 63 | (i % 3) << 61;
  const uint64_t before = checksum(words, BYTES, 0);
  for (size_t i = 0; i < COUNT(words); i++)
    for (size_t step = 1; i + step < COUNT(words); step *= 2) {
      const uint64_t one = words[i], other = words[i + step];
      words[i] = other;
      words[i + step] = one;
      assert_true(one == other || checksum(words, BYTES, 0) != before);
      words[i] = 0;
      assert_int_not_equal(checksum(words, BYTES, 0), before);
      words[i] = one;
      words[i + step] = other;
    }
  for (size_t offset = 8; offset < 1 << 20; offset *= 2)
    assert_int_not_equal(checksum(words, BYTES, offset), before);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_checksum_is_that_of_the_format),
      cmocka_unit_test(pieces_add_up_in_any_order),
      cmocka_unit_test(threads_change_nothing),
      cmocka_unit_test(zeros_add_nothing),
      cmocka_unit_test(every_flipped_bit_changes_it),
      cmocka_unit_test(moved_words_change_it),
  };
  return cmocka_run_group_tests_name("checksum", tests, NULL, NULL);
}
