// Misuse of the host calls, which must abort.

#include "recording.h"

namespace {

// A call that must abort with `text`. It gets 256 bytes of plain, of pinned and of device memory.
void misuse(const char *name, const char *text,
            const std::function<hipError_t(float *, float *, float *)> &call) {
  expect(name, ABORTED, text, [=] {
    float plain[64] = {};
    (void)call(plain, pinned(64), device<float>(64));
  });
}

void misuse_of_graph(const char *name, const char *text,
                     const std::function<hipError_t(recording &)> &call) {
  expect(name, ABORTED, text, [=] {
    recording r;
    r.record();
    (void)call(r);
  });
}

void test_copies() {
  misuse("copy from memory that is not pinned", "not pinned", [](float *h, float *, float *d) {
    return hipMemcpyAsync(d, h, 256, hipMemcpyHostToDevice, nullptr);
  });
  misuse("copy to memory that is not pinned", "not pinned", [](float *h, float *, float *d) {
    return hipMemcpyAsync(h, d, 256, hipMemcpyDeviceToHost, nullptr);
  });
  misuse("copy in the wrong direction", "says device memory", [](float *, float *p, float *d) {
    return hipMemcpyAsync(p, d, 256, hipMemcpyHostToDevice, nullptr);
  });
  misuse("copy of too much", "260 bytes from 0 bytes into", [](float *, float *p, float *d) {
    return hipMemcpyAsync(d, p, 260, hipMemcpyDefault, nullptr);
  });
  misuse("memset of too much", "252 bytes from 8 bytes into",
         [](float *, float *, float *d) { return hipMemsetAsync(d + 2, 0, 252, nullptr); });
  misuse("memset of the host", "says device memory",
         [](float *, float *p, float *) { return hipMemsetAsync(p, 0, 4, nullptr); });
  misuse("copy to freed memory", "into a freed allocation", [](float *, float *p, float *d) {
    OK(hipFree(d));
    return hipMemcpyAsync(d, p, 256, hipMemcpyHostToDevice, nullptr);
  });
}

void test_handles() {
  misuse("a destroyed stream", "a stream that was destroyed", [](float *, float *, float *d) {
    hipStream_t on = stream();
    OK(hipStreamDestroy(on));
    return launch_plus_one(d, d, 64, 64, on);
  });
  misuse("a destroyed event", "an event that was destroyed", [](float *, float *, float *) {
    hipEvent_t gone = event();
    OK(hipEventDestroy(gone));
    return hipEventRecord(gone, nullptr);
  });
  misuse("a null event", "not an event",
         [](float *, float *, float *) { return hipStreamWaitEvent(nullptr, nullptr, 0); });
  misuse("a pointer that is not a stream", "not a stream", [](float *, float *p, float *) {
    return hipStreamSynchronize(reinterpret_cast<hipStream_t>(p));
  });
}

void test_misused_graphs() {
  misuse_of_graph("a destroyed executable graph", "an executable graph that was destroyed",
                  [](recording &r) {
                    OK(hipGraphExecDestroy(r.exec));
                    return hipGraphLaunch(r.exec, r.on);
                  });
  misuse_of_graph("a destroyed graph", "a graph that was destroyed", [](recording &r) {
    OK(hipGraphDestroy(r.graph));
    return hipGraphInstantiate(&r.exec, r.graph, nullptr, nullptr, 0);
  });
  misuse_of_graph("a null graph", "not an executable graph",
                  [](recording &r) { return hipGraphLaunch(nullptr, r.on); });
  misuse_of_graph("a graph destroyed while it runs",
                  "the host has not waited for a launch of the graph", [](recording &r) {
                    OK(hipGraphLaunch(r.exec, r.on));
                    return hipGraphExecDestroy(r.exec);
                  });
  misuse_of_graph("a graph with freed memory", "an argument points 0 bytes into a freed allocation",
                  [](recording &r) {
                    OK(hipFree(r.y));
                    return hipGraphLaunch(r.exec, r.on);
                  });
  misuse_of_graph("a second stream joins a capture", "a second stream joins a capture",
                  [](recording &r) {
                    hipEvent_t fork = event();
                    OK(hipStreamBeginCapture(r.on, hipStreamCaptureModeGlobal));
                    OK(hipEventRecord(fork, r.on));
                    return hipStreamWaitEvent(stream(), fork, 0);
                  });
}

} // namespace

void test_misuse() {
  test_copies();
  test_handles();
  test_misused_graphs();
}
