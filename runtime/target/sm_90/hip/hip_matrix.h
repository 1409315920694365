// What sm_90 has and HIP has no word for, as PTX: the tensor-core instruction on halves, copies
// from global to shared memory that pass by the registers, pairs of halves, fast functions.
#ifndef GETP_HIP_MATRIX_H
#define GETP_HIP_MATRIX_H

#include <cuda_fp16.h>
#include <stdint.h>
#include <string.h>

// c += a b, a (16, 16) in rows, b (16, 8) in columns, in the registers that the PTX manual says:
// c0, c1 of row lane / 4 and c2, c3 of row lane / 4 + 8, columns 2 (lane % 4) and the next.
static __device__ __forceinline__ void mma_m16n8k16(float &c0, float &c1, float &c2, float &c3,
                                                    uint32_t a0, uint32_t a1, uint32_t a2,
                                                    uint32_t a3, uint32_t b0, uint32_t b1) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, "
               "{%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
               : "+f"(c0), "+f"(c1), "+f"(c2), "+f"(c3)
               : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}

// The same for what other blocks of the multiprocessor read too: through its cache.
static __device__ __forceinline__ void copy_async_shared_16(void *shared, const void *global) {
  const uint32_t to = (uint32_t)__cvta_generic_to_shared(shared);
  asm volatile("cp.async.ca.shared.global [%0], [%1], 16;" ::"r"(to), "l"(global) : "memory");
}

// How a multiprocessor's memory is parted between what its blocks share and the cache: all kernels
// take the same, since the memory would have to be empty before it is parted anew, but for those
// whose loads wait in the cache.
constexpr int MOST_SHARED = cudaSharedmemCarveoutMaxShared,
              DRIVERS_CHOICE = cudaSharedmemCarveoutDefault;

// Launches a kernel whose blocks may begin once those of the kernel before it have all come to
// let_next_kernel_begin or ended, with so many bytes of dynamic shared memory; a number that is too
// large shows as the launch's error.
template <class... P, class... A>
void launch_early(void (*kernel)(P...), int parting, dim3 grid, dim3 block, size_t bytes,
                  cudaStream_t stream, A... given) {
  cudaLaunchAttribute early = {};
  early.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  early.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config = {grid, block, bytes, stream, &early, 1};
  const void *function = (const void *)kernel;
  (void)cudaFuncSetAttribute(function, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)bytes);
  (void)cudaFuncSetAttribute(function, cudaFuncAttributePreferredSharedMemoryCarveout, parting);
  (void)cudaLaunchKernelEx(&config, kernel, given...);
}
#define LAUNCH_EARLY(kernel, ...) launch_early((kernel), __VA_ARGS__)

static __device__ __forceinline__ void let_next_kernel_begin() {
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
}

// Waits until the kernels before this one are done, and what they wrote is there.
static __device__ __forceinline__ void await_kernels_before() {
  asm volatile("griddepcontrol.wait;" ::: "memory");
}

// Four matrices of eight rows of eight halves: lane l says where row l % 8 of matrix l / 8 is, and
// gets of each matrix columns 2 (l % 4) and the next of row l / 4.
static __device__ __forceinline__ void load_matrices_x4(uint32_t (&to)[4], const void *row) {
  const uint32_t from = (uint32_t)__cvta_generic_to_shared(row);
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(from)
               : "memory");
}

static __device__ __forceinline__ void copy_async_16(void *shared, const void *global) {
  const uint32_t to = (uint32_t)__cvta_generic_to_shared(shared);
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to), "l"(global) : "memory");
}

// Closes the group of the copies that this thread has begun since it closed the last one.
static __device__ __forceinline__ void commit_copies() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}

static __device__ __forceinline__ void wait_for_copies() {
  asm volatile("cp.async.wait_all;" ::: "memory");
}

// Waits for all groups that are closed but the newest GROUPS.
template <int GROUPS> static __device__ __forceinline__ void wait_for_copies_but() {
  asm volatile("cp.async.wait_group %0;" ::"n"(GROUPS) : "memory");
}

static __device__ __forceinline__ uint32_t half2_bits(__half2 pair) {
  uint32_t bits;
  memcpy(&bits, &pair, sizeof bits);
  return bits;
}

static __device__ __forceinline__ uint32_t pack_half2(float a, float b) {
  return half2_bits(__floats2half2_rn(a, b));
}

static __device__ __forceinline__ uint32_t multiply_half2(uint32_t a, uint32_t b) {
  __half2 x, y;
  memcpy(&x, &a, sizeof x);
  memcpy(&y, &b, sizeof y);
  return half2_bits(__hmul2(x, y));
}

static __device__ __forceinline__ float exp2_approximate(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

static __device__ __forceinline__ float reciprocal_approximate(float x) {
  float y;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

#endif
