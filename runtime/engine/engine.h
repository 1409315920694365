// One generated tree on one device: its memory, its weights, and running its schedule.
#ifndef GETP_ENGINE_ENGINE_H
#define GETP_ENGINE_ENGINE_H

#include "checkpoint/weight_source.h"
#include "engine/description.h"
#include "engine/rows.h"
#include "engine/span.h"

struct engine;

// An engine without device memory. NULL when memory runs out.
struct engine *engine_create(void);
void engine_destroy(struct engine *engine);

// From now on warm_up calls `watch` after each piece of the weights that it has sent on its way,
// with their bytes so far and in all.
typedef void (*engine_watcher)(void *context, size_t sent, size_t total);
void engine_watch(struct engine *engine, engine_watcher watch, void *context);

// From the next warm_up on every pass is timed, step by step, and reported to `timer`. A pass is
// then no longer replayed as a whole. NULL: no more.
void engine_time(struct engine *engine, engine_timer timer, void *context);

// Takes all memory and the weights of `source`, whose file must stay open until engine_finish.
// Refuses a tensor that is missing or not as weights.inc has it, by name; a failure leaves nothing
// taken. Both are idempotent and may alternate.
bool engine_warm_up(struct engine *engine, const struct weight_source *source, struct error *err);
void engine_finish(struct engine *engine);

// Sends a pass on its way and returns at once. Up to ENGINE_PASSES may be under way, which the
// device takes one after the other; of those that want logits, only one.
bool engine_submit(struct engine *engine, const struct engine_rows *rows, enum engine_want want,
                   struct error *err);

// Waits for the oldest pass under way, which is then no longer so, whether it failed or not. The
// results may be read until the next engine_submit.
bool engine_collect(struct engine *engine, struct engine_results *results, struct error *err);

#endif
