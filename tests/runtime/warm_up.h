// Warming up without a session. For programs that are linked with the engine of a tree.
#ifndef GETP_TESTS_WARM_UP_H
#define GETP_TESTS_WARM_UP_H

#include "engine/engine.h"

// Warms up an engine with the tensors of a checkpoint.
static inline bool warm_up(struct engine *engine, const struct checkpoint *checkpoint,
                           struct error *err) {
  const struct weight_source source = {.table = engine_weights(), .checkpoint = checkpoint};
  return engine_warm_up(engine, &source, err);
}

#endif
