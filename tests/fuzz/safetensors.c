// A safetensors file. An input is a whole file, or, if it does not begin with zero, `!`, 4 bytes
// with the length of the data, and the header.
#include "fuzz.h"

#include "checkpoint/safetensors.h"

#include <stdlib.h>
#include <string.h>

// Reads the first and last byte of every tensor.
static void touch(const struct safetensors *checkpoint) {
  const struct tensor *tensor;
  volatile uint8_t sum = 0;
  for (size_t i = 0; (tensor = safetensors_at(checkpoint, i)); i++) {
    must(safetensors_find(checkpoint, tensor->name) == tensor, "to find a tensor by its name");
    if (tensor->bytes > 0)
      sum = (uint8_t)(sum + tensor->data[0] + tensor->data[tensor->bytes - 1]);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
  static const char NAME[] = "model.safetensors";
  struct safetensors *checkpoint;
  struct error err;
  if (bytes > 5 && data[0] == '!') {
    uint32_t data_bytes;
    const uint64_t length = bytes - 5;
    uint8_t *file = malloc(8 + length);
    must(file != NULL, "memory");
    memcpy(&data_bytes, data + 1, 4);
    memcpy(file, &length, 8);
    memcpy(file + 8, data + 5, length);
    fuzz_file(NAME, file, 8 + length, 8 + length + data_bytes);
    free(file);
  } else {
    fuzz_file(NAME, data, bytes, 0);
  }
  if (safetensors_open(&checkpoint, fuzz_folder(), &err)) {
    touch(checkpoint);
    safetensors_close(checkpoint);
  }
  return 0;
}
