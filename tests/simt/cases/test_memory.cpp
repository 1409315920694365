// Allocations, their bounds, and what is not freed.

#include "cases.h"

#include <cstring>

namespace {

int plain; // no memory of the device

void test_allocations() {
  expect("new memory is NaN, and out of range as an index", 0, "", [] {
    float *x = device<float>(100), *p = pinned(3);
    for (float each : host(x, 100)) {
      int32_t index;
      memcpy(&index, &each, sizeof index);
      CHECK(each != each && index > 1 << 30);
    }
    CHECK(p[0] != p[0]);
    OK(hipFree(x));
    OK(hipHostFree(p));
    OK(hipFree(nullptr));
  });
  expect("calls of zero bytes do nothing", 0, "", [] {
    void *none = &plain;
    OK(hipMalloc(&none, 0));
    CHECK(none == nullptr);
    OK(hipMemcpyAsync(nullptr, nullptr, 0, hipMemcpyHostToDevice, nullptr));
    OK(hipMemsetAsync(nullptr, 0, 0, nullptr));
    OK(hipDeviceSynchronize());
  });
  expect(
      "memory is bounded", 0, "",
      [] {
        size_t left, total;
        void *first = device<char>(900), *second;
        CHECK(hipMalloc(&second, 101) == hipErrorOutOfMemory);
        CHECK(hipPeekAtLastError() == hipErrorOutOfMemory);
        OK(hipMemGetInfo(&left, &total));
        CHECK(left == 100 && total == 1000);
        OK(hipFree(first));
        OK(hipFree(device<char>(1000)));
      },
      "SIMT_MEMORY=1000");
}

void test_accesses() {
  expect("the host reads device memory", ABORTED, "the host touches 4 bytes into", [] {
    volatile float *x = device<float>(100);
    CHECK(x[1] != 0);
  });
  expect("a kernel gets freed memory", ABORTED, "an argument points 0 bytes into a freed", [] {
    float *x = device<float>(64), *y = device<float>(64);
    OK(hipFree(x));
    (void)launch_plus_one(y, x, 64, 64, nullptr);
  });
  expect("a kernel gets host memory", ABORTED, "no memory of the device", [] {
    float x[64] = {};
    (void)launch_plus_one(x, x, 64, 64, nullptr);
  });
  expect("a write between the end and the guard", ABORTED, "wrote just outside", [] {
    float *x = device(numbers(64)), *y = device<float>(61);
    OK(launch_plus_one(y, x, 62, 64, nullptr));
    OK(hipDeviceSynchronize());
  });
}

void test_frees() {
  expect("freed twice", LEFT, "freed twice: 0 bytes into a freed allocation of 256 bytes", [] {
    float *x = device<float>(64);
    OK(hipFree(x));
    CHECK(hipFree(x) == hipErrorInvalidValue);
  });
  expect("free of memory that was not allocated", LEFT, "not what an allocation returned",
         [] { CHECK(hipFree(&plain) == hipErrorInvalidValue); });
  expect("free of an address inside an allocation", LEFT,
         "not freed at exit: hipMalloc of 256 bytes",
         [] { CHECK(hipFree(device<float>(64) + 1) == hipErrorInvalidValue); });
  expect("free of the wrong kind", LEFT, "not what an allocation returned",
         [] { CHECK(hipFree(pinned(4)) == hipErrorInvalidValue); });
  expect("memory that is not freed", LEFT, "not freed at exit: hipHostMalloc of 16 bytes\n",
         [] { (void)pinned(4); });
  expect("streams and events that are not freed", LEFT, "at exit: 1 streams, 2 events\n", [] {
    (void)stream();
    (void)event();
    (void)event();
  });
}

} // namespace

void test_memory() {
  test_allocations();
  test_accesses();
  test_frees();
}
