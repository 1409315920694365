// All that kernels of precision `fp32` use on sm_90.
#ifndef GETP_TARGET_SM_90_FP32_H
#define GETP_TARGET_SM_90_FP32_H

#include "target/fp32/baseline.h"

#endif
