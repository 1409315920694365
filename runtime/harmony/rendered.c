#include "harmony/rendered.h"

#include <string.h>

// The role ends with the ids, with the recipient after a space, or with a special token.
static bool begins_with_assistant(const struct tokenizer *tokenizer, const int32_t *ids, size_t n) {
  static const char role[] = "assistant";
  size_t matched = 0;
  for (size_t i = 0; i < n; i++) {
    size_t bytes = 0;
    const char *token = tokenizer_bytes(tokenizer, ids[i], &bytes);
    for (size_t j = 0; j < bytes; j++) {
      if (matched == sizeof role - 1)
        return token[j] == ' ' || token[j] == '<';
      if (token[j] != role[matched++])
        return false;
    }
  }
  return matched == sizeof role - 1;
}

bool is_rendered(const struct tokenizer *tokenizer, const int32_t *ids, size_t n) {
  const int32_t start = tokenizer_special(tokenizer, "<|start|>");
  const int32_t end = tokenizer_special(tokenizer, "<|end|>");
  const int32_t call = tokenizer_special(tokenizer, "<|call|>");
  const int32_t ret = tokenizer_special(tokenizer, "<|return|>");
  if (n == 0 || ids[0] != start)
    return false;
  for (size_t i = n; i-- > 0;) {
    if (ids[i] == start)
      return begins_with_assistant(tokenizer, ids + i + 1, n - i - 1);
    if (ids[i] == end || ids[i] == call || ids[i] == ret)
      return false;
  }
  return false;
}
