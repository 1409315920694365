// Compiled once per tree: allocates the sizes of its arena.h and kv.h.
#include "engine/memory.h"

#include "arena.h"
#include "engine/description.h"
#include "kv.h"

#include <math.h>

_Static_assert(sizeof(struct row_record) == ROWS_BYTES, "the plan counts a row record");
_Static_assert(!HEAD_SPLIT || LIMIT_ROWS * sizeof(struct draw) == DRAWS_BYTES,
               "the plan counts the draws of a pass");
_Static_assert(!HEAD_SPLIT || LIMIT_ROWS * sizeof(int32_t) == PICKED_BYTES,
               "the plan counts the ids of a pass");
_Static_assert(STAGING_BYTES == 0 ||
                   STAGING_BYTES == DEVICE_STAGING_BUFFERS * (size_t)DEVICE_STAGING_BYTES,
               "the plan counts the staging buffers of device/device.h");

enum { HALF = MODEL_D_HEAD / 2 };

// Fills in the scaled cosines (or sines) of n positions from `first` on. The angle is a product of
// floats, as in transformers.
static void fill_rope(float *out, int first, int n, bool cosine) {
  for (int p = first; p < first + n; p++)
    for (int i = 0; i < HALF; i++) {
      const double angle = (double)((float)p * MODEL_ROPE_INV_FREQ[i]);
      *out++ = (float)(cosine ? cos(angle) : sin(angle)) * MODEL_ROPE_SCALE;
    }
}

static bool upload_half(struct engine *engine, bool cosine, struct error *err) {
  enum { MAX_POSITIONS = DEVICE_STAGING_BYTES / (HALF * (int)sizeof(float)) };
  float *to = (float *)engine->rope.at + (cosine ? 0 : ROPE_FLOATS);
  for (int first = 0; first < LIMIT_CONTEXT; first += MAX_POSITIONS) {
    const int n = LIMIT_CONTEXT - first < MAX_POSITIONS ? LIMIT_CONTEXT - first : MAX_POSITIONS;
    const size_t bytes = (size_t)n * HALF * sizeof *to;
    float *staging = device_staging(engine->device, to + first * HALF, bytes, err);
    if (!staging)
      return false;
    fill_rope(staging, first, n, cosine);
    if (!device_upload_staging(engine->device, to + first * HALF, bytes, err))
      return false;
  }
  return true;
}

bool memory_upload_rope(struct engine *engine, struct error *err) {
  return upload_half(engine, true, err) && upload_half(engine, false, err);
}

// Does nothing for 0 bytes: not every tree has every kind of memory.
static bool alloc(struct engine *engine, struct memory *memory, size_t bytes, const char *what,
                  struct error *err) {
  return bytes == 0 || device_alloc(engine->device, memory, bytes, what, err);
}

bool memory_alloc_host(struct engine *engine, struct memory *memory, size_t bytes, const char *what,
                       struct error *err) {
  return bytes == 0 || device_alloc_host(engine->device, memory, bytes, what, err);
}

// Loading fills these as a whole.
static bool alloc_weights(struct engine *engine, size_t bytes, struct error *err) {
  if (!alloc(engine, &engine->packed, bytes, "weights", err))
    return false;
  device_use_large_pages(engine->device, &engine->packed);
  return true;
}

bool memory_alloc(struct engine *engine, size_t packed, struct error *err) {
  bool ok = alloc_weights(engine, packed, err) &&
            alloc(engine, &engine->kv, KV_BYTES, "the KV cache", err) &&
            device_clear(engine->device, &engine->kv, err) && // the padding of keys stays 0
            alloc(engine, &engine->arena, ARENA_BYTES, "activations", err) &&
            alloc(engine, &engine->rope, ROPE_BYTES, "the RoPE table", err) &&
            alloc(engine, &engine->rows, ROWS_BYTES, "rows", err) &&
            device_clear(engine->device, &engine->rows, err) && // no rows before the first pass
            alloc(engine, &engine->draws, DRAWS_BYTES, "draws", err) &&
            alloc(engine, &engine->picked, PICKED_BYTES, "picked ids", err);
  for (int i = 0; ok && i < ENGINE_PASSES; i++)
    ok = memory_alloc_host(engine, &engine->host_rows[i], ROWS_BYTES, "rows", err) &&
         memory_alloc_host(engine, &engine->host_draws[i], DRAWS_BYTES, "draws", err) &&
         memory_alloc_host(engine, &engine->host_picked[i], PICKED_BYTES, "picked ids", err);
  return ok;
}

static bool clear(struct engine *engine, size_t offset, size_t bytes, struct error *err) {
  const struct memory piece = {(char *)engine->kv.at + offset, bytes};
  return device_clear(engine->device, &piece, err);
}

bool memory_clear_slot(struct engine *engine, int slot, struct error *err) {
  struct model_config config;
  size_t sliding = 0, full = 0;
  engine_model(&config);
  for (int i = 0; i < config.n_layers; i++) {
    const bool slides = config.layer_types[i] == 's';
    const size_t positions = slides ? KV_SLIDING_POSITIONS : KV_FULL_POSITIONS;
    const size_t layer = KV_AT(sliding, full);
    for (int piece = 0; piece < KV_PIECES; piece++)
      if (!clear(engine, KV_ELEMENT * (layer + KV_PIECE(piece, slot, positions)),
                 KV_ELEMENT * KV_PIECE_SIZE(positions), err))
        return false;
    sliding += slides;
    full += !slides;
  }
  return true;
}

void memory_free(struct engine *engine) {
  struct device *device = engine->device;
  device_free(device, &engine->packed);
  device_free(device, &engine->kv);
  device_free(device, &engine->arena);
  device_free(device, &engine->rope);
  device_free(device, &engine->rows);
  device_free(device, &engine->draws);
  device_free(device, &engine->picked);
  device_free_host(device, &engine->host_logits);
  for (int i = 0; i < ENGINE_PASSES; i++) {
    device_free_host(device, &engine->host_rows[i]);
    device_free_host(device, &engine->host_draws[i]);
    device_free_host(device, &engine->host_picked[i]);
  }
}
