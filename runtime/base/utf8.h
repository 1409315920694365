// Checks UTF-8 as RFC 3629 defines it: no overlong forms, no surrogates, nothing above U+10FFFF.
#ifndef GETP_BASE_UTF8_H
#define GETP_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

// The offset of the first byte that is not part of well-formed UTF-8, or `bytes` if all are.
size_t utf8_check(const char *text, size_t bytes);

// Whether the bytes are the beginning of a well-formed character, but not all of it.
bool utf8_begins(const char *text, size_t bytes);

#endif
