#include "serve/profile.h"

#include "base/replace.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_ROLES = 64 };

// The sum of all spans with the same name.
struct total {
  const char *what;
  bool host;
  long calls;
  double seconds, bytes, flops;
  double at_peak; // seconds that the device would need at its peak
};

struct profile {
  struct total totals[MAX_ROLES];
  int n;
  long passes;
  double began, ended; // the first and the last span of the device
  const char *path;
  struct replacement file;
  FILE *trace; // or NULL
  struct engine_peak peak;
};

// The numbers of the trace's threads.
enum { HOST = 0, DEVICE = 1 };

static void name_thread(FILE *trace, int thread, const char *name) {
  fprintf(trace,
          "{\"ph\": \"M\", \"name\": \"thread_name\", \"pid\": 1, \"tid\": %d, "
          "\"args\": {\"name\": \"%s\"}}",
          thread, name);
}

static bool open_trace(struct profile *profile, struct error *err) {
  if (!replace_begin_in_order(&profile->file, profile->path, err))
    return false;
  profile->trace = replace_stream(&profile->file, err);
  if (!profile->trace)
    return false;
  fputs("[\n", profile->trace);
  name_thread(profile->trace, HOST, "host");
  fputs(",\n", profile->trace);
  name_thread(profile->trace, DEVICE, "device");
  return true;
}

bool profile_open(struct profile **out, const char *trace, struct error *err) {
  struct profile *profile = calloc(1, sizeof *profile);
  *out = NULL;
  if (!profile)
    return fail(err, "profile: out of memory for its table");
  profile->peak = engine_peak();
  profile->path = trace;
  profile->began = INFINITY;
  profile->file.file = -1;
  if (trace && !open_trace(profile, err)) {
    replace_end(&profile->file, false, err);
    free(profile);
    return false;
  }
  *out = profile;
  return true;
}

static struct total *total_of(struct profile *profile, const char *what, bool host) {
  int i = 0;
  while (i < profile->n && strcmp(profile->totals[i].what, what) != 0)
    i++;
  if (i == MAX_ROLES)
    return NULL;
  if (i == profile->n)
    profile->totals[profile->n++] = (struct total){.what = what, .host = host};
  return &profile->totals[i];
}

// The seconds that the device would need at its peak; 0 if the peak is not known.
static double seconds_at_peak(const struct engine_peak *peak, double bytes, double flops) {
  return peak->bytes > 0 ? fmax(bytes / peak->bytes, flops / peak->flops) : 0;
}

static void write_span(FILE *trace, bool host, const struct engine_span *span) {
  fprintf(trace,
          ",\n{\"ph\": \"X\", \"name\": \"%s\", \"pid\": 1, \"tid\": %d, \"ts\": %.3f, "
          "\"dur\": %.3f",
          span->what, host ? HOST : DEVICE, span->began * 1e6, (span->ended - span->began) * 1e6);
  if (!host)
    fprintf(trace, ", \"args\": {\"layer\": %d, \"bytes\": %.0f, \"flops\": %.0f}", span->layer,
            span->bytes, span->flops);
  fputc('}', trace);
}

// Fails with the system's error if a write to the trace was not ok.
static bool check_written(const struct profile *profile, bool ok, struct error *err) {
  return ok ? true : fail(err, "%s: %s", profile->path, strerror(errno));
}

bool profile_add(void *context, bool host, const struct engine_span *spans, int n,
                 struct error *err) {
  struct profile *profile = context;
  for (int i = 0; i < n; i++) {
    struct total *total = total_of(profile, spans[i].what, host);
    if (!total)
      return fail(err, "profile: want at most %d roles, found more", MAX_ROLES);
    total->calls++;
    total->seconds += spans[i].ended - spans[i].began;
    total->bytes += spans[i].bytes;
    total->flops += spans[i].flops;
    total->at_peak += seconds_at_peak(&profile->peak, spans[i].bytes, spans[i].flops);
    if (profile->trace)
      write_span(profile->trace, host, &spans[i]);
  }
  if (!host && n > 0) {
    profile->passes++;
    profile->began = fmin(profile->began, spans[0].began);
    profile->ended = spans[n - 1].ended;
  }
  return !profile->trace || check_written(profile, !ferror(profile->trace), err);
}

static void print_total(const struct total *total, double busy, bool with_peak) {
  fprintf(stderr, "%-16s %8ld %9.3f %6.1f %% %8.1f %8.2f", total->what, total->calls,
          total->seconds, 100 * total->seconds / busy, total->bytes / total->seconds * 1e-9,
          total->flops / total->seconds * 1e-12);
  if (with_peak)
    fprintf(stderr, " %6.1f %%", 100 * total->at_peak / total->seconds);
  fputc('\n', stderr);
}

static int by_time(const void *a, const void *b) {
  const struct total *x = a, *y = b;
  return (x->seconds < y->seconds) - (x->seconds > y->seconds);
}

void profile_print(const struct profile *profile) {
  struct total totals[MAX_ROLES], all = {.what = "all"};
  const bool with_peak = profile->peak.bytes > 0;
  memcpy(totals, profile->totals, sizeof totals);
  qsort(totals, (size_t)profile->n, sizeof *totals, by_time);
  for (int i = 0; i < profile->n; i++) {
    const struct total *total = &totals[i];
    if (total->host) {
      fprintf(stderr, "host: %s: %.3f s", total->what, total->seconds);
      if (total->bytes > 0)
        fprintf(stderr, ", %.1f GB/s", total->bytes / total->seconds * 1e-9);
      fputc('\n', stderr);
      continue;
    }
    all.calls += total->calls;
    all.seconds += total->seconds;
    all.bytes += total->bytes;
    all.flops += total->flops;
    all.at_peak += total->at_peak;
  }
  fprintf(stderr, "device: %ld passes, busy for %.3f of %.3f s\n", profile->passes, all.seconds,
          profile->passes > 0 ? profile->ended - profile->began : 0);
  fprintf(stderr, "%-16s %8s %9s %8s %8s %8s%s\n", "role", "calls", "seconds", "of time", "GB/s",
          "TFLOP/s", with_peak ? "  of peak" : "");
  for (int i = 0; i < profile->n; i++)
    if (!totals[i].host)
      print_total(&totals[i], all.seconds, with_peak);
  if (all.calls > 0)
    print_total(&all, all.seconds, with_peak);
}

bool profile_close(struct profile *profile, struct error *err) {
  bool ok = true;
  if (profile && profile->trace) {
    ok = fputs("\n]\n", profile->trace) >= 0;
    ok = fclose(profile->trace) == 0 && ok;
    ok = check_written(profile, ok, err);
    ok = replace_end(&profile->file, ok, err);
  }
  free(profile);
  return ok;
}
