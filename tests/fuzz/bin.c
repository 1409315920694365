// A .bin of the contest's exporter. The file is an input and up to 4 MiB of zeros: the first two
// bytes of the input are that number in units of 64.
#include "fuzz.h"

#include "checkpoint/checkpoint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
  struct model_config config;
  struct checkpoint *checkpoint;
  struct error err;
  if (bytes < 2)
    return 0;
  const size_t zeros = (size_t)(data[0] | data[1] << 8) * 64;
  const char *path = fuzz_file("model.bin", data + 2, bytes - 2, bytes - 2 + zeros);
  if (checkpoint_config(&config, path, &err) && checkpoint_open(&checkpoint, path, &config, &err)) {
    volatile uint8_t sum = 0;
    const struct tensor *tensor;
    for (size_t i = 0; (tensor = checkpoint_at(checkpoint, i)); i++)
      sum = (uint8_t)(sum + tensor->data[0] + tensor->data[tensor->bytes - 1]);
    checkpoint_close(checkpoint);
  }
  return 0;
}
