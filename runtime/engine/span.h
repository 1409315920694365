// What a timed engine reports.
#ifndef GETP_ENGINE_SPAN_H
#define GETP_ENGINE_SPAN_H

#include "base/error.h"

// What took from `began` to `ended`, in seconds since warm_up began: a step on the device, with
// what it at least moved and computed (schedule_cost); or, of the host, "open device", "take
// memory" and "load weights" (with their bytes) of warm_up, then "prepare" (the caller's own work
// between calls), "submit", "collect", without.
struct engine_span {
  const char *what;
  int layer; // -1: none
  double began, ended;
  double bytes, flops;
};

// Told of the spans of the host at once, of those of the device (n steps) when their pass is
// collected.
typedef bool (*engine_timer)(void *context, bool host, const struct engine_span *spans, int n,
                             struct error *err);

#endif
