// The primitives of the machine that a kernel is compiled for: target/<machine>/mixed.h includes
// its own first. Read alone, the headers of this folder are gfx90a's, the machine that matters.
#ifndef GETP_TARGET_MIXED_MACHINE_H
#define GETP_TARGET_MIXED_MACHINE_H

#ifndef TARGET_STAGED
#include "target/gfx90a/machine.h"
#endif

#endif
