// The one header that a kernel of precision `mixed` includes on sm_90, besides kernels.h.
#ifndef GETP_TARGET_SM_90_MIXED_H
#define GETP_TARGET_SM_90_MIXED_H

#include "target/sm_90/machine.h"

#include "formats/moe_work.h"
#include "target/mixed/attention.h"
#include "target/mixed/draw.h"
#include "target/mixed/matrix.h"
#include "target/mixed/rows.h"
#include "target/mixed/tiling.h"

#endif
