// Times the steps of passes by stamps on the device, and the host's part beside them; for one
// engine.
#ifndef GETP_ENGINE_TIMING_H
#define GETP_ENGINE_TIMING_H

#include "device/device.h"
#include "engine/schedule.h"
#include "engine/span.h"

struct timing;

// A pass runs at most `most` steps. The device must have nothing under way. Time 0 is `began` of
// the host's clock (seconds_now).
bool timing_open(struct timing **out, struct device *device, int most, double began,
                 engine_timer timer, void *context, struct error *err);
void timing_close(struct timing *timing);

// The next pass begins. Of its steps timing_step, which is a schedule_watcher on a struct timing,
// is told one by one; *load is what they work on, until it is set anew.
void timing_begin(struct timing *timing);
void timing_load(struct timing *timing, const struct schedule_load *load);
void timing_step(void *timing, int step);

// Hands on the times of the oldest pass that has not been reported; the device must have done it.
// Reports what failed on the way, too.
bool timing_report(struct timing *timing, struct error *err);

// The host comes back to the engine, and leaves it, having done `what`.
bool timing_enter(struct timing *timing, struct error *err);
bool timing_leave(struct timing *timing, const char *what, struct error *err);

#endif
