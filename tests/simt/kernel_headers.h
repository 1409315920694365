// What every kernel includes, for tests/simt/kernels.ninja.
#include <hip/hip_runtime.h>
