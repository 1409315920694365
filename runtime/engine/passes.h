// The passes of an engine: captured once at warm-up, then submitted with the rows of each pass.
#ifndef GETP_ENGINE_PASSES_H
#define GETP_ENGINE_PASSES_H

#include "engine/state.h"

// Captures the graphs that passes replay. An engine with a timer captures nothing; it gets memory
// for the times of its steps instead.
bool passes_prepare(struct engine *engine, struct error *err);
void passes_drop(struct engine *engine);

// Divides the rows into the groups that attention works on, as struct pass describes `group`;
// returns the number of groups.
int passes_group(const struct engine_rows *rows, int32_t *group);

// Queues a whole pass on the device: the copy of its rows, its steps, the copy of its results.
bool passes_submit(struct engine *engine, const struct engine_rows *rows, enum engine_result result,
                   struct error *err);

#endif
