// The part of HIP that kernel files use, over CUDA.
#ifndef GETP_HIP_OVER_CUDA_H
#define GETP_HIP_OVER_CUDA_H

#include <cuda_runtime.h>

#include <cuda_fp16.h> // before the macros below, which have names of its functions

#include "target/sm_90/hip/hip_runtime_api.h"

// clang-format does not know <<< and >>>.
// clang-format off
#define hipLaunchKernelGGL(kernel, grid, block, shared, stream, ...) \
  ((kernel)<<<(grid), (block), (shared), (stream)>>>(__VA_ARGS__))
// clang-format on
#define HIP_KERNEL_NAME(...) __VA_ARGS__
#define HIP_DYNAMIC_SHARED(type, name) extern __shared__ type name[];

// All lanes of a warp call these, as HIP assumes on machines whose lanes run in lockstep.
#define GETP_ALL_LANES 0xffffffffu
#define __shfl(...) __shfl_sync(GETP_ALL_LANES, __VA_ARGS__)
#define __shfl_xor(...) __shfl_xor_sync(GETP_ALL_LANES, __VA_ARGS__)
#define __shfl_up(...) __shfl_up_sync(GETP_ALL_LANES, __VA_ARGS__)
#define __shfl_down(...) __shfl_down_sync(GETP_ALL_LANES, __VA_ARGS__)
#define __ballot(predicate) ((unsigned long long)__ballot_sync(GETP_ALL_LANES, predicate))

#endif
