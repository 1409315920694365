// What one pass of the schedule works on: the rows of a batch and the memory that the plan laid
// out. Launchers get it with offsets into its buffers; nothing here knows a shape.
#ifndef GETP_ENGINE_PASS_H
#define GETP_ENGINE_PASS_H

#include "formats/handed_token.h"

#include <stddef.h>
#include <stdint.h>

#ifdef _OPENMP
#include <omp.h>
#endif

// What pass->counts holds, by place: of this pass on the device, where a captured schedule has only
// bounds.
enum pass_count { PASS_ROWS, PASS_OUTPUTS, PASS_GROUPS, PASS_COUNTS = 8 };

struct pass {
  int rows;                  // tokens in this pass; of a captured schedule: at most so many
  int outputs;               // rows of which something is wanted; captured: at most so many
  const int32_t *counts;     // (PASS_COUNTS) by enum pass_count
  const int32_t *token;      // (rows) id, or HANDED_TOKEN(i): the one in picked_before[i]
  const int32_t *position;   // (rows) 0-based, within the row's sequence
  const int32_t *slot;       // (rows) place of the sequence in the KV cache
  const int32_t *output_row; // (outputs) which row
  // (groups + 1) first row of each group, and then the number of rows: up to GROUP_ROWS rows of one
  // sequence at positions that follow each other
  const int32_t *group;
  int32_t *picked;              // (outputs) greedy id
  const int32_t *picked_before; // the same of the pass before
  int first_output;             // the first of those whose logits are now computed or sampled
  float sharpness;              // of sampling: 1 / temperature
  char *arena;                  // activations; arena.h
  float *kv;                    // kv.h
  char *workspace;              // one piece a thread
  size_t workspace_bytes;       // of a piece
  const float *rope_cos;        // (context, head_dim / 2), scaled by YaRN's attention factor
  const float *rope_sin;        // the same
  void *stream;                 // of the device; NULL on the host
  // weights.inc; packed ones are aligned to 64 bytes, mapped ones to nothing
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

// The calling thread's piece of the workspace.
static inline float *pass_workspace(const struct pass *pass) {
#ifdef _OPENMP
  return (float *)(pass->workspace + (size_t)omp_get_thread_num() * pass->workspace_bytes);
#else
  return (float *)pass->workspace;
#endif
}

#endif
