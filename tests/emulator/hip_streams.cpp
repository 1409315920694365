// Streams, events and graphs.
#include "hip.h"

#include <chrono>
#include <map>

namespace {

typedef std::vector<std::function<void()>> Works;

std::map<hipStream_t, Works *> captures; // that are under way

double milliseconds_now() {
  using namespace std::chrono;
  return duration<double, std::milli>(steady_clock::now().time_since_epoch()).count();
}

} // namespace

void issue(hipStream_t stream, std::function<void()> work) {
  {
    std::lock_guard<std::recursive_mutex> lock(device_mutex);
    const auto capture = captures.find(stream);
    if (capture != captures.end()) {
      capture->second->push_back(std::move(work));
      return;
    }
  }
  work();
}

// ---- streams ----

HIP_CALL hipError_t hipStreamCreateWithFlags(hipStream_t *stream, unsigned) {
  *stream = (hipStream_t) new char;
  return hipSuccess;
}

HIP_CALL hipError_t hipStreamCreate(hipStream_t *stream) {
  return hipStreamCreateWithFlags(stream, 0);
}

HIP_CALL hipError_t hipStreamDestroy(hipStream_t stream) {
  delete (char *)stream;
  return hipSuccess;
}

HIP_CALL hipError_t hipStreamSynchronize(hipStream_t) {
  return hipSuccess;
}

HIP_CALL hipError_t hipStreamWaitEvent(hipStream_t, hipEvent_t, unsigned) {
  return hipSuccess;
}

// ---- events: the time when they were recorded ----

HIP_CALL hipError_t hipEventCreateWithFlags(hipEvent_t *event, unsigned) {
  *event = (hipEvent_t) new double(0);
  return hipSuccess;
}

HIP_CALL hipError_t hipEventCreate(hipEvent_t *event) {
  return hipEventCreateWithFlags(event, 0);
}

HIP_CALL hipError_t hipEventDestroy(hipEvent_t event) {
  delete (double *)event;
  return hipSuccess;
}

HIP_CALL hipError_t hipEventRecord(hipEvent_t event, hipStream_t) {
  *(double *)event = milliseconds_now();
  return hipSuccess;
}

HIP_CALL hipError_t hipEventSynchronize(hipEvent_t) {
  return hipSuccess;
}

HIP_CALL hipError_t hipEventQuery(hipEvent_t) {
  return hipSuccess;
}

HIP_CALL hipError_t hipEventElapsedTime(float *milliseconds, hipEvent_t from, hipEvent_t to) {
  *milliseconds = (float)(*(double *)to - *(double *)from);
  return hipSuccess;
}

// ---- graphs: an executable graph has the works, a graph leads to it ----

HIP_CALL hipError_t hipStreamBeginCapture(hipStream_t stream, hipStreamCaptureMode) {
  std::lock_guard<std::recursive_mutex> lock(device_mutex);
  captures[stream] = new Works;
  return hipSuccess;
}

HIP_CALL hipError_t hipStreamEndCapture(hipStream_t stream, hipGraph_t *graph) {
  std::lock_guard<std::recursive_mutex> lock(device_mutex);
  const auto capture = captures.find(stream);
  if (capture == captures.end())
    return remember(hipErrorIllegalState);
  *graph = (hipGraph_t)capture->second;
  captures.erase(capture);
  return hipSuccess;
}

HIP_CALL hipError_t hipGraphInstantiate(hipGraphExec_t *exec, hipGraph_t graph, hipGraphNode_t *,
                                        char *, size_t) {
  *exec = (hipGraphExec_t) new Works(*(Works *)graph);
  return hipSuccess;
}

HIP_CALL hipError_t hipGraphLaunch(hipGraphExec_t exec, hipStream_t) {
  for (const auto &work : *(Works *)exec)
    work();
  return hipSuccess;
}

HIP_CALL hipError_t hipGraphDestroy(hipGraph_t graph) {
  delete (Works *)graph;
  return hipSuccess;
}

HIP_CALL hipError_t hipGraphExecDestroy(hipGraphExec_t exec) {
  delete (Works *)exec;
  return hipSuccess;
}
