// The primitives of cpu kernels. Every dimension is a constant after inlining.
//
// The source fixes the order of every sum and writes each fused multiply-add. A result therefore
// does not depend on the vector width of the machine, the number of rows or the number of threads.
#ifndef GETP_TARGET_CPU_MIXED_H
#define GETP_TARGET_CPU_MIXED_H

#include "target/cpu/matrix.h"
#include "target/cpu/rows.h"
#include "target/cpu/vectors.h"

#endif
