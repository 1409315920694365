// Streams and events, and mistakes in their order.

#include "cases.h"

#include <cstring>

namespace {

struct pipeline {
  hipStream_t copies = stream(), kernels = stream();
  hipEvent_t copied = event(hipEventDisableTiming);
  float *p = pinned(256), *x = device<float>(256), *y = device<float>(256);
  ~pipeline() {
    OK(hipFree(x));
    OK(hipFree(y));
    OK(hipHostFree(p));
    OK(hipEventDestroy(copied));
    OK(hipStreamDestroy(copies));
    OK(hipStreamDestroy(kernels));
  }
};

// Mistakes of `two_streams`, besides SOUND.
enum {
  NO_WAIT_FOR_COPY = MUTANTS,
  WAIT_FOR_ALL,
  NO_WAIT_AT_END,
  WAIT_FOR_WRONG_STREAM,
  RECORD_TOO_EARLY,
  REUSE
};

// Computes p + 1 with two streams.
void two_streams(int mutant) {
  pipeline use;
  size_t bytes = 256 * sizeof(float);
  std::vector<float> values = numbers(256);
  memcpy(use.p, values.data(), bytes);
  if (mutant == RECORD_TOO_EARLY) {
    OK(hipEventRecord(use.copied, use.copies));
  }
  OK(hipMemcpyAsync(use.x, use.p, bytes, hipMemcpyHostToDevice, use.copies));
  if (mutant == REUSE) {
    memset(use.p, 0, bytes);
  }
  if (mutant != RECORD_TOO_EARLY) {
    OK(hipEventRecord(use.copied, use.copies));
  }
  if (mutant != NO_WAIT_FOR_COPY && mutant != WAIT_FOR_ALL) {
    OK(hipStreamWaitEvent(use.kernels, use.copied, 0));
  }
  OK(launch_plus_one(use.y, use.x, 256, 64, use.kernels));
  OK(hipMemcpyAsync(use.p, use.y, bytes, hipMemcpyDeviceToHost, use.kernels));
  if (mutant == WAIT_FOR_WRONG_STREAM) {
    OK(hipStreamSynchronize(use.copies));
  } else if (mutant == WAIT_FOR_ALL) {
    OK(hipDeviceSynchronize());
  } else if (mutant != NO_WAIT_AT_END) {
    OK(hipStreamSynchronize(use.kernels));
  }
  for (size_t i = 0; i < 256; i++) {
    CHECK(use.p[i] == values[i] + 1);
  }
}

// The default stream and blocking streams wait for each other; other streams do not.
void default_after_stream(unsigned flags, bool want) {
  hipStream_t other = stream(flags);
  float *x = device(numbers(64)), *y = device<float>(64);
  OK(launch_plus_one(y, x, 64, 64, other));
  CHECK((host(y, 64)[0] == -8) == want);
  OK(hipFree(x));
  OK(hipFree(y));
  OK(hipStreamDestroy(other));
}

void stream_after_default(unsigned flags, bool want) {
  hipStream_t other = stream(flags);
  float *x = device<float>(64), *y = device<float>(64);
  OK(hipMemsetAsync(x, 0, 64 * sizeof *x, nullptr));
  OK(launch_plus_one(y, x, 64, 64, other));
  OK(hipStreamSynchronize(other));
  CHECK((host(y, 64)[0] == 1) == want);
  OK(hipFree(x));
  OK(hipFree(y));
  OK(hipStreamDestroy(other));
}

void events() {
  hipEvent_t start = event(), stop = event(), untimed = event(hipEventDisableTiming);
  hipStream_t on = stream();
  float time;
  CHECK(hipEventElapsedTime(&time, start, stop) == hipErrorInvalidHandle);
  CHECK(hipGetLastError() == hipErrorInvalidHandle);
  OK(hipEventRecord(start, on));
  OK(launch_barriers(100, on));
  OK(hipEventRecord(stop, on));
  OK(hipEventRecord(untimed, on));
  CHECK(hipEventElapsedTime(&time, start, stop) == hipErrorNotReady);
  OK(hipGetLastError());
  OK(hipEventSynchronize(stop));
  OK(hipEventElapsedTime(&time, start, stop));
  CHECK(time > 0 && time < 10000);
  OK(hipStreamSynchronize(on));
  CHECK(hipEventElapsedTime(&time, start, untimed) == hipErrorInvalidHandle);
  for (hipEvent_t each : {start, stop, untimed}) {
    OK(hipEventDestroy(each));
  }
  OK(hipStreamDestroy(on));
}

} // namespace

void test_streams() {
  const struct {
    const char *name;
    int mutant;
  } mutants[] = {{"two streams, no wait for the copy", NO_WAIT_FOR_COPY},
                 {"two streams, no wait for the copy, but a wait for the device", WAIT_FOR_ALL},
                 {"two streams, no wait at the end", NO_WAIT_AT_END},
                 {"two streams, wait for the wrong stream", WAIT_FOR_WRONG_STREAM},
                 {"two streams, event recorded before the copy", RECORD_TOO_EARLY},
                 {"two streams, buffer changed before the copy is done", REUSE}};
  expect("two streams", 0, "", [] { two_streams(SOUND); });
  for (const auto &each : mutants) {
    expect(each.name, WRONG, "use.p[i] == values[i] + 1", [=] { two_streams(each.mutant); });
  }
  for (unsigned flags : {hipStreamDefault, hipStreamNonBlocking}) {
    bool blocks = flags == hipStreamDefault;
    const char *which = blocks ? ", blocking" : ", not blocking";
    expect(std::string("default stream after a stream") + which, 0, "",
           [=] { default_after_stream(flags, blocks); });
    expect(std::string("stream after the default stream") + which, 0, "",
           [=] { stream_after_default(flags, blocks); });
  }
  expect("events", 0, "", events);
}
