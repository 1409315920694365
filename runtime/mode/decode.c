// decode: prints the text of ids.
#include "base/lines.h"
#include "mode/mode.h"
#include "terminal.h"

#include <stdio.h>

static void print_lines(const struct tokenizer *tokenizer, const struct id_lines *lines) {
  struct terminal screen = terminal_open(stdout);
  for (size_t line = 0; line < lines->n; line++) {
    for (size_t i = lines->start[line]; i < lines->start[line + 1]; i++) {
      size_t n;
      const char *bytes = tokenizer_bytes(tokenizer, lines->ids[i], &n);
      if (bytes)
        terminal_write(&screen, bytes, n);
    }
    terminal_end(&screen);
    putchar('\n');
  }
}

static bool open_tokenizer(struct tokenizer **tokenizer, const char *path, struct error *err) {
  struct tokenizer_text found;
  const bool ok = tokenizer_text_read(&found, path, err) &&
                  tokenizer_open_text(tokenizer, found.where, found.text.bytes, found.text.n, err);
  tokenizer_text_free(&found);
  return ok;
}

int mode_decode(const struct options *options, struct error *err) {
  struct tokenizer *tokenizer;
  struct id_lines lines;
  if (!open_tokenizer(&tokenizer, options->tokenizer ? options->tokenizer : options->checkpoint,
                      err))
    return -1;
  if (!id_lines_read(&lines, options->input, tokenizer_size(tokenizer), err)) {
    tokenizer_close(tokenizer);
    return -1;
  }
  print_lines(tokenizer, &lines);
  id_lines_free(&lines);
  tokenizer_close(tokenizer);
  return 0;
}
