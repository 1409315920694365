// Each word is multiplied by an odd number, its bytes are reversed, and it is multiplied by an odd
// number made of its position. Each of these steps can be undone, so no two words are alike in it.
// Reversing lets every bit reach the bits above and below it.
#include "weights/checksum.h"

#include "base/parallel.h"

#include <endian.h>
#include <string.h>

enum {
  WORD = 8,        // bytes
  SLICE = 1 << 18, // bytes that one thread takes at a time
};

static const uint64_t SPREAD = 0x9e3779b97f4a7c15; // the golden ratio, odd: multiples differ widely
static const uint64_t FACTOR = 0xd6e8feb86659fd93;

// The part of a word, where `place` is its number in the file times SPREAD.
static uint64_t part_of(uint64_t word, uint64_t place) {
  return __builtin_bswap64(le64toh(word) * FACTOR) * ((place ^ place >> 32) | 1);
}

uint64_t checksum(const void *bytes, size_t n, size_t offset) {
  const uint8_t *from = bytes;
  uint64_t sum = 0, word, place = offset / WORD * SPREAD;
  for (; n >= WORD; n -= WORD, from += WORD, place += SPREAD) {
    memcpy(&word, from, WORD);
    sum += part_of(word, place);
  }
  word = 0;
  if (n > 0)
    memcpy(&word, from, n);
  return sum + part_of(word, place);
}

uint64_t checksum_parallel(const void *bytes, size_t n, size_t offset) {
  const uint8_t *from = bytes;
  uint64_t sum = 0;
  PARALLEL_FOR(n)
  for (size_t i = 0; i < n; i += SLICE) {
    const uint64_t part = checksum(from + i, n - i < SLICE ? n - i : SLICE, offset + i);
    PARALLEL_ADD
    sum += part;
  }
  return sum;
}
