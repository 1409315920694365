// The one header that a kernel of precision `fp32` includes on sm_90, besides kernels.h.
#ifndef GETP_TARGET_SM_90_FP32_H
#define GETP_TARGET_SM_90_FP32_H

#include "target/fp32/baseline.h"

#endif
