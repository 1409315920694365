#include "engine/timing.h"

#include "base/clock.h"
#include "engine/rows.h"

#include <stdlib.h>

enum { SETS = ENGINE_PASSES + 1 }; // for the passes in flight and the one before them

struct timed_step {
  int step;
  struct schedule_cost cost;
};

// Each set of steps and stamps serves one pass: a stamp at its beginning and one after each step.
struct timing {
  struct device *device;
  engine_timer timer;
  void *context;
  int max_steps;
  struct timed_step *steps[SETS]; // (max_steps)
  int n[SETS];
  struct engine_span *spans; // (max_steps)
  struct schedule_load load;
  int begun, reported; // passes
  int last;            // the last stamp reported
  double last_seconds; // its time
  double began;        // time 0, by seconds_now
  double left;         // when the host last left the engine
  bool failed;         // a stamp failed, as `error` says
  struct error error;
};

static int first_stamp(const struct timing *timing, int set) {
  return set * (timing->max_steps + 1);
}

static bool alloc(struct timing *timing, struct error *err) {
  const size_t max_steps = (size_t)timing->max_steps;
  timing->spans = calloc(max_steps, sizeof *timing->spans);
  bool ok = timing->spans;
  for (int i = 0; i < SETS; i++) {
    timing->steps[i] = calloc(max_steps, sizeof *timing->steps[i]);
    ok = ok && timing->steps[i];
  }
  return ok ? true
            : fail(err, "timing: out of memory for the times of %d steps", timing->max_steps);
}

bool timing_open(struct timing **out, struct device *device, int max_steps, double began,
                 engine_timer timer, void *context, struct error *err) {
  struct timing *timing = calloc(1, sizeof *timing);
  *out = NULL;
  if (!timing)
    return fail(err, "timing: out of memory for the times of %d steps", max_steps);
  *timing =
      (struct timing){.device = device, .timer = timer, .context = context, .max_steps = max_steps};
  timing->last = first_stamp(timing, SETS);
  if (alloc(timing, err) && device_alloc_stamps(device, timing->last + 1, err) &&
      device_stamp(device, timing->last, err) && device_wait(device, err)) {
    timing->began = began;
    timing->left = timing->last_seconds = seconds_now() - began;
    *out = timing;
    return true;
  }
  timing_close(timing);
  return false;
}

void timing_close(struct timing *timing) {
  if (!timing)
    return;
  for (int i = 0; i < SETS; i++)
    free(timing->steps[i]);
  free(timing->spans);
  free(timing);
}

static void stamp(struct timing *timing, int i) {
  if (!timing->failed)
    timing->failed = !device_stamp(timing->device, i, &timing->error);
}

void timing_begin(struct timing *timing) {
  const int set = timing->begun++ % SETS;
  timing->n[set] = 0;
  stamp(timing, first_stamp(timing, set));
}

void timing_load(struct timing *timing, const struct schedule_load *load) {
  timing->load = *load;
}

void timing_step(void *context, int step) {
  struct timing *timing = context;
  const int set = (timing->begun - 1) % SETS, i = timing->n[set]++;
  timing->steps[set][i] = (struct timed_step){step, schedule_cost(step, &timing->load)};
  stamp(timing, first_stamp(timing, set) + 1 + i);
}

// Measures each time from a stamp shortly before it: the device returns differences as floats,
// which are exact enough only when they are small.
bool timing_report(struct timing *timing, struct error *err) {
  const int set = timing->reported++ % SETS, first = first_stamp(timing, set), n = timing->n[set];
  double gap, seconds = 0;
  if (timing->failed) {
    *err = timing->error;
    return false;
  }
  if (!device_seconds(timing->device, timing->last, first, &gap, err))
    return false;
  const double began = timing->last_seconds + gap;
  for (int i = 0; i < n; i++) {
    const struct timed_step *step = &timing->steps[set][i];
    const struct schedule_step described = schedule_step(step->step);
    const double before = seconds;
    if (!device_seconds(timing->device, first, first + 1 + i, &seconds, err))
      return false;
    timing->spans[i] = (struct engine_span){described.role,  described.layer,  began + before,
                                            began + seconds, step->cost.bytes, step->cost.flops};
  }
  timing->last = first + n;
  timing->last_seconds = began + seconds;
  return timing->timer(timing->context, false, timing->spans, n, err);
}

static bool host_span(struct timing *timing, const char *what, double ended, struct error *err) {
  const struct engine_span span = {
      .what = what, .layer = -1, .began = timing->left, .ended = ended - timing->began};
  timing->left = span.ended;
  return timing->timer(timing->context, true, &span, 1, err);
}

bool timing_enter(struct timing *timing, struct error *err) {
  return host_span(timing, "prepare", seconds_now(), err);
}

bool timing_leave(struct timing *timing, const char *what, struct error *err) {
  return host_span(timing, what, seconds_now(), err);
}
