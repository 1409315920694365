// One pass as launchers see it: the rows, and the memory that the plan laid out. Launchers add
// their offsets to its buffers; nothing here knows a shape.
#ifndef GETP_ENGINE_PASS_H
#define GETP_ENGINE_PASS_H

#include "formats/draw.h"
#include "formats/handed_token.h"

#include <stddef.h>
#include <stdint.h>

// Indices into pass->counts. The counts are on the device and belong to this pass; a captured
// schedule knows only bounds of them.
enum pass_count { PASS_ROWS, PASS_OUTPUTS, PASS_GROUPS, PASS_COUNTS = 8 };

struct pass {
  int rows;    // rows of this pass; in a captured schedule, a bound of them
  int outputs; // rows whose result is wanted; in a captured schedule, a bound; for LOGITS and
               // SAMPLED, up to LOGITS_ROWS of them from first_output on
  const int32_t *counts;     // (PASS_COUNTS) indexed by enum pass_count
  const int32_t *token;      // (rows) an id, or HANDED_TOKEN(i) for picked_before[i]
  const int32_t *position;   // (rows) in the row's sequence, from 0
  const int32_t *slot;       // (rows) the row's sequence in the KV cache
  const int32_t *output_row; // (outputs)
  // (groups + 1) the first row of each group, then the number of rows. A group has up to GROUP_ROWS
  // rows of one sequence at consecutive positions.
  const int32_t *group;
  const struct draw *draw;      // (outputs) how ids are picked, for SAMPLED
  int32_t *picked;              // (outputs) ids, or PICKED_NAN or PICKED_NOTHING
  const int32_t *picked_before; // the same of the previous pass
  int first_output;             // 0, but for LOGITS and SAMPLED
  char *arena;                  // activations; arena.h
  float *kv;                    // kv.h
  const float *rope_cos;        // (context, d_head / 2), scaled by YaRN's attention factor
  const float *rope_sin;        // the same
  void *stream;                 // of the device; NULL on the host
  struct claim *claims;         // of the host's threads; NULL on a device
  // (weights.inc) packed weights are aligned to 64 bytes; mapped ones have no alignment
  const uint8_t *const *weight;
};

static inline float *pass_floats(const struct pass *pass, size_t buffer) {
  return (float *)(pass->arena + buffer);
}

static inline int32_t *pass_ints(const struct pass *pass, size_t buffer) {
  return (int32_t *)(pass->arena + buffer);
}

static inline uint16_t *pass_halves(const struct pass *pass, size_t buffer) {
  return (uint16_t *)(pass->arena + buffer);
}

static inline const float *pass_packed(const struct pass *pass, int weight) {
  return (const float *)(const void *)pass->weight[weight];
}

#endif
