// What several C tests need.
#ifndef GETP_TESTS_SUPPORT_H
#define GETP_TESTS_SUPPORT_H

#include "engine/engine.h"

// Warms an engine up with the tensors of a checkpoint.
static inline bool warm_up(struct engine *engine, const struct safetensors *checkpoint,
                           struct error *err) {
  const struct weight_source source = {.table = engine_weights(), .checkpoint = checkpoint};
  return engine_warm_up(engine, &source, err);
}

#endif
