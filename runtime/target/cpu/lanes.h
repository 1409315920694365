// What the vectors of all machines have in common.
#ifndef GETP_TARGET_CPU_LANES_H
#define GETP_TARGET_CPU_LANES_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#define ALWAYS_INLINE static inline __attribute__((always_inline))

enum {
  LANES = 16,                   // of a vector; a feature of a panel each
  SUBNORMAL_SCALE = 0x00400000, // the bits of 2^-127
  QUIET_NAN = 0x7fc00000,
};

#endif
