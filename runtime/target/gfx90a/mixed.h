// The one header that a kernel of precision `mixed` includes on gfx90a, besides kernels.h.
#ifndef GETP_TARGET_GFX90A_MIXED_H
#define GETP_TARGET_GFX90A_MIXED_H

#include "target/gfx90a/machine.h"

#include "formats/moe_work.h"
#include "target/mixed/attention.h"
#include "target/mixed/draw.h"
#include "target/mixed/matrix.h"
#include "target/mixed/rows.h"
#include "target/mixed/tiling.h"

#endif
