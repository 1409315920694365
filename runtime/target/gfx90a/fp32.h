// The one header that a kernel of precision `fp32` includes on gfx90a, besides kernels.h.
#ifndef GETP_TARGET_GFX90A_FP32_H
#define GETP_TARGET_GFX90A_FP32_H

#include "target/fp32/baseline.h"

#endif
