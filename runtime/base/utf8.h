// UTF-8 as RFC 3629 defines it.
#ifndef GETP_BASE_UTF8_H
#define GETP_BASE_UTF8_H

#include <stddef.h>

// The offset of the first byte that is not part of well-formed UTF-8 (RFC 3629), or bytes.
size_t utf8_check(const char *text, size_t bytes);

#endif
