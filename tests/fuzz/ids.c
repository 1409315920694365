// A file of ids: below the vocabulary, and as many lines as LFs.
#include "fuzz.h"

#include "base/lines.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
  enum { VOCAB = 201088 };
  struct id_lines lines;
  struct error err;
  if (!id_lines_read(&lines, fuzz_file("ids", data, bytes, 0), VOCAB, &err))
    return 0;
  for (size_t i = 0; i < lines.n; i++)
    must(lines.start[i] <= lines.start[i + 1], "lines in order");
  for (size_t i = 0; lines.n > 0 && i < lines.start[lines.n]; i++)
    must(lines.ids[i] >= 0 && lines.ids[i] < VOCAB, "ids of the vocabulary");
  id_lines_free(&lines);
  return 0;
}
