// What a kernel file needs of HIP, over CUDA.
#ifndef GETP_HIP_OVER_CUDA_H
#define GETP_HIP_OVER_CUDA_H

#include <cuda_runtime.h>

#include "hip_runtime_api.h"

#define hipLaunchKernelGGL(kernel, grid, block, shared, stream, ...)                               \
  ((kernel) < < < (grid), (block), (shared), (stream) >>> (__VA_ARGS__))

#endif
