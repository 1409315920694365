// A config.json that is also the generation_config.json.
#include "fuzz.h"

#include "checkpoint/config.h"
#include "checkpoint/stop_ids.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
  struct model_config config;
  struct stop_ids stop;
  struct error err;
  fuzz_file("config.json", data, bytes, 0);
  fuzz_file("generation_config.json", data, bytes, 0);
  if (model_config_read(&config, fuzz_folder(), &err)) {
    must(config.n_layers >= 1 && config.n_layers <= CONFIG_MAX_LAYERS, "layers within bounds");
    must(config.vocab >= 1 && config.d_model >= 1 && config.top_k <= config.n_experts,
         "sizes that fit together");
    must(model_config_same(&config, &config, "input", &err), "a config that is the same as itself");
  }
  if (stop_ids_find(&stop, fuzz_folder(), 201088, &err))
    must(stop.n >= 0 && stop.n <= MAX_STOP_IDS, "stop ids within bounds");
  return 0;
}
