// A JSON list of functions.
#include "fuzz.h"

#include "base/utf8.h"
#include "harmony/tools.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
  struct tools tools;
  struct error err;
  if (tools_read(&tools, fuzz_file("tools.json", data, bytes, 0), &err) && tools.n > 0)
    must(utf8_check(tools.text, tools.bytes) == tools.bytes, "a text that is UTF-8");
  tools_free(&tools);
  return 0;
}
