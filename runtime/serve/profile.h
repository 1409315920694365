// What --profile and --trace show of the times of passes: a table by role on stderr, and a file of
// spans in Chrome's trace format, for Perfetto.
#ifndef GETP_SERVE_PROFILE_H
#define GETP_SERVE_PROFILE_H

#include "engine/engine.h"

struct profile;

// `trace` is the file to write, from the first span on, or NULL.
bool profile_open(struct profile **out, const char *trace, struct error *err);

// Takes part in an engine's passes: an engine_timer on a struct profile.
bool profile_add(void *profile, bool host, const struct engine_span *spans, int n,
                 struct error *err);

// Prints the table: of each role and of all together the calls, seconds, share of the time that the
// device was busy, GB/s and TFLOP/s by schedule_cost, and the share of its time that a step would
// take at the device's peak, if that is known.
void profile_print(const struct profile *profile);

// Ends the trace; reports what could not be written. NULL is closed, too.
bool profile_close(struct profile *profile, struct error *err);

#endif
