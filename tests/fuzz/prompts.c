// A file of prompts. Its reader is a static function of the mode, so that this file includes it.
#include "fuzz.h"

#include "mode/prompts.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
  const char *path = fuzz_file("prompts.txt", data, bytes, 0);
  struct job job = {0};
  struct error err;
  (void)read_prompts(&job, path, &err);
  free(job.file.bytes);
  return 0;
}
