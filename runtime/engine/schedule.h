// The generated schedule of a tree: runs one of its lists, and describes its steps.
#ifndef GETP_ENGINE_SCHEDULE_H
#define GETP_ENGINE_SCHEDULE_H

#include "engine/pass.h"

// The lists of schedule.inc. A pass runs STEPS. In a tree whose head is in lists of its own it then
// runs GREEDY, or LOGITS, or LOGITS and SAMPLED, as its engine_result requires.
enum schedule_list { SCHEDULE_STEPS, SCHEDULE_GREEDY, SCHEDULE_LOGITS, SCHEDULE_SAMPLED };

// Called with the number of a step after all of it has run (on the host) or was launched (on a
// device).
typedef void (*schedule_step_done)(void *context, int step);

// Runs a list on a pass; `step_done` may be NULL.
void schedule_run(const struct pass *pass, enum schedule_list list, schedule_step_done step_done,
                  void *context);

// The number of steps in a list.
int schedule_steps(enum schedule_list list);

struct schedule_step {
  const char *role;
  int layer; // -1: none
};
struct schedule_step schedule_step(int step);

// The work of a pass, from which the cost of its steps follows. `keys` adds, over the rows, the
// positions that each row attends to. `reads` adds, over the groups, the positions that any row of
// the group attends to: they are read once for the whole group.
struct schedule_load {
  double rows, outputs;
  double full_keys, sliding_keys;
  double full_reads, sliding_reads;
};
struct schedule_load schedule_load(const int32_t *counts, const int32_t *position,
                                   const int32_t *group);

// The bytes that a step moves at least and its floating-point operations, by costs.inc. They count
// each weight once, each activation once per step that reads or writes it, and the keys and values
// that the rows attend to. If every expert is equally likely, n rows with T of E experts each use
// E (1 - (1 - T / E)^n) experts; that many are counted.
struct schedule_cost {
  double bytes, flops;
};
struct schedule_cost schedule_cost(int step, const struct schedule_load *load);

#endif
