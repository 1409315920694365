// The times that an engine reports to its timer.
#ifndef GETP_ENGINE_SPAN_H
#define GETP_ENGINE_SPAN_H

#include "base/error.h"

// One span of time, in seconds since engine_warm_up began.
//
// On the device it is a step, with the bytes and flops of schedule_cost. On the host it is
// "open device", "allocate memory" or "load weights" (with the bytes of the weights) in
// engine_warm_up; later "prepare" (the caller's work between two calls), "submit" or "collect".
struct engine_span {
  const char *what;
  int layer; // -1: none
  double began, ended;
  double bytes, flops; // 0: not counted
};

// Receives n spans: those of the host one by one as they end, those of the device when their pass
// is collected.
typedef bool (*engine_timer)(void *context, bool host, const struct engine_span *spans, int n,
                             struct error *err);

#endif
