// Compiled once per tree: reads its schedule.inc and costs.inc. Each use of schedule.inc first
// defines EACH, which is what a step expands to.
#include "engine/schedule.h"

#include "arena.h"
#include "device/device.h"
#include "engine/claims.h"
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

// What the bytes and flops of a step are counted per: rows, outputs, rows whose experts are used,
// or rows that attend in a full or a sliding layer.
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

// Reports a step after every thread has done it; one thread reports.
static void report(schedule_step_done step_done, void *context, int step) {
#pragma omp barrier
#pragma omp master
  step_done(context, step);
}

// On the host every thread calls every launcher, which divides its step among the threads. On a
// device one thread launches all steps. After a launch that failed there is none: a step would read
// what another should have written, and take it for indices.
void schedule_run(const struct pass *pass, enum schedule_list wanted, schedule_step_done step_done,
                  void *context) {
  struct claim claims[STEPS_ON_ALL_THREADS ? CLAIM_THREADS : 1] = {0};
  struct pass claimed = *pass;
  claimed.claims = STEPS_ON_ALL_THREADS ? claims : NULL;
#pragma omp parallel if (STEPS_ON_ALL_THREADS)
  {
    int step = 0;
#define EACH(list, layer, role, ...)                                                               \
  if (wanted == (list) && !device_failed()) {                                                      \
    launch_##role(&claimed, __VA_ARGS__);                                                          \
    if (step_done)                                                                                 \
      report(step_done, context, step);                                                            \
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

static int smaller(int a, int b) {
  return a < b ? a : b;
}

struct schedule_load schedule_load(const int32_t *counts, const int32_t *position,
                                   const int32_t *group) {
  struct schedule_load load = {.rows = counts[PASS_ROWS], .outputs = counts[PASS_OUTPUTS]};
  for (int r = 0; r < counts[PASS_ROWS]; r++) {
    load.full_keys += position[r] + 1;
    load.sliding_keys += smaller(position[r] + 1, MODEL_WINDOW);
  }
  for (int g = 0; g < counts[PASS_GROUPS]; g++) {
    const int last = group[g + 1] - 1, reads = position[last] + 1;
    load.full_reads += reads;
    load.sliding_reads += smaller(reads, MODEL_WINDOW + last - group[g]);
  }
  return load;
}

struct schedule_cost schedule_cost(int step, const struct schedule_load *load) {
  const struct cost *cost = &COSTS[STEPS[step].role];
  const double unused = pow(1 - (double)MODEL_TOP_K / MODEL_N_EXPERTS, load->rows);
  const double used = cost->per == EXPERTS ? 1 - unused : 1;
  const double n = cost->per == OUTPUTS ? load->outputs : load->rows;
  const bool full = cost->per == FULL, attends = full || cost->per == SLIDING;
  const double keys = full ? load->full_keys : load->sliding_keys;
  const double reads = full ? load->full_reads : load->sliding_reads;
  return (struct schedule_cost){
      .bytes = used * cost->weight_bytes + n * cost->bytes + reads * cost->key_bytes,
      .flops = (attends ? keys : n) * cost->flops,
  };
}
