// The index of a checkpoint with three shards: `a`, `b` and `c` are each in one of them. An index
// may name some of the shards only.
#include "fuzz.h"

#include "checkpoint/safetensors.h"

#include <stdio.h>
#include <string.h>

static void write_shards(void) {
  for (int i = 1; i <= 3; i++) {
    char name[64], file[128];
    snprintf(name, sizeof name, "model-%05d-of-00003.safetensors", i);
    const int n = snprintf(file + 8, sizeof file - 8,
                           "{\"%c\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}1234",
                           'a' + i - 1);
    const uint64_t length = (uint64_t)n - 4;
    memcpy(file, &length, 8);
    fuzz_file(name, file, 8 + (size_t)n, 0);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
  static bool is_ready;
  struct safetensors *checkpoint;
  struct error err;
  if (!is_ready)
    write_shards();
  is_ready = true;
  fuzz_file("model.safetensors.index.json", data, bytes, 0);
  if (safetensors_open(&checkpoint, fuzz_folder(), &err)) {
    must(safetensors_find(checkpoint, "a") || safetensors_find(checkpoint, "b") ||
             safetensors_find(checkpoint, "c"),
         "a tensor");
    safetensors_close(checkpoint);
  }
  return 0;
}
