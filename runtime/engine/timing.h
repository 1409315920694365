// Times the passes of one engine: their steps by stamps on the device, and the host's work between
// them.
#ifndef GETP_ENGINE_TIMING_H
#define GETP_ENGINE_TIMING_H

#include "device/device.h"
#include "engine/schedule.h"
#include "engine/span.h"

struct timing;

// Prepares for passes of at most `max_steps` steps. No pass may be in flight. Times are reported
// relative to `began`, a time of seconds_now.
bool timing_open(struct timing **out, struct device *device, int max_steps, double began,
                 engine_timer timer, void *context, struct error *err);
void timing_close(struct timing *timing);

// Begins a pass. timing_load then says what its steps work on, until it is called again, and
// timing_step, a schedule_step_done on a struct timing, follows each step.
void timing_begin(struct timing *timing);
void timing_load(struct timing *timing, const struct schedule_load *load);
void timing_step(void *timing, int step);

// Reports the oldest pass that was not reported yet; the device must have finished it. Fails if one
// of its stamps failed.
bool timing_report(struct timing *timing, struct error *err);

// Called when the host enters a function of the engine, and when it leaves it after doing `what`.
bool timing_enter(struct timing *timing, struct error *err);
bool timing_leave(struct timing *timing, const char *what, struct error *err);

#endif
