// The device side of HIP on this CPU: with it g++ compiles kernel files unchanged, and launches go
// to the scheduler (../schedule.cpp). Every lane is a fiber, and -DSIMT_WAVE= is the width of a
// wave. Kernel files must launch by hipLaunchKernelGGL and declare dynamic LDS by
// HIP_DYNAMIC_SHARED, because <<< >>> and `extern __shared__` are not C++. A shuffle that reads an
// inactive lane aborts.
#ifndef SIMT_HIP_RUNTIME_H
#define SIMT_HIP_RUNTIME_H

// Halves are converted by one instruction, which every processor with AVX2 has, not by calls.
#ifdef __x86_64__
#pragma GCC target("f16c")
#endif

#include <functional>
#include <hip/hip_runtime_api.h>
#include <math.h>
#include <stdint.h>
#include <string.h>
#include <tuple>
#include <type_traits>
#include <vector>

#ifndef SIMT_WAVE
#define SIMT_WAVE 64
#endif

#define __global__
#define __device__
#define __host__
#define __constant__ static const
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))
// LDS is thread-local storage, because that is the only section that g++ also allows in templates
// and the scheduler can find all of it. `used` stops g++ from reasoning about its values.
#define __shared__ static __thread __attribute__((used))
#define HIP_DYNAMIC_SHARED(type, name) type *name = static_cast<type *>(simt::dynamic_lds());
#define HIP_KERNEL_NAME(...) __VA_ARGS__
#define hipLaunchKernelGGL(kernel, grid, block, shared, stream, ...)                               \
  simt::launch_kernel(#kernel, false, (kernel), grid, block, shared, stream, ##__VA_ARGS__)

struct uint3 {
  unsigned x, y, z;
};

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};

extern uint3 threadIdx, blockIdx;
extern dim3 blockDim, gridDim;
constexpr int warpSize = SIMT_WAVE;

namespace simt {

// A line of a kernel file; as a default argument, the line of the call.
struct call_site {
  const char *file;
  int line;
  static constexpr call_site here(const char *file = __builtin_FILE(),
                                  int line = __builtin_LINE()) {
    return {file, line};
  }
};

struct launch {
  const char *kernel;
  const void *function;
  dim3 grid, block;
  size_t shared;
  hipStream_t stream;
  int wave;
  bool early; // blocks may begin before the previous kernel is done, and each must wait for it
  std::vector<const void *> pointers; // its arguments that are pointers
  std::function<void()> lane;
};

void enqueue(launch request);
// Raises the limit of dynamic LDS for launches of the kernel.
void allow_dynamic_lds(const void *function, size_t bytes);
void *dynamic_lds();
// Waits for the previous kernel in a lane of an early launch; no block may end without this call.
void await_kernels();
void block_barrier(const char *what, call_site at);

// Aborts after one line on stderr, which names the running kernel and lane if there is one.
[[noreturn]] void die(const char *format, ...) __attribute__((format(printf, 1, 2)));

// An operation of a wave.
struct wave {
  void *brought[SIMT_WAVE]; // operands of each lane; NULL for a lane that has left the kernel
  const char *what;         // name of the operation
  call_site at;
};
typedef void (*wave_operation)(const wave &);

int lane_id();
// Waits for the other lanes of the wave. Once all have reached the call, `operation` runs once for
// all of them and replaces their operands by results.
void meet(void *brought, wave_operation operation, const char *what, call_site at);
[[noreturn]] void die_absent(const wave &lanes, int reader, int absent);
// Dies unless every lane of the wave is active.
void want_all(const wave &lanes);

template <class T> struct to_read {
  T value;
  int from;
};

template <class T> void read_lanes(const wave &lanes) {
  T value[SIMT_WAVE];
  for (int i = 0; i < SIMT_WAVE; i++) {
    if (lanes.brought[i]) {
      value[i] = static_cast<to_read<T> *>(lanes.brought[i])->value;
    }
  }
  for (int i = 0; i < SIMT_WAVE; i++) {
    if (auto *mine = static_cast<to_read<T> *>(lanes.brought[i])) {
      if (mine->from < 0 || mine->from >= SIMT_WAVE || !lanes.brought[mine->from]) {
        die_absent(lanes, i, mine->from);
      }
      mine->value = value[mine->from];
    }
  }
}

template <class T> T read_lane(T value, int lane, const char *what, call_site at) {
  static_assert(std::is_trivially_copyable<T>::value, "a plain value");
  to_read<T> mine = {value, lane};
  meet(&mine, read_lanes<T>, what, at);
  return mine.value;
}

// Replaces each lane's predicate by the bits of all lanes.
inline void gather_bits(const wave &lanes) {
  uint64_t bits = 0;
  for (int i = 0; i < SIMT_WAVE; i++) {
    auto *mine = static_cast<const uint64_t *>(lanes.brought[i]);
    bits |= static_cast<uint64_t>(mine && *mine) << i;
  }
  for (void *mine : lanes.brought) {
    if (mine) {
      *static_cast<uint64_t *>(mine) = bits;
    }
  }
}

// Copies of 16 bytes from device memory to LDS. The lane that starts them waits for all of them, or
// for all groups that it closed except the newest.
void start_copy(void *lds, const void *from, call_site at);
void close_copies();
void finish_copies();
void finish_copies_but(size_t groups);

// Arguments are converted to the kernel's parameter types now and kept until the kernel runs.
template <class... P, class... A>
void launch_kernel(const char *name, bool early, void (*kernel)(P...), dim3 grid, dim3 block,
                   size_t shared, hipStream_t stream, A... given) {
  static_assert(sizeof...(P) == sizeof...(A), "a launch has as many arguments as the kernel");
  std::tuple<P...> arguments(given...);
  std::vector<const void *> pointers;
  auto note = [&pointers](const auto &argument) {
    if constexpr (std::is_pointer<std::decay_t<decltype(argument)>>::value) {
      pointers.push_back(argument);
    }
  };
  std::apply([&note](const P &...each) { (note(each), ...); }, arguments);
  enqueue({name, reinterpret_cast<const void *>(kernel), grid, block, shared, stream, SIMT_WAVE,
           early, std::move(pointers), [kernel, arguments] { std::apply(kernel, arguments); }});
}

} // namespace simt

// ---- barriers and waves ----

inline void __syncthreads(simt::call_site at = simt::call_site::here()) {
  simt::block_barrier("__syncthreads", at);
}
inline void __threadfence() {}
inline void __threadfence_block() {}

// The shuffles are HIP's: lanes are numbered within groups of `width`, a power of two, and a lane
// whose partner lies outside its group gets its own value.
template <class T>
T __shfl(T value, int lane, int width = warpSize, simt::call_site at = simt::call_site::here()) {
  int first = simt::lane_id() & ~(width - 1);
  return simt::read_lane(value, first + (lane & (width - 1)), "__shfl", at);
}

template <class T>
T __shfl_xor(T value, int mask, int width = warpSize,
             simt::call_site at = simt::call_site::here()) {
  int self = simt::lane_id(), from = self ^ mask, end = (self & ~(width - 1)) + width;
  return simt::read_lane(value, from < end ? from : self, "__shfl_xor", at);
}

template <class T>
T __shfl_down(T value, unsigned by, int width = warpSize,
              simt::call_site at = simt::call_site::here()) {
  int self = simt::lane_id(), inside = (self & (width - 1)) + static_cast<int>(by) < width;
  return simt::read_lane(value, inside ? self + static_cast<int>(by) : self, "__shfl_down", at);
}

template <class T>
T __shfl_up(T value, unsigned by, int width = warpSize,
            simt::call_site at = simt::call_site::here()) {
  int self = simt::lane_id(), inside = (self & (width - 1)) >= static_cast<int>(by);
  return simt::read_lane(value, inside ? self - static_cast<int>(by) : self, "__shfl_up", at);
}

inline uint64_t __ballot(int predicate, simt::call_site at = simt::call_site::here()) {
  uint64_t bits = predicate != 0;
  simt::meet(&bits, simt::gather_bits, "__ballot", at);
  return bits;
}

inline int __any(int predicate, simt::call_site at = simt::call_site::here()) {
  return __ballot(predicate, at) != 0;
}
inline int __all(int predicate, simt::call_site at = simt::call_site::here()) {
  return __ballot(!predicate, at) == 0;
}

// ---- integer atomics: plain code, because lanes switch at barriers only ----

template <class T> T simt_update(T *at, T value) {
  static_assert(std::is_integral<T>::value,
                "sums of floats would depend on the order of the lanes");
  T old = *at;
  *at = value;
  return old;
}
template <class T> T atomicAdd(T *at, std::common_type_t<T> by) {
  return simt_update(at, static_cast<T>(*at + by));
}
template <class T> T atomicMax(T *at, std::common_type_t<T> value) {
  return simt_update(at, *at < value ? value : *at);
}
template <class T> T atomicMin(T *at, std::common_type_t<T> value) {
  return simt_update(at, value < *at ? value : *at);
}
template <class T> T atomicExch(T *at, std::common_type_t<T> value) {
  return simt_update(at, value);
}
template <class T> T atomicCAS(T *at, std::common_type_t<T> was, std::common_type_t<T> value) {
  return simt_update(at, *at == was ? value : *at);
}

// ---- vectors, bits, mathematics ----

#define SIMT_VECTORS(type, name)                                                                   \
  struct __align__(2 * sizeof(type)) name##2 {                                                     \
    type x, y;                                                                                     \
  };                                                                                               \
  struct __align__(4 * sizeof(type)) name##4 {                                                     \
    type x, y, z, w;                                                                               \
  };                                                                                               \
  inline name##2 make_##name##2(type x, type y) {                                                  \
    return {x, y};                                                                                 \
  }                                                                                                \
  inline name##4 make_##name##4(type x, type y, type z, type w) {                                  \
    return {x, y, z, w};                                                                           \
  }
SIMT_VECTORS(float, float)
SIMT_VECTORS(int, int)
SIMT_VECTORS(unsigned, uint)
SIMT_VECTORS(unsigned short, ushort)
#undef SIMT_VECTORS

template <class To, class From> To simt_bits(From from) {
  static_assert(sizeof(To) == sizeof(From), "bits of one size");
  To to;
  memcpy(&to, &from, sizeof to);
  return to;
}
inline unsigned __float_as_uint(float x) {
  return simt_bits<unsigned>(x);
}
inline int __float_as_int(float x) {
  return simt_bits<int>(x);
}
inline float __uint_as_float(unsigned x) {
  return simt_bits<float>(x);
}
inline float __int_as_float(int x) {
  return simt_bits<float>(x);
}

inline int __popc(unsigned x) {
  return __builtin_popcount(x);
}
inline int __popcll(unsigned long long x) {
  return __builtin_popcountll(x);
}
inline int __clz(int x) {
  return x ? __builtin_clz(static_cast<unsigned>(x)) : 32;
}
inline unsigned __brev(unsigned x) {
  unsigned reversed = 0;
  for (int i = 0; i < 32; i++) {
    reversed |= (x >> i & 1) << (31 - i);
  }
  return reversed;
}
// Byte i of the result is the byte of y:x whose number is digit i of `selector`; x is the low half.
inline unsigned __byte_perm(unsigned x, unsigned y, unsigned selector) {
  uint64_t both = static_cast<uint64_t>(y) << 32 | x;
  unsigned chosen = 0;
  for (int i = 0; i < 4; i++) {
    unsigned from = selector >> 4 * i & 7;
    chosen |= static_cast<unsigned>(both >> 8 * from & 0xff) << 8 * i;
  }
  return chosen;
}
inline int __ffs(int x) {
  return __builtin_ffs(x);
}
inline int __ffsll(long long x) {
  return __builtin_ffsll(x);
}

template <class T> T min(T a, T b) {
  return b < a ? b : a;
}
template <class T> T max(T a, T b) {
  return a < b ? b : a;
}
inline float rsqrtf(float x) {
  return 1.0f / sqrtf(x);
}
inline float __expf(float x) {
  return expf(x);
}
inline float __fmul_rn(float a, float b) {
  return a * b;
}
inline float __fadd_rn(float a, float b) {
  return a + b;
}
inline float __fmaf_rn(float a, float b, float c) {
  return fmaf(a, b, c);
}

#if SIMT_WAVE == 64
#include "amdgcn_builtins.h"
#endif

#endif
