// Compiled once for each tree, against its kernels.h, schedule.inc and costs.inc. Each reader of
// the schedule says with EACH what it makes of a step.
#include "engine/schedule.h"

#include "arena.h"
#include "kernels.h"
#include "kv.h"
#include "model.h"

#include <math.h>
#include <stdbool.h>

#define STEP(...) EACH(SCHEDULE_STEPS, __VA_ARGS__)
#define GREEDY(...) EACH(SCHEDULE_GREEDY, __VA_ARGS__)
#define LOGITS(...) EACH(SCHEDULE_LOGITS, __VA_ARGS__)
#define SAMPLED(...) EACH(SCHEDULE_SAMPLED, __VA_ARGS__)

enum role {
#define COST(role, ...) ROLE_##role,
#include "costs.inc"
#undef COST
};

static const struct {
  enum schedule_list list;
  int layer;
  enum role role;
} STEPS[] = {
#define EACH(list, layer, role, ...) {list, layer, ROLE_##role},
#include "schedule.inc"
#undef EACH
};

// Of what there are as many as a step's bytes and flops are counted for.
enum per { ROWS, OUTPUTS, EXPERTS, FULL, SLIDING };

static const struct cost {
  const char *role;
  enum per per;
  double weight_bytes, bytes, flops, key_bytes;
} COSTS[] = {
#define COST(role, ...) {#role, __VA_ARGS__},
#include "costs.inc"
#undef COST
};

// Where all threads run the steps, one of them reports a step that every one has done.
static void report(schedule_watcher watch, void *context, int step) {
#pragma omp barrier
#pragma omp master
  watch(context, step);
}

// Where steps are shared, every thread goes through all of them, and the launchers share the work
// out; else one thread launches.
void schedule_run(const struct pass *pass, enum schedule_list wanted, schedule_watcher watch,
                  void *context) {
#pragma omp parallel if (STEPS_ON_ALL_THREADS)
  {
    int step = 0;
#define EACH(list, layer, role, ...)                                                               \
  if (wanted == (list)) {                                                                          \
    launch_##role(pass, __VA_ARGS__);                                                              \
    if (watch)                                                                                     \
      report(watch, context, step);                                                                \
  }                                                                                                \
  step++;
#include "schedule.inc"
#undef EACH
  }
}

enum { STEP_COUNT = sizeof STEPS / sizeof *STEPS };

int schedule_steps(enum schedule_list list) {
  int n = 0;
  for (int i = 0; i < STEP_COUNT; i++)
    n += STEPS[i].list == list;
  return n;
}

struct schedule_step schedule_step(int step) {
  return (struct schedule_step){COSTS[STEPS[step].role].role, STEPS[step].layer};
}

static int least(int a, int b) {
  return a < b ? a : b;
}

struct schedule_load schedule_load(const int32_t *counts, const int32_t *position,
                                   const int32_t *group) {
  struct schedule_load load = {.rows = counts[PASS_ROWS], .outputs = counts[PASS_OUTPUTS]};
  for (int r = 0; r < counts[PASS_ROWS]; r++) {
    load.full_keys += position[r] + 1;
    load.sliding_keys += least(position[r] + 1, MODEL_WINDOW);
  }
  for (int g = 0; g < counts[PASS_GROUPS]; g++) {
    const int last = group[g + 1] - 1, seen = position[last] + 1;
    load.full_reads += seen;
    load.sliding_reads += least(seen, MODEL_WINDOW + last - group[g]);
  }
  return load;
}

struct schedule_cost schedule_cost(int step, const struct schedule_load *load) {
  const struct cost *cost = &COSTS[STEPS[step].role];
  const double missed = pow(1 - (double)MODEL_TOP_K / MODEL_N_EXPERTS, load->rows);
  const double used = cost->per == EXPERTS ? 1 - missed : 1;
  const double n = cost->per == OUTPUTS ? load->outputs : load->rows;
  const bool full = cost->per == FULL, attends = full || cost->per == SLIDING;
  const double keys = full ? load->full_keys : load->sliding_keys;
  const double reads = full ? load->full_reads : load->sliding_reads;
  return (struct schedule_cost){
      .bytes = used * cost->weight_bytes + n * cost->bytes + reads * cost->key_bytes,
      .flops = (attends ? keys : n) * cost->flops,
  };
}
