// What a tree was generated for, as numbers: its limits, its memory, its model, its weights.
#ifndef GETP_ENGINE_DESCRIPTION_H
#define GETP_ENGINE_DESCRIPTION_H

#include "checkpoint/config.h"
#include "checkpoint/weights.h"

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

// A part of what the tree takes, by place: in the map of the checkpoint; packed weights; other
// memory of the device; memory of the host for what goes to the device and comes back.
enum memory_kind { MEMORY_MAPPED, MEMORY_PACKED, MEMORY_DEVICE, MEMORY_HOST };
struct memory_item {
  const char *what;
  enum memory_kind kind;
  size_t bytes;
};
struct memory_plan {
  const struct memory_item *items;
  int n;
  size_t device_bytes; // of the device that the plan was made for; 0: not bounded
};

// What the device can do in a second at the most; 0: not known.
struct engine_peak {
  double bytes, flops;
};
struct engine_limits engine_limits(void);
struct memory_plan engine_plan(void);
void engine_model(struct model_config *config);
struct weight_table engine_weights(void);
struct engine_peak engine_peak(void);

#endif
