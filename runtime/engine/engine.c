// Compiled once per tree: the life of an engine and the order of its passes.
#include "engine/engine.h"

#include "base/clock.h"
#include "device/load.h"
#include "engine/memory.h"
#include "engine/passes.h"

#include <stdlib.h>

struct engine *engine_create(void) {
  return calloc(1, sizeof(struct engine));
}

void engine_set_progress(struct engine *engine, engine_progress progress, void *context) {
  engine->progress = progress;
  engine->progress_context = context;
}

void engine_set_timer(struct engine *engine, engine_timer timer, void *context) {
  engine->timer = timer;
  engine->timer_context = context;
}

void engine_destroy(struct engine *engine) {
  if (engine)
    engine_finish(engine);
  free(engine);
}

static bool load_weights(struct engine *engine, const struct weight_source *source, size_t packed,
                         struct error *err) {
  struct load load = {
      .device = engine->device,
      .source = source,
      .packed = engine->packed.at,
      .packed_bytes = packed,
      .weight = engine->weight,
      .watch = engine->progress,
      .context = engine->progress_context,
  };
  return load_run(&load, err);
}

// Reports to the timer, if there is one, the phase of engine_warm_up from *from until now, and sets
// *from to now.
static bool report_span(const struct engine *engine, const char *what, double *from, double bytes,
                        struct error *err) {
  const double now = seconds_now();
  const struct engine_span span = {what, -1, *from - engine->began, now - engine->began, bytes, 0};
  *from = now;
  return !engine->timer || engine->timer(engine->timer_context, true, &span, 1, err);
}

bool engine_warm_up(struct engine *engine, const struct weight_source *source, struct error *err) {
  if (engine->device)
    return true;
  double from = engine->began = seconds_now();
  const bool mapped = weight_source_is_mapped(source);
  size_t packed;
  if (weight_source_bytes(source, &packed, err) && device_open(&engine->device, err) &&
      report_span(engine, "open device", &from, 0, err) &&
      memory_alloc(engine, mapped ? 0 : packed, err) &&
      report_span(engine, "allocate memory", &from, 0, err) &&
      load_weights(engine, source, packed, err) && memory_upload_rope(engine, err) &&
      device_wait(engine->device, err) &&
      report_span(engine, "load weights", &from, (double)packed, err) &&
      passes_prepare(engine, err))
    return true;
  engine_finish(engine);
  return false;
}

void engine_finish(struct engine *engine) {
  struct device *device = engine->device;
  if (!device)
    return;
  struct error ignored;
  device_wait(device, &ignored); // no copy may still use the memory that is freed below
  passes_drop(engine);
  engine->submitted = engine->collected = 0;
  memory_free(engine);
  device_close(device);
  engine->device = NULL;
}

// Refuses a pass that the engine cannot run now, or not at all.
static bool check_submit(const struct engine *engine, const struct engine_rows *rows,
                         enum engine_result result, struct error *err) {
  const unsigned in_flight = engine->submitted - engine->collected;
  const bool logits = result == ENGINE_LOGITS;
  if (!engine->device)
    return fail(err, "engine: want warm_up before a pass, found none");
  if (logits && in_flight > 0)
    return fail(err, "engine: want no pass in flight before one with logits, found %u", in_flight);
  if (in_flight == ENGINE_PASSES)
    return fail(err, "engine: want fewer than %d passes in flight, found %u", ENGINE_PASSES,
                in_flight);
  if (!logits && !HEAD_SPLIT)
    return fail(err, "engine: want a pass with logits, found one that picks: this tree cannot");
  if (logits && rows->outputs > LOGITS_ROWS)
    return fail(err, "engine: want at most %d outputs with logits, found %d", LOGITS_ROWS,
                rows->outputs);
  return true;
}

bool engine_submit(struct engine *engine, const struct engine_rows *rows, enum engine_result result,
                   struct error *err) {
  struct error later;
  if (!check_submit(engine, rows, result, err))
    return false;
  if (passes_submit(engine, rows, result, err)) {
    engine->submitted++;
    return true;
  }
  device_wait(engine->device, &later); // for the steps of the pass that were queued
  return false;
}

bool engine_clear_slot(struct engine *engine, int slot, struct error *err) {
  return memory_clear_slot(engine, slot, err);
}

bool engine_collect(struct engine *engine, struct engine_results *results, struct error *err) {
  const int pass = (int)(engine->collected % ENGINE_PASSES);
  const struct pass_in_flight *done = &engine->in_flight[pass];
  *results = (struct engine_results){0};
  if (engine->collected == engine->submitted)
    return fail(err, "engine: want a pass in flight, found none");
  engine->collected++;
  if (engine->timing && !timing_enter(engine->timing, err))
    return false;
  if (!device_wait_mark(engine->device, pass, err))
    return false;
  if (done->result == ENGINE_PICKED)
    results->picked = done->results;
  else
    results->logits = done->results;
  return !engine->timing ||
         (timing_leave(engine->timing, "collect", err) && timing_report(engine->timing, err));
}
