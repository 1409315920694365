// The numbers that a tree was generated with: its limits, memory, model and weights.
#ifndef GETP_ENGINE_DESCRIPTION_H
#define GETP_ENGINE_DESCRIPTION_H

#include "checkpoint/config.h"
#include "weights/weights.h"

struct engine_limits {
  int vocab;
  int slots;   // sequences that can run at the same time
  int context; // positions of a sequence
  int rows;    // rows of a pass, at least `slots`
  int chunk;   // rows of one sequence in a pass
  int rewind;  // positions that a sequence may go back without starting again from position 0
  int logits;  // outputs of a pass that returns whole logits
  bool picks;  // the tree can return every engine_result; false: only ENGINE_LOGITS
  bool halves; // activations and KV cache have 16 bits; false: 32
};

// Where an item of the memory plan lies: in the mapped checkpoint, in the packed weights on the
// device, elsewhere on the device, or on the host.
enum memory_kind { MEMORY_MAPPED, MEMORY_PACKED, MEMORY_DEVICE, MEMORY_HOST };
struct memory_item {
  const char *what;
  enum memory_kind kind;
  size_t bytes;
};
struct memory_plan {
  const struct memory_item *items; // (n)
  int n;
  size_t device_bytes; // memory of the device that the plan was made for; 0: no bound
};

// The most that the device can move and compute per second; 0: not known.
struct engine_peak {
  double bytes, flops;
};

// The names of the tree, of its target and of its precision.
struct engine_tree {
  const char *name, *target, *precision;
};

struct engine_tree engine_tree(void);
struct engine_limits engine_limits(void);
struct memory_plan engine_plan(void);
void engine_model(struct model_config *config);
struct weight_table engine_weights(void);
struct engine_peak engine_peak(void);

#endif
