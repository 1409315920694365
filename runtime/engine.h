// One generated tree on one device: its memory, its weights, and running its schedule.
#ifndef GETP_ENGINE_H
#define GETP_ENGINE_H

#include "checkpoint/safetensors.h"
#include "config.h"

struct engine;

// What the tree was generated for.
struct engine_limits {
  int vocab;
  int slots;   // sequences at a time
  int context; // positions of a sequence
  int rows;    // of a pass, at least slots
  int chunk;   // rows of one sequence in a pass
  int rewind;  // positions that a sequence may go back without running anew from 0
};

// The rows of one pass. Rows of one sequence follow each other in order of position; ids lie in
// [0, vocab).
struct engine_rows {
  int rows, outputs;
  int32_t *token, *position, *slot; // (rows)
  int32_t *output_row;              // (outputs) rows whose logits are wanted
};

// A part of what the tree takes, by place: in the map of the checkpoint; packed weights; other
// memory of the device; memory of the host for what goes to the device and comes back.
enum memory_place { MEMORY_MAPPED, MEMORY_PACKED, MEMORY_DEVICE, MEMORY_HOST };
struct memory_part {
  const char *what;
  enum memory_place place;
  size_t bytes;
};
struct memory_plan {
  const struct memory_part *parts;
  int n;
  size_t device_bytes; // of the device that the plan was made for; 0: not bounded
};

struct engine_limits engine_limits(void);
struct memory_plan engine_plan(void);
void engine_model(struct model_config *config);

// An engine without device memory. NULL when memory runs out.
struct engine *engine_create(void);
void engine_destroy(struct engine *engine);

// From now on warm_up calls `watch` after each piece of the weights that it has sent on its way,
// with their bytes so far and in all.
typedef void (*engine_watcher)(void *context, size_t sent, size_t total);
void engine_watch(struct engine *engine, engine_watcher watch, void *context);

// Takes all memory and the weights of `checkpoint`, which must stay open until engine_finish.
// Refuses a tensor that is missing or not as weights.inc has it, by name; a failure leaves nothing
// taken. Both are idempotent and may alternate.
bool engine_warm_up(struct engine *engine, const struct safetensors *checkpoint, struct error *err);
void engine_finish(struct engine *engine);

// Runs the schedule once.
bool engine_pass(struct engine *engine, const struct engine_rows *rows, struct error *err);

// The logits (vocab) of an output of the last pass.
const float *engine_logits(const struct engine *engine, int output);

#endif
