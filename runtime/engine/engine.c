// Compiled once per tree: the life of an engine, and the order of its passes.
#include "engine/engine.h"

#include "base/clock.h"
#include "device/load.h"
#include "engine/memory.h"
#include "engine/passes.h"

#include <stdlib.h>

struct engine *engine_create(void) {
  return calloc(1, sizeof(struct engine));
}

void engine_watch(struct engine *engine, engine_watcher watch, void *context) {
  engine->watch = watch;
  engine->watch_context = context;
}

void engine_time(struct engine *engine, engine_timer timer, void *context) {
  engine->timer = timer;
  engine->timer_context = context;
}

void engine_destroy(struct engine *engine) {
  if (engine)
    engine_finish(engine);
  free(engine);
}

static bool load_weights(struct engine *engine, const struct weight_source *source,
                         struct error *err) {
  struct load load = {
      .device = engine->device,
      .source = source,
      .packed = engine->packed.at,
      .weight = engine->weight,
      .watch = engine->watch,
      .context = engine->watch_context,
  };
  return load_run(&load, err);
}

// Tells the timer, if there is one, of a part of warm_up that has taken from *from until now, which
// *from becomes.
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
  if (device_open(&engine->device, err) && report_span(engine, "open device", &from, 0, err) &&
      memory_alloc(engine, err) && report_span(engine, "take memory", &from, 0, err) &&
      load_weights(engine, source, err) && memory_upload_rope(engine, err) &&
      device_wait(engine->device, err) &&
      report_span(engine, "load weights", &from, (double)engine_weights().packed_bytes, err) &&
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
  device_wait(device, &ignored); // nothing may be under way to memory that is given back
  passes_drop(engine);
  engine->submitted = engine->collected = 0;
  memory_free(engine);
  device_close(device);
  engine->device = NULL;
}

// What a caller may not ask for.
static bool check_submit(const struct engine *engine, const struct engine_rows *rows,
                         enum engine_want want, struct error *err) {
  const unsigned under_way = engine->submitted - engine->collected;
  if (!engine->device)
    return fail(err, "a pass before warm_up");
  if (under_way == ENGINE_PASSES || (under_way > 0 && want == ENGINE_LOGITS))
    return fail(err, "a pass while %u are under way", under_way);
  if (want != ENGINE_LOGITS && !HEAD_SPLIT)
    return fail(err, "a pass that picks: this getp has only logits");
  return want != ENGINE_LOGITS || rows->outputs <= LOGITS_ROWS
             ? true
             : fail(err, "logits of %d rows: this getp has room for %d", rows->outputs,
                    LOGITS_ROWS);
}

bool engine_submit(struct engine *engine, const struct engine_rows *rows, enum engine_want want,
                   struct error *err) {
  struct error later;
  if (!check_submit(engine, rows, want, err))
    return false;
  if (passes_send(engine, rows, want, err)) {
    engine->submitted++;
    return true;
  }
  device_wait(engine->device, &later); // for what it was given of the pass
  return false;
}

bool engine_collect(struct engine *engine, struct engine_results *results, struct error *err) {
  const int pass = (int)(engine->collected % ENGINE_PASSES);
  const struct under_way *done = &engine->passes[pass];
  *results = (struct engine_results){0};
  if (engine->collected == engine->submitted)
    return fail(err, "no pass is under way");
  engine->collected++;
  if (engine->timing && !timing_enter(engine->timing, err))
    return false;
  if (!device_wait_mark(engine->device, pass, err))
    return false;
  if (done->want == ENGINE_GREEDY)
    results->picked = done->results;
  else if (done->want == ENGINE_CANDIDATES)
    results->candidates = done->results;
  else
    results->logits = done->results;
  return !engine->timing ||
         (timing_leave(engine->timing, "collect", err) && timing_report(engine->timing, err));
}
