// Captures, graphs, and the calls that a capture forbids.

#include "recording.h"

namespace {

void replay() {
  recording r;
  r.fill(1);
  r.record();
  OK(hipStreamSynchronize(r.on));
  CHECK(r.q[0] != r.q[0] && host(r.y, 64)[0] != host(r.y, 64)[0]); // nothing has run
  for (float value : {3.0f, 5.0f}) {
    r.fill(value);
    OK(hipGraphLaunch(r.exec, r.on));
    CHECK(r.q[0] != value + 1);
    OK(hipStreamSynchronize(r.on));
    CHECK(r.q[0] == value + 1 && r.q[63] == value + 1);
  }
}

// The graph computes y = y + 1 twice; other work comes before and after it.
void replay_on_device() {
  recording r;
  r.begin();
  OK(launch_plus_one(r.y, r.y, 64, 64, r.on));
  OK(launch_plus_one(r.x, r.y, 64, 64, r.on));
  OK(hipMemcpyAsync(r.y, r.x, 256, hipMemcpyDeviceToDevice, r.on));
  r.end();
  for (float value : {10.0f, 20.0f}) {
    std::vector<float> start(64, value);
    OK(hipMemcpy(r.y, start.data(), 256, hipMemcpyHostToDevice));
    OK(launch_plus_one(r.y, r.y, 64, 64, r.on));
    OK(hipGraphLaunch(r.exec, r.on));
    OK(launch_plus_one(r.y, r.y, 64, 64, r.on));
    OK(hipGraphLaunch(r.exec, r.on));
    OK(hipMemcpyAsync(r.q, r.y, 256, hipMemcpyDeviceToHost, r.on));
    OK(hipStreamSynchronize(r.on));
    CHECK(r.q[63] == value + 6);
  }
}

// A second launch waits for the first, even on another stream.
void replay_on_two_streams() {
  recording r;
  hipStream_t other = stream();
  r.begin();
  OK(launch_plus_one(r.y, r.y, 64, 64, r.on));
  r.end();
  OK(hipMemsetAsync(r.y, 0, 256, r.on));
  OK(hipGraphLaunch(r.exec, r.on));
  OK(hipGraphLaunch(r.exec, other));
  OK(hipMemcpyAsync(r.q, r.y, 256, hipMemcpyDeviceToHost, other));
  OK(hipStreamSynchronize(other));
  CHECK(r.q[0] == 2);
  OK(hipStreamDestroy(other));
}

// A call that a capture forbids invalidates it; afterwards the stream works as before.
void forbidden(const char *name, hipError_t error,
               const std::function<hipError_t(recording &)> &call,
               unsigned flags = hipStreamNonBlocking) {
  expect(name, 0, "", [=] {
    recording r;
    OK(hipStreamDestroy(r.on));
    r.on = stream(flags);
    r.begin();
    CHECK(call(r) == error);
    (void)hipGetLastError();
    CHECK(launch_plus_one(r.y, r.x, 64, 64, r.on) == hipErrorStreamCaptureInvalidated);
    r.graph = reinterpret_cast<hipGraph_t>(&r);
    CHECK(hipStreamEndCapture(r.on, &r.graph) == hipErrorStreamCaptureInvalidated && !r.graph);
    CHECK(hipGetLastError() == hipErrorStreamCaptureInvalidated);
    r.fill(7);
    r.record();
    OK(hipGraphLaunch(r.exec, r.on));
    OK(hipStreamSynchronize(r.on));
    CHECK(r.q[0] == 8);
  });
}

void test_forbidden_calls() {
  void *none = nullptr;
  forbidden("capture, wait for the stream", hipErrorStreamCaptureUnsupported,
            [](recording &r) { return hipStreamSynchronize(r.on); });
  forbidden("capture, wait for the device", hipErrorStreamCaptureUnsupported,
            [](recording &) { return hipDeviceSynchronize(); });
  forbidden("capture, hipMalloc", hipErrorStreamCaptureUnsupported,
            [=](recording &) mutable { return hipMalloc(&none, 4); });
  forbidden("capture, hipHostMalloc", hipErrorStreamCaptureUnsupported,
            [=](recording &) mutable { return hipHostMalloc(&none, 4, hipHostMallocDefault); });
  forbidden("capture, hipFree", hipErrorStreamCaptureUnsupported,
            [](recording &r) { return hipFree(r.x); });
  forbidden("capture, hipMemcpy", hipErrorStreamCaptureUnsupported,
            [](recording &r) { return hipMemcpy(r.x, r.p, 256, hipMemcpyHostToDevice); });
  forbidden("capture, launch of a graph", hipErrorStreamCaptureUnsupported, [](recording &r) {
    hipStream_t other = stream();
    hipGraph_t graph;
    hipGraphExec_t exec;
    OK(hipStreamBeginCapture(other, hipStreamCaptureModeRelaxed));
    OK(hipStreamEndCapture(other, &graph));
    OK(hipGraphInstantiate(&exec, graph, nullptr, nullptr, 0));
    hipError_t error = hipGraphLaunch(exec, r.on);
    OK(hipGraphLaunch(exec, other));
    OK(hipGraphExecDestroy(exec));
    OK(hipGraphDestroy(graph));
    OK(hipStreamDestroy(other));
    return error;
  });
  forbidden(
      "capture, work on the default stream", hipErrorStreamCaptureImplicit,
      [](recording &r) { return launch_plus_one(r.y, r.x, 64, 64, nullptr); }, hipStreamDefault);
  forbidden(
      "capture, wait for the default stream", hipErrorStreamCaptureImplicit,
      [](recording &) { return hipStreamSynchronize(nullptr); }, hipStreamDefault);
  forbidden("capture, wait for an event from before", hipErrorStreamCaptureIsolation,
            [](recording &r) {
              hipStream_t other = stream();
              hipEvent_t before = event();
              OK(hipEventRecord(before, other));
              hipError_t error = hipStreamWaitEvent(r.on, before, 0);
              OK(hipEventDestroy(before));
              OK(hipStreamDestroy(other));
              return error;
            });
}

void events_in_capture() {
  recording r;
  hipEvent_t inside = event(), outside = event();
  float time;
  r.begin();
  OK(hipEventRecord(inside, r.on));
  OK(launch_plus_one(r.y, r.x, 64, 64, r.on));
  OK(hipStreamWaitEvent(r.on, inside, 0));
  OK(hipStreamWaitEvent(r.on, outside, 0)); // never recorded
  CHECK(hipEventSynchronize(inside) == hipErrorCapturedEvent);
  r.end();
  CHECK(hipStreamWaitEvent(r.on, inside, 0) == hipErrorCapturedEvent);
  CHECK(hipEventElapsedTime(&time, inside, inside) == hipErrorCapturedEvent);
  for (hipEvent_t each : {inside, outside}) {
    OK(hipEventRecord(each, r.on));
    OK(hipGraphLaunch(r.exec, r.on));
  }
  OK(hipStreamSynchronize(r.on));
  OK(hipEventElapsedTime(&time, inside, outside));
  CHECK(time > 0);
  OK(hipEventDestroy(inside));
  OK(hipEventDestroy(outside));
}

void attributes() {
  int clock = 0, compute_units = 0;
  hipDeviceProp_t properties;
  OK(hipGetDeviceProperties(&properties, 0));
  OK(hipDeviceGetAttribute(&clock, hipDeviceAttributeClockRate, 0));
  OK(hipDeviceGetAttribute(&compute_units, hipDeviceAttributeMultiprocessorCount, 0));
  CHECK(clock > 0 && compute_units == properties.multiProcessorCount);
  CHECK(hipDeviceGetAttribute(&compute_units, hipDeviceAttributeClockRate, 1) ==
        hipErrorInvalidDevice);
}

void states_of_capture() {
  recording r;
  hipGraph_t none = reinterpret_cast<hipGraph_t>(&r);
  CHECK(hipStreamBeginCapture(nullptr, hipStreamCaptureModeGlobal) ==
        hipErrorStreamCaptureUnsupported);
  CHECK(hipStreamEndCapture(r.on, &none) == hipErrorIllegalState && !none);
  (void)hipGetLastError();
  OK(launch_plus_one(r.y, r.x, 64, 64, r.on)); // done before the capture ends
  r.begin(hipStreamCaptureModeRelaxed);
  CHECK(hipStreamBeginCapture(r.on, hipStreamCaptureModeRelaxed) == hipErrorIllegalState);
  (void)hipGetLastError();
  OK(hipFree(device<float>(4)));
  OK(hipStreamSynchronize(nullptr));
  OK(launch_plus_one(r.x, r.y, 64, 64, r.on));
  r.end();
  OK(hipGraphDestroy(r.graph)); // the executable graph is a copy
  r.graph = nullptr;
  OK(hipGraphLaunch(r.exec, r.on));
}

} // namespace

void test_graphs() {
  expect("attributes of the device", 0, "", attributes);
  expect("graph, launched twice", 0, "", replay);
  expect("graph, launched twice on changed memory", 0, "", replay_on_device);
  expect("graph, launched on two streams", 0, "", replay_on_two_streams);
  expect("capture, events", 0, "", events_in_capture);
  expect("capture, states", 0, "", states_of_capture);
  test_forbidden_calls();
  expect("graphs that are not freed", LEFT, "at exit: 1 streams, 0 events, 1 graphs, 2 executable",
         [] {
           hipStream_t on = stream();
           hipGraph_t graph;
           hipGraphExec_t exec;
           OK(hipStreamBeginCapture(on, hipStreamCaptureModeGlobal));
           OK(hipStreamEndCapture(on, &graph));
           OK(hipGraphInstantiate(&exec, graph, nullptr, nullptr, 0));
           OK(hipGraphInstantiate(&exec, graph, nullptr, nullptr, 0));
         });
  expect("a stream is destroyed while it captures", LEFT, "end its capture first", [] {
    recording r;
    r.begin();
  });
}
