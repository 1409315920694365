// One generated tree on one device: its memory, its weights and its passes.
#ifndef GETP_ENGINE_ENGINE_H
#define GETP_ENGINE_ENGINE_H

#include "engine/description.h"
#include "engine/rows.h"
#include "engine/span.h"
#include "weights/weight_source.h"

struct engine;

// Creates an engine that owns no device memory yet. NULL when memory runs out.
struct engine *engine_create(void);
void engine_destroy(struct engine *engine);

// Sets what engine_warm_up calls after each piece of the weights that it has sent: with the bytes
// sent so far and the bytes of all weights. NULL: nothing.
typedef void (*engine_progress)(void *context, size_t sent, size_t total);
void engine_set_progress(struct engine *engine, engine_progress progress, void *context);

// Sets the timer of all passes after the next engine_warm_up: every step is timed and reported to
// it. Passes are then launched step by step, not replayed from a graph. NULL: no timer.
void engine_set_timer(struct engine *engine, engine_timer timer, void *context);

// Allocates all memory and loads the weights of `source`, whose file must stay open until
// engine_finish. Refuses, by name, a tensor that is missing or differs from weights.inc. A failure
// leaves nothing allocated. Both functions are idempotent and may alternate.
bool engine_warm_up(struct engine *engine, const struct weight_source *source, struct error *err);
void engine_finish(struct engine *engine);

// Queues a pass and returns at once. Up to ENGINE_PASSES may be in flight, and the device runs them
// in order; a pass with whole logits must be the only one in flight.
bool engine_submit(struct engine *engine, const struct engine_rows *rows, enum engine_result result,
                   struct error *err);

// Enqueues zeroing the KV cache of a slot, after the passes in flight.
bool engine_clear_slot(struct engine *engine, int slot, struct error *err);

// Waits for the oldest pass in flight and ends it, even if it failed. The results stay valid until
// the next engine_submit.
bool engine_collect(struct engine *engine, struct engine_results *results, struct error *err);

#endif
