// The pack step of the cpu target: turns matrices of a checkpoint into the panels of
// formats/panels.h.
#ifndef GETP_WEIGHTS_PANELS_H
#define GETP_WEIGHTS_PANELS_H

#include "formats/panels.h"
#include "weights/matrices.h"

// The number of panels.
size_t panel_count(const struct matrices *matrices);

// Write panels [first, first + n) to `out`, with all threads: each takes as many panels of a matrix
// as the others, and always the same ones. Numbers of another dtype are widened, or rounded to
// nearest even; an infinity or a NaN stays one. MXFP4 is made from MXFP4 alone.
void panels_pack_f32(const struct matrices *matrices, size_t first, size_t n, uint8_t *out);
void panels_pack_bf16(const struct matrices *matrices, size_t first, size_t n, uint8_t *out);
void panels_pack_mxfp4(const struct matrices *matrices, size_t first, size_t n, uint8_t *out);

#endif
