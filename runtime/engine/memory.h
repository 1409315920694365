// The memory of an engine, and the tables that it holds besides the weights.
#ifndef GETP_ENGINE_MEMORY_H
#define GETP_ENGINE_MEMORY_H

#include "engine/state.h"

enum { ROPE_FLOATS = LIMIT_CONTEXT * (MODEL_D_HEAD / 2) }; // of cos, and of sin behind them

// Takes all memory that the plan laid out, but for whole logits on the host.
bool memory_alloc(struct engine *engine, struct error *err);
void memory_free(struct engine *engine);

// Memory on the host; of no bytes: none.
bool memory_alloc_host(struct engine *engine, struct memory *memory, size_t bytes, const char *what,
                       struct error *err);

// Sends the table of RoPE's cos and sin on its way to the device.
bool memory_upload_rope(struct engine *engine, struct error *err);

#endif
