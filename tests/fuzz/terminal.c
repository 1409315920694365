// Text of others on a terminal: no control character but newline and tab comes out.
#include "fuzz.h"

#include "terminal.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
  char *shown = NULL;
  size_t n = 0;
  FILE *file = open_memstream(&shown, &n);
  must(file != NULL, "memory");
  struct terminal terminal = {.file = file, .is_terminal = true};
  const size_t cut = bytes > 0 ? data[0] % bytes : 0;
  terminal_write(&terminal, (const char *)data, cut);
  terminal_write(&terminal, (const char *)data + cut, bytes - cut);
  terminal_end(&terminal);
  fclose(file);
  for (size_t i = 0; i < n; i++)
    must((unsigned char)shown[i] >= ' ' || shown[i] == '\n' || shown[i] == '\t',
         "no control character");
  free(shown);
  return 0;
}
