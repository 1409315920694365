// Texts: their ids must be the text again, with and without special tokens.
#include "fuzz.h"

#include "harmony/rendered.h"

#include <stdlib.h>
#include <string.h>

static void check_ids(const struct id_list *list, const char *text, size_t bytes) {
  size_t done = 0, n;
  for (size_t i = 0; i < list->n; i++) {
    const char *token = tokenizer_bytes(fuzz_tokenizer(), list->id[i], &n);
    must(token && n <= bytes - done && memcmp(token, text + done, n) == 0, "the text's own bytes");
    done += n;
  }
  must(done == bytes, "ids of the whole text");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
  const char *text = (const char *)data;
  struct id_list list = {0};
  struct error err;
  int32_t first;
  if (tokenizer_encode(fuzz_tokenizer(), text, bytes, &list, &err))
    check_ids(&list, text, bytes);
  list.n = 0;
  if (tokenizer_encode_special(fuzz_tokenizer(), text, bytes, &list, &first, &err)) {
    check_ids(&list, text, bytes);
    must(!is_rendered(fuzz_tokenizer(), list.id, list.n) || first >= 0, "a special token");
  }
  free(list.id);
  return 0;
}
