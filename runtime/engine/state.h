// The engine as its own files see it; no other file includes this. Compiled once per tree.
#ifndef GETP_ENGINE_STATE_H
#define GETP_ENGINE_STATE_H

#include "device/device.h"
#include "engine/rows.h"
#include "engine/span.h"
#include "engine/timing.h"

#include "kernels.h"
#include "model.h"

// What a pass is told of its rows: one copy to the device.
struct row_record {
  int32_t counts[PASS_COUNTS];
  int32_t token[LIMIT_ROWS], position[LIMIT_ROWS], slot[LIMIT_ROWS], output_row[LIMIT_ROWS];
  int32_t group[LIMIT_ROWS + 1];
};
// A pass that the device has been given.
struct under_way {
  enum engine_want want;
  const void *results; // where they will be
};

struct engine {
  struct device *device; // NULL: cold
  struct memory arena, kv, workspace, packed, rope, rows, picked;
  struct memory host_rows[ENGINE_PASSES], host_results[ENGINE_PASSES], host_logits;
  const uint8_t *weight[WEIGHT_COUNT];
  struct device_graph *steps[ROW_BUCKET_COUNT], *greedy[ROW_BUCKET_COUNT]; // where captured
  struct under_way passes[ENGINE_PASSES];
  unsigned submitted, collected;                           // passes
  void (*watch)(void *context, size_t sent, size_t total); // or NULL
  void *watch_context;
  engine_timer timer; // or NULL
  void *timer_context;
  struct timing *timing; // NULL: passes are not timed
  double began;          // warm_up, by the host's clock
};

#endif
