#include "base/utf8.h"

#include <stdbool.h>

static bool between(unsigned char c, unsigned char low, unsigned char high) {
  return low <= c && c <= high;
}

// After a lead byte that could begin an overlong form, a surrogate or a value above U+10FFFF, the
// range of the second byte is narrower (RFC 3629, section 4).
static bool second_byte_fits(unsigned char lead, unsigned char second) {
  switch (lead) {
  case 0xe0:
    return between(second, 0xa0, 0xbf);
  case 0xed:
    return between(second, 0x80, 0x9f);
  case 0xf0:
    return between(second, 0x90, 0xbf);
  case 0xf4:
    return between(second, 0x80, 0x8f);
  default:
    return between(second, 0x80, 0xbf);
  }
}

// The bytes of a character with this lead byte; 0 if no character begins with it.
static size_t character_bytes(unsigned char lead) {
  if (lead < 0x80)
    return 1;
  if (between(lead, 0xc2, 0xdf))
    return 2;
  if (between(lead, 0xe0, 0xef))
    return 3;
  return between(lead, 0xf0, 0xf4) ? 4 : 0;
}

// True if the first n bytes of a character with this lead byte are what it may consist of.
static bool bytes_fit(const unsigned char *s, size_t n) {
  if (n > 1 && !second_byte_fits(s[0], s[1]))
    return false;
  for (size_t i = 2; i < n; i++)
    if (!between(s[i], 0x80, 0xbf))
      return false;
  return true;
}

size_t utf8_length(const char *text, size_t bytes) {
  const unsigned char *s = (const unsigned char *)text;
  const size_t n = character_bytes(s[0]);
  return bytes <= n && bytes_fit(s, bytes) ? n : 0;
}

size_t utf8_check(const char *text, size_t bytes) {
  const unsigned char *s = (const unsigned char *)text;
  size_t at = 0;
  while (at < bytes) {
    size_t n = character_bytes(s[at]);
    if (n == 0 || n > bytes - at || !bytes_fit(s + at, n))
      break;
    at += n;
  }
  return at;
}
