// One generated tree on one device: its memory, its weights, and running its schedule.
#ifndef GETP_ENGINE_H
#define GETP_ENGINE_H

#include "checkpoint/safetensors.h"
#include "packed.h"
#include "sampler.h"

struct engine;

// What the tree was generated for.
struct engine_limits {
  int vocab;
  int slots;   // sequences at a time
  int context; // positions of a sequence
  int rows;    // of a pass, at least slots
  int chunk;   // rows of one sequence in a pass
  int rewind;  // positions that a sequence may go back without running anew from 0
  int logits;  // outputs of a pass that wants logits
  bool picks;  // the device picks: every engine_want is to be had, else only logits
  bool halves; // activations and KV cache have 16 bits, not 32
};

// What a pass gives for each of its outputs.
enum engine_want {
  ENGINE_LOGITS,     // all logits
  ENGINE_GREEDY,     // the id of the largest logit, of equal ones the lowest
  ENGINE_CANDIDATES, // the best logits, for sampler_pick_candidates
};

// The rows of one pass. Rows of one sequence follow each other in order of position.
struct engine_rows {
  int rows, outputs;
  int32_t *token; // (rows) in [0, vocab), or -1 - i: what the pass before picked, greedily,
                  // for its output i
  int32_t *position, *slot; // (rows)
  int32_t *output_row;      // (outputs) rows of which something is wanted
  float sharpness;          // of candidates: 1 / temperature
};

// What a pass gave, by its engine_want; the others are NULL.
struct engine_results {
  const float *logits;                 // (outputs, vocab)
  const int32_t *picked;               // (outputs)
  const struct candidates *candidates; // (outputs)
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
struct weight_table engine_weights(void);

// An engine without device memory. NULL when memory runs out.
struct engine *engine_create(void);
void engine_destroy(struct engine *engine);

// From now on warm_up calls `watch` after each piece of the weights that it has sent on its way,
// with their bytes so far and in all.
typedef void (*engine_watcher)(void *context, size_t sent, size_t total);
void engine_watch(struct engine *engine, engine_watcher watch, void *context);

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

// From the next warm_up on every pass is timed, step by step, and `timer` is told: of the host at
// once, of the device (n steps) when the pass is collected. A pass is then no longer replayed as a
// whole. NULL: no more.
typedef bool (*engine_timer)(void *context, bool host, const struct engine_span *spans, int n,
                             struct error *err);
void engine_time(struct engine *engine, engine_timer timer, void *context);

// What the device can do in a second at the most; 0: not known.
struct engine_peak {
  double bytes, flops;
};
struct engine_peak engine_peak(void);

// Takes all memory and the weights of `checkpoint`, which must stay open until engine_finish.
// Refuses a tensor that is missing or not as weights.inc has it, by name; a failure leaves nothing
// taken. Both are idempotent and may alternate.
bool engine_warm_up(struct engine *engine, const struct safetensors *checkpoint, struct error *err);

// The same from a packed file of engine_weights and engine_model.
bool engine_warm_up_packed(struct engine *engine, const struct packed *packed, struct error *err);
void engine_finish(struct engine *engine);

// Sends a pass on its way and returns at once. Up to ENGINE_PASSES may be under way, which the
// device takes one after the other; of those that want logits, only one.
enum { ENGINE_PASSES = 2 };
bool engine_submit(struct engine *engine, const struct engine_rows *rows, enum engine_want want,
                   struct error *err);

// Waits for the oldest pass under way, which is then no longer so, whether it failed or not. The
// results may be read until the next engine_submit.
bool engine_collect(struct engine *engine, struct engine_results *results, struct error *err);

#endif
