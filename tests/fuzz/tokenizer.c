// A tokenizer.json, and a text that it encodes if it can be read.
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
  static const char TEXT[] =
      "aab  abc\r\n\nABCabc's 1234567 \xe6\x97\xa5\xe6\x9c\xac <|end|><|b c|>";
  struct tokenizer *tokenizer;
  struct id_list list = {0};
  struct error err;
  int32_t first;
  if (!tokenizer_open_text(&tokenizer, "input", (const char *)data, bytes, &err))
    return 0;
  size_t decoded = 0, n;
  if (tokenizer_encode_special(tokenizer, TEXT, sizeof TEXT - 1, &list, &first, &err)) {
    for (size_t i = 0; i < list.n; i++) {
      must(tokenizer_bytes(tokenizer, list.id[i], &n) != NULL, "ids that are tokens");
      decoded += n;
    }
    must(decoded == sizeof TEXT - 1, "ids of the whole text");
  }
  free(list.id);
  tokenizer_close(tokenizer);
  return 0;
}
