// A stream and a graph that computes y = x + 1 of 64 floats, from pinned memory to pinned memory.
#ifndef SIMT_CASES_RECORDING_H
#define SIMT_CASES_RECORDING_H

#include "cases.h"

#include <algorithm>

struct recording {
  hipStream_t on = stream();
  float *p = pinned(64), *q = pinned(64), *x = device<float>(64), *y = device<float>(64);
  hipGraph_t graph = nullptr;
  hipGraphExec_t exec = nullptr;

  void begin(hipStreamCaptureMode mode = hipStreamCaptureModeThreadLocal) {
    OK(hipStreamBeginCapture(on, mode));
  }
  void end() {
    OK(hipStreamEndCapture(on, &graph));
    OK(hipGraphInstantiate(&exec, graph, nullptr, nullptr, 0));
  }
  void record() {
    begin();
    OK(hipMemcpyAsync(x, p, 256, hipMemcpyHostToDevice, on));
    OK(launch_plus_one(y, x, 64, 64, on));
    OK(hipMemcpyAsync(q, y, 256, hipMemcpyDeviceToHost, on));
    end();
  }
  void fill(float value) {
    std::fill(p, p + 64, value);
  }
  ~recording() {
    OK(hipStreamDestroy(on));
    if (exec) {
      OK(hipGraphExecDestroy(exec));
    }
    if (graph) {
      OK(hipGraphDestroy(graph));
    }
    OK(hipFree(x));
    OK(hipFree(y));
    OK(hipHostFree(p));
    OK(hipHostFree(q));
  }
};

#endif
