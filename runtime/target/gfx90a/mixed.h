// All that kernels of precision `mixed` use on gfx90a.
#ifndef GETP_TARGET_GFX90A_MIXED_H
#define GETP_TARGET_GFX90A_MIXED_H

#include "target/gfx90a/machine.h"

#include "formats/moe_work.h"
#include "target/mixed/matrix.h"
#include "target/mixed/parts.h"
#include "target/mixed/rows.h"
#include "target/mixed/tiling.h"

#endif
