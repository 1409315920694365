// The memory of an engine, and the RoPE table that it holds besides the weights.
#ifndef GETP_ENGINE_MEMORY_H
#define GETP_ENGINE_MEMORY_H

#include "engine/state.h"

enum { ROPE_FLOATS = LIMIT_CONTEXT * (MODEL_D_HEAD / 2) }; // cosines; as many sines follow them

// Allocates everything that the plan has, except whole logits on the host, with `packed` bytes for
// the packed weights.
bool memory_alloc(struct engine *engine, size_t packed, struct error *err);
void memory_free(struct engine *engine);

// Allocates memory on the host. If `bytes` is 0, it does nothing and succeeds.
bool memory_alloc_host(struct engine *engine, struct memory *memory, size_t bytes, const char *what,
                       struct error *err);

// Enqueues zeroing the keys and values of a slot in all layers.
bool memory_clear_slot(struct engine *engine, int slot, struct error *err);

// Starts the copy of RoPE's cosines and sines to the device.
bool memory_upload_rope(struct engine *engine, struct error *err);

#endif
