// All that kernels of precision `mixed` use on sm_90.
#ifndef GETP_TARGET_SM_90_MIXED_H
#define GETP_TARGET_SM_90_MIXED_H

#include "target/sm_90/machine.h"

#include "formats/moe_work.h"
#include "target/mixed/matrix.h"
#include "target/mixed/parts.h"
#include "target/mixed/rows.h"
#include "target/mixed/tiling.h"

#endif
