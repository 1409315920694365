// The generated schedule of a tree: running one of its lists, and what is known of its steps.
#ifndef GETP_ENGINE_SCHEDULE_H
#define GETP_ENGINE_SCHEDULE_H

#include "engine/pass.h"

// A pass runs the steps; then, where the head of the network is not among them, the list of what is
// wanted of it. SAMPLED works on what LOGITS left.
enum schedule_list { SCHEDULE_STEPS, SCHEDULE_GREEDY, SCHEDULE_LOGITS, SCHEDULE_SAMPLED };

// Told the number of each step when the host, or else the device, has been given the whole of it.
typedef void (*schedule_watcher)(void *context, int step);

// Runs a list on a pass; `watch` may be NULL.
void schedule_run(const struct pass *pass, enum schedule_list list, schedule_watcher watch,
                  void *context);

// How many steps a list has.
int schedule_steps(enum schedule_list list);

struct schedule_step {
  const char *role;
  int layer; // -1: none
};
struct schedule_step schedule_step(int step);

// What a step works on. Of attention, each row counts the positions that it sees, and each group of
// rows those that any of its rows sees: what must be read once for them.
struct schedule_load {
  double rows, outputs;
  double full_keys, sliding_keys;
  double full_reads, sliding_reads;
};
struct schedule_load schedule_load(const int32_t *counts, const int32_t *position,
                                   const int32_t *group);

// The bytes that a step at least moves and the operations that it does, by costs.inc: each weight
// that it uses once, each activation once for each step that reads or writes it, of the KV cache
// what the rows see. Of E experts, n rows with T each are taken to use E (1 - (1 - T / E)^n): those
// that rows hit if each is as likely.
struct schedule_cost {
  double bytes, flops;
};
struct schedule_cost schedule_cost(int step, const struct schedule_load *load);

#endif
