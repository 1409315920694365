// What a kernel file needs of HIP, over CUDA.
#ifndef GETP_HIP_OVER_CUDA_H
#define GETP_HIP_OVER_CUDA_H

#include <cuda_runtime.h>

#include "hip_runtime_api.h"

// clang-format does not know <<<
// clang-format off
#define hipLaunchKernelGGL(kernel, grid, block, shared, stream, ...) \
  ((kernel)<<<(grid), (block), (shared), (stream)>>>(__VA_ARGS__))
// clang-format on

#endif
