// How the programs of tests/emulator report: a line per check, "ok NAME" or "not ok NAME: WHY".
#ifndef EMULATOR_CHECK_H
#define EMULATOR_CHECK_H

#include <hip/hip_runtime.h>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

static int failures = 0;

static void must(hipError_t status, const char *call) {
  if (status == hipSuccess)
    return;
  printf("not ok %s: %s\n", call, hipGetErrorString(status));
  exit(1);
}
#define MUST(call) must((call), #call)

// Memory of the device with a copy on the host.
template <class T> struct Array {
  explicit Array(size_t count) : host(count) {
    MUST(hipMalloc((void **)&device, bytes()));
  }
  ~Array() {
    (void)hipFree(device);
  }
  size_t bytes() const {
    return host.size() * sizeof(T);
  }
  T &operator[](size_t i) {
    return host[i];
  }
  void send() {
    MUST(hipMemcpy(device, host.data(), bytes(), hipMemcpyHostToDevice));
  }
  void fetch() {
    MUST(hipMemcpy(host.data(), device, bytes(), hipMemcpyDeviceToHost));
  }

  std::vector<T> host;
  T *device;
};

// Numbers that do not repeat soon.
static uint64_t random_state = 0x9e3779b97f4a7c15u;
static inline uint64_t random_bits() {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return random_state;
}

// From -most to most.
static inline double random_number(double most) {
  return most * ((double)(random_bits() >> 11) / (1ull << 52) - 1);
}

static inline void report(const char *name, size_t wrong, size_t first, double got, double want) {
  if (wrong == 0) {
    printf("ok %s\n", name);
    return;
  }
  printf("not ok %s: %zu differ, the first at %zu: want %.17g, got %.17g\n", name, wrong, first,
         want, got);
  failures++;
}

// The same bits, or numbers that differ by at most `bound`, relative to numbers of at least 1e-30.
template <class T> static bool is_near(T got, T want, double bound) {
  if (!memcmp(&got, &want, sizeof got) || (got != got && want != want))
    return true;
  return std::fabs((double)got - (double)want) <= bound * std::fmax(std::fabs((double)want), 1e-30);
}

template <class T, class WANT>
static void compare(const char *name, Array<T> &got, size_t first, size_t count, double bound,
                    WANT want) {
  size_t wrong = 0, at = 0;
  for (size_t i = 0; i < count; i++) {
    const T expected = want(i);
    if (is_near(got[first + i], expected, bound))
      continue;
    if (wrong++ == 0)
      at = i;
  }
  const bool none = wrong == 0;
  report(name, wrong, at, none ? 0 : (double)got[first + at], none ? 0 : (double)want(at));
}

#endif
