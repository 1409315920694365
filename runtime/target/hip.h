// What kernels of either precision use on any GPU that HIP reaches.
#ifndef GETP_TARGET_HIP_H
#define GETP_TARGET_HIP_H

#include <hip/hip_runtime.h>

#include <math.h>
#include <stdint.h>
#include <string.h>

#define DEVICE static __device__ __forceinline__
#define DEVICE_MEMBER __device__ __forceinline__

constexpr int BLOCK = 256; // threads of a block; a power of two

// Blocks of BLOCK threads that n threads need.
#define BLOCKS(n) (((n) + BLOCK - 1) / BLOCK)

// Which of the grid's threads this is, along x.
DEVICE int thread_index() {
  return (int)(blockIdx.x * BLOCK + threadIdx.x);
}

// The same bits as another type.
template <class To, class From> DEVICE To bits_as(From from) {
  static_assert(sizeof(To) == sizeof(From), "bits of one size");
  To to;
  __builtin_memcpy(&to, &from, sizeof to);
  return to;
}

#endif
