// A packed file with one weight.
#include "fuzz.h"
#include "packed_table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
  const char *path = fuzz_file("file", data, bytes, 0);
  static struct model_config config;
  struct packed packed = {0};
  struct error err;
  uint8_t image[WEIGHT_BYTES];
  volatile uint8_t sum = 0;
  if (!config.vocab)
    must(model_config_read(&config, "tests/models/abacus", &err), err.text);
  must(packed_is(path) || !packed_open_any(&packed, path, &err), "a packed file that is one");
  packed_close(&packed);
  if (packed_open_any(&packed, path, &err))
    for (size_t i = 0; i < packed.tokenizer.n; i++)
      sum = (uint8_t)(sum + (uint8_t)packed.tokenizer.bytes[i]);
  packed_close(&packed);
  if (packed_open(&packed, path, &TABLE, &config, &err)) {
    (void)packed_verify(&packed, NULL, NULL, &err);
    (void)packed_read(&packed, 0, sizeof image, image, &err);
    must(packed.stop.n >= 0 && packed.stop.n <= MAX_STOP_IDS, "stop ids within bounds");
  }
  packed_close(&packed);
  return 0;
}
