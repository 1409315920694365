// A split pattern, a newline, and the text that it splits: its pieces are the text.
#include "fuzz.h"

#include "base/utf8.h"
#include "tokenizer/split.h"

#include <stdlib.h>
#include <string.h>

struct pieces {
  const char *next; // where the next piece must begin
};

static bool visit(void *context, const char *piece, size_t bytes, struct error *err) {
  struct pieces *pieces = context;
  (void)err;
  must(bytes > 0 && piece == pieces->next, "a piece that begins where the last one ends");
  pieces->next = piece + bytes;
  return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
  const uint8_t *end = memchr(data, '\n', bytes);
  struct split split = {0};
  struct error err;
  if (!end || utf8_check((const char *)data, bytes) != bytes)
    return 0;
  char *pattern = strndup((const char *)data, (size_t)(end - data));
  must(pattern != NULL, "memory");
  if (split_compile(&split, pattern, &err)) {
    const char *text = (const char *)end + 1;
    const size_t n = bytes - (size_t)(end + 1 - data);
    struct pieces pieces = {text};
    if (split_text(&split, text, n, visit, &pieces, &err))
      must(pieces.next == text + n, "pieces that reach the end");
  }
  split_free(&split);
  free(pattern);
  return 0;
}
