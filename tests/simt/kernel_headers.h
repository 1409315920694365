// The precompiled header of kernel files; tests/simt/kernels.ninja compiles it.
#include <hip/hip_runtime.h>
