// Features of sm_90 for which HIP has no function, mostly as PTX: the tensor-core instruction on
// halves, asynchronous copies from global to shared memory, launches that overlap, pairs of halves,
// fast functions.
#ifndef GETP_HIP_MATRIX_H
#define GETP_HIP_MATRIX_H

#include <cuda_fp16.h>
#include <stdint.h>
#include <string.h>

// ---- matrices ----

// c += a b, a (16, 16) in rows, b (16, 8) in columns. The PTX manual says which elements a lane has
// (mma.m16n8k16): c0, c1 are of line lane / 4, c2, c3 of line lane / 4 + 8, all at columns
// 2 (lane % 4) and the next.
static __device__ __forceinline__ void mma_m16n8k16(float &c0, float &c1, float &c2, float &c3,
                                                    uint32_t a0, uint32_t a1, uint32_t a2,
                                                    uint32_t a3, uint32_t b0, uint32_t b1) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, "
               "{%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
               : "+f"(c0), "+f"(c1), "+f"(c2), "+f"(c3)
               : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}

// Loads four matrices of 8 by 8 halves. Lane l gives the address of line l % 8 of matrix l / 8. It
// gets columns 2 (l % 4) and the next of line l / 4 of each matrix.
static __device__ __forceinline__ void load_matrices_x4(uint32_t (&to)[4], const void *line) {
  const uint32_t from = (uint32_t)__cvta_generic_to_shared(line);
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(from)
               : "memory");
}

// ---- launches ----

// How a multiprocessor divides its memory between shared memory and cache (the carveout). All
// kernels use the same division, because the multiprocessor must be idle to change it. The
// exception are kernels whose loads need the cache.
constexpr int MOST_SHARED = cudaSharedmemCarveoutMaxShared,
              DRIVERS_CHOICE = cudaSharedmemCarveoutDefault;

// Launches a kernel with `bytes` of dynamic shared memory. Its blocks may begin once every block of
// the previous kernel has called let_next_kernel_begin or has ended. Errors, as of too many bytes,
// are those of the launch.
template <class... P, class... A>
void launch_early(void (*kernel)(P...), int carveout, dim3 grid, dim3 block, size_t bytes,
                  cudaStream_t stream, A... given) {
  cudaLaunchAttribute early = {};
  early.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  early.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config = {grid, block, bytes, stream, &early, 1};
  const void *function = (const void *)kernel;
  (void)cudaFuncSetAttribute(function, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)bytes);
  (void)cudaFuncSetAttribute(function, cudaFuncAttributePreferredSharedMemoryCarveout, carveout);
  (void)cudaLaunchKernelEx(&config, kernel, given...);
}
#define LAUNCH_EARLY(kernel, ...) launch_early((kernel), __VA_ARGS__)

static __device__ __forceinline__ void let_next_kernel_begin() {
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
}

// Waits until the previous kernels have ended and their results can be read.
static __device__ __forceinline__ void await_kernels_before() {
  asm volatile("griddepcontrol.wait;" ::: "memory");
}

// ---- copies ----

// Starts to copy 16 bytes from global to shared memory.
static __device__ __forceinline__ void copy_async_16(void *shared, const void *global) {
  const uint32_t to = (uint32_t)__cvta_generic_to_shared(shared);
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to), "l"(global) : "memory");
}

// The same through the cache of the multiprocessor, for data that its other blocks read too.
static __device__ __forceinline__ void copy_async_shared_16(void *shared, const void *global) {
  const uint32_t to = (uint32_t)__cvta_generic_to_shared(shared);
  asm volatile("cp.async.ca.shared.global [%0], [%1], 16;" ::"r"(to), "l"(global) : "memory");
}

// Closes a group: the copies that this thread has started since it closed the previous group.
static __device__ __forceinline__ void commit_copies() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}

static __device__ __forceinline__ void wait_for_copies() {
  asm volatile("cp.async.wait_all;" ::: "memory");
}

// Waits for all closed groups but the newest GROUPS.
template <int GROUPS> static __device__ __forceinline__ void wait_for_copies_but() {
  asm volatile("cp.async.wait_group %0;" ::"n"(GROUPS) : "memory");
}

// ---- halves and functions ----

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
