// AMD MI200: HIP itself, waves of 64.
#ifndef GETP_TARGET_GFX90A_H
#define GETP_TARGET_GFX90A_H

#include "hip.h"

#endif
