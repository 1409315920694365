// decode: prints the text of ids.
#include "base/lines.h"
#include "mode/mode.h"

#include <stdio.h>

int mode_decode(const struct options *options, struct error *err) {
  struct tokenizer *tokenizer;
  struct id_lines lines;
  if (!tokenizer_open(&tokenizer, options->tokenizer, err))
    return -1;
  if (!id_lines_read(&lines, options->input, tokenizer_size(tokenizer), err)) {
    tokenizer_close(tokenizer);
    return -1;
  }
  for (size_t line = 0; line < lines.n; line++) {
    for (size_t i = lines.start[line]; i < lines.start[line + 1]; i++) {
      size_t n;
      const char *bytes = tokenizer_bytes(tokenizer, lines.ids[i], &n);
      if (bytes)
        fwrite(bytes, 1, n, stdout);
    }
    putchar('\n');
  }
  id_lines_free(&lines);
  tokenizer_close(tokenizer);
  return 0;
}
