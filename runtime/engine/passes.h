// Passes of an engine: captured once, then sent row by row record.
#ifndef GETP_ENGINE_PASSES_H
#define GETP_ENGINE_PASSES_H

#include "engine/state.h"

// Captures what every pass needs, or, on an engine that is timed, makes room for the times.
bool passes_prepare(struct engine *engine, struct error *err);
void passes_drop(struct engine *engine);

// Gives the device all of a pass.
bool passes_send(struct engine *engine, const struct engine_rows *rows, enum engine_want want,
                 struct error *err);

#endif
