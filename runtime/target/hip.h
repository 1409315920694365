// The primitives of kernels of either precision on any GPU that HIP supports.
#ifndef GETP_TARGET_HIP_H
#define GETP_TARGET_HIP_H

#include <hip/hip_runtime.h>

#include <math.h>
#include <stdint.h>
#include <string.h>

#define DEVICE static __device__ __forceinline__
#define DEVICE_MEMBER __device__ __forceinline__

constexpr int BLOCK = 256; // threads per block; a power of two

// The number of blocks of BLOCK threads that n threads need.
#define BLOCKS(n) (((n) + BLOCK - 1) / BLOCK)

// The index of this thread in the grid along x.
DEVICE int thread_index() {
  return (int)(blockIdx.x * BLOCK + threadIdx.x);
}

// The bits of a value as a value of another type.
template <class To, class From> DEVICE To bits_as(From from) {
  static_assert(sizeof(To) == sizeof(From), "both types have the same size");
  To to;
  __builtin_memcpy(&to, &from, sizeof to);
  return to;
}

#endif
