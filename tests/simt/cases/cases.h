// Helpers of the harness's own tests. A case runs in a process of its own. It passes if that
// process ends with the expected status and the expected text on stderr: correct programs end well,
// and every mistake is caught by an abort with a certain line, by a wrong result, or by the report
// at exit.
#ifndef SIMT_CASES_H
#define SIMT_CASES_H

#include "samples.h"

#include <csignal>
#include <functional>
#include <hip/hip_runtime.h>
#include <string>
#include <vector>

// Statuses of cases besides 0.
enum { WRONG = 1, REFUSED = 3, LEFT = 86, ABORTED = 128 + SIGABRT };

// ---- the body of a case ----

// Ends the process with WRONG if not `good`.
void check(bool good, const char *what, const char *file, int line);
#define CHECK(condition) check(condition, #condition, __FILE__, __LINE__)
#define OK(call) CHECK((call) == hipSuccess)

template <class T> T *device(size_t n) {
  void *pointer;
  OK(hipMalloc(&pointer, n * sizeof(T)));
  return static_cast<T *>(pointer);
}

template <class T> T *device(const std::vector<T> &values) {
  T *pointer = device<T>(values.size());
  OK(hipMemcpy(pointer, values.data(), values.size() * sizeof(T), hipMemcpyHostToDevice));
  return pointer;
}

template <class T> std::vector<T> host(const T *pointer, size_t n) {
  std::vector<T> values(n);
  OK(hipMemcpy(values.data(), pointer, n * sizeof(T), hipMemcpyDeviceToHost));
  return values;
}

float *pinned(size_t n);
hipStream_t stream(unsigned flags = hipStreamNonBlocking);
hipEvent_t event(unsigned flags = hipEventDefault);

// Small integers, whose sums are exact in any order.
std::vector<float> numbers(int n);

// ---- running cases ----

struct outcome {
  int status; // of exit, or 128 + the signal
  std::string text;
};

// The settings of SIMT_ORDER under which kernels are tested.
extern const char *const orders[4];

// Runs a body in a process of its own, with variables NAME=VALUE, separated by blanks, in its
// environment.
outcome run(const std::string &environment, const std::function<void()> &body);

// Prints one line of TAP.
void report(bool good, const std::string &name, const outcome &got);

// Runs a case, which must end with this status and this text on stderr; "" means an empty stderr.
void expect(const std::string &name, int status, const std::string &text,
            const std::function<void()> &body, const std::string &environment = "");

// Runs a case of one kernel in all orders.
void kernel_case(const char *name, void (*body)(mutant), mutant which, int status,
                 const std::string &text);

// ---- the cases, by subject ----

void test_kernels();
void test_matrices();
void test_lanes();
void test_memory();
void test_streams();
void test_graphs();
void test_misuse();
void test_failing_calls();

#endif
