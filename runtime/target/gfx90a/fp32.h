// All that kernels of precision `fp32` use on gfx90a.
#ifndef GETP_TARGET_GFX90A_FP32_H
#define GETP_TARGET_GFX90A_FP32_H

#include "target/fp32/baseline.h"

#endif
