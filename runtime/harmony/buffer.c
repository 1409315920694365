#include "harmony/buffer.h"

#include <stdlib.h>
#include <string.h>

bool buffer_add(struct buffer *buffer, const char *bytes, size_t n) {
  if (n >= buffer->capacity - buffer->n) { // a NUL follows the text
    const size_t capacity = 2 * (buffer->n + n) + 16;
    char *grown = realloc(buffer->bytes, capacity);
    if (!grown)
      return false;
    buffer->bytes = grown;
    buffer->capacity = capacity;
  }
  if (n > 0)
    memcpy(buffer->bytes + buffer->n, bytes, n);
  buffer->n += n;
  buffer->bytes[buffer->n] = 0;
  return true;
}

bool buffer_add_text(struct buffer *buffer, const char *text) {
  return buffer_add(buffer, text, strlen(text));
}
