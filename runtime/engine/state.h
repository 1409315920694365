// The state of an engine, for the files of this room only. Compiled once per tree.
#ifndef GETP_ENGINE_STATE_H
#define GETP_ENGINE_STATE_H

#include "device/device.h"
#include "engine/rows.h"
#include "engine/span.h"
#include "engine/timing.h"

#include "kernels.h"
#include "model.h"

// The rows of a pass as the device reads them; one copy sends it. struct pass describes the fields.
struct row_record {
  int32_t counts[PASS_COUNTS];
  int32_t token[LIMIT_ROWS], position[LIMIT_ROWS], slot[LIMIT_ROWS], output_row[LIMIT_ROWS];
  int32_t group[LIMIT_ROWS + 1];
};

// A pass that was submitted and not yet collected.
struct pass_in_flight {
  enum engine_result result;
  const void *results; // where they arrive
};

struct engine {
  struct device *device; // NULL before engine_warm_up and after engine_finish
  struct memory arena, kv, packed, rope, rows, draws, picked;
  struct memory host_rows[ENGINE_PASSES], host_draws[ENGINE_PASSES], host_picked[ENGINE_PASSES];
  struct memory host_logits;
  const uint8_t *weight[WEIGHT_COUNT];
  struct device_graph *steps[ROW_BUCKET_COUNT], *greedy[ROW_BUCKET_COUNT]; // NULL: not captured
  struct pass_in_flight in_flight[ENGINE_PASSES];
  unsigned submitted, collected;                              // passes
  void (*progress)(void *context, size_t sent, size_t total); // or NULL
  void *progress_context;
  engine_timer timer; // or NULL
  void *timer_context;
  struct timing *timing; // NULL: passes are not timed
  double began;          // when engine_warm_up began, by seconds_now
};

#endif
