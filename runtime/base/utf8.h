// Checks UTF-8 as RFC 3629 defines it: no overlong forms, no surrogates, nothing above U+10FFFF.
#ifndef GETP_BASE_UTF8_H
#define GETP_BASE_UTF8_H

#include <stddef.h>

// The offset of the first byte that is not part of well-formed UTF-8, or `bytes` if all are.
size_t utf8_check(const char *text, size_t bytes);

// The length of the character that `bytes` bytes are or begin, or 0 if they begin none. `bytes` is
// from 1 to 4.
size_t utf8_length(const char *text, size_t bytes);

#endif
