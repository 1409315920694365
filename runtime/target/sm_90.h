// NVIDIA Hopper through sm_90/hip, which maps HIP onto CUDA: warps of 32.
#ifndef GETP_TARGET_SM_90_H
#define GETP_TARGET_SM_90_H

#include "hip.h"

#endif
