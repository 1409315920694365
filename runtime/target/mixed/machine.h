// The primitives of the machine that a kernel is compiled for. target/<machine>/mixed.h includes
// its own machine.h before anything else. A header of this folder that is compiled alone gets the
// primitives of gfx90a.
#ifndef GETP_TARGET_MIXED_MACHINE_H
#define GETP_TARGET_MIXED_MACHINE_H

#ifndef TARGET_STAGED
#include "target/gfx90a/machine.h"
#endif

#endif
