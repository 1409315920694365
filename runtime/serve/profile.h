// The times of passes for --profile and --trace: a table by role on stderr, and a file of spans in
// Chrome's trace format, which Perfetto reads.
#ifndef GETP_SERVE_PROFILE_H
#define GETP_SERVE_PROFILE_H

#include "engine/engine.h"

struct profile;

// `trace` is the file for the spans, or NULL. It is replaced by profile_close, unless
// base/replace.h writes it straight.
bool profile_open(struct profile **out, const char *trace, struct error *err);

// Adds spans: an engine_timer on a struct profile.
bool profile_add(void *profile, bool host, const struct engine_span *spans, int n,
                 struct error *err);

// Prints the table. For each role, and for all together, it has the calls, the seconds, the per
// cent of the device's busy time, and GB/s and TFLOP/s by schedule_cost. If the device's peak is
// known, a last column says how fast that is in per cent of it.
void profile_print(const struct profile *profile);

// Ends the trace, and fails if not all of it could be written. NULL is allowed.
bool profile_close(struct profile *profile, struct error *err);

#endif
