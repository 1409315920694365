// A growing text.
#ifndef GETP_HARMONY_BUFFER_H
#define GETP_HARMONY_BUFFER_H

#include <stdbool.h>
#include <stddef.h>

// A zeroed buffer is empty; `bytes` is then NULL, otherwise a NUL follows the text. Free with
// free(buffer.bytes).
struct buffer {
  char *bytes;
  size_t n, capacity;
};

// Append to a buffer. Return false when memory runs out; the buffer is then unchanged.
bool buffer_add(struct buffer *buffer, const char *bytes, size_t n);
bool buffer_add_text(struct buffer *buffer, const char *text);

#endif
