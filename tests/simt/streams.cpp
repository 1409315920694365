// Streams and events: the order of operations, and the waits of the host.

#include "host.h"

#include <cstdio>

namespace simt {
namespace {

void run_until(point last) {
  while (last.stream->done < last.number) {
    operation next = std::move(last.stream->queue.front());
    last.stream->queue.pop_front();
    for (const point &each : next.after) {
      run_until(each);
    }
    next.run();
    check_margins(next.name);
    last.stream->done++;
  }
}

// A stream waits for an event of its own capture at no cost: the wait is no node of the graph. In
// HIP, another stream that waits for it would join the capture as a second branch, which the
// harness does not support.
hipError_t wait_in_capture(const ihipStream_t *waits, size_t number) {
  if (waits->capture && waits->capture->number == number) {
    return waits->capture->valid ? hipSuccess : fail(hipErrorStreamCaptureInvalidated);
  }
  for (const auto &each : all().streams) {
    if (each->capture && each->capture->number == number) {
      die("hipStreamWaitEvent: a second stream joins a capture: the harness supports captures of "
          "one stream");
    }
  }
  return fail(hipErrorCapturedEvent);
}

} // namespace

point tail(ihipStream_t *stream) {
  return {stream, stream->queued};
}

void append(ihipStream_t *stream, operation added) {
  std::vector<point> &after = added.after;
  if (stream == &all().default_stream) {
    for (const auto &each : all().streams) {
      if (each->blocking) {
        after.push_back(tail(each.get()));
      }
    }
  } else if (stream->blocking) {
    after.push_back(tail(&all().default_stream));
  }
  stream->queued++;
  stream->queue.push_back(std::move(added));
}

// Device memory is accessible only during this wait.
void wait_for(point last) {
  if (last.stream->done >= last.number) {
    return;
  }
  open_device_memory(true);
  run_until(last);
  open_device_memory(false);
}

// The newest stream goes first, since nothing orders it after the others.
void synchronize_device() {
  unsigned n = static_cast<unsigned>(all().streams.size());
  for (unsigned i : visiting_order(n)) {
    wait_for(tail(all().streams[n - 1 - i].get()));
  }
  wait_for(tail(&all().default_stream));
}

} // namespace simt

using namespace simt;

// ---- streams ----

hipError_t hipStreamCreateWithFlags(hipStream_t *stream, unsigned flags) {
  if (!begin("hipStreamCreateWithFlags")) {
    return fail(hipErrorOutOfMemory);
  }
  if (flags > hipStreamNonBlocking) {
    return fail(hipErrorInvalidValue);
  }
  all().streams.emplace_back(new ihipStream_t{true, flags == hipStreamDefault, 0, 0, {}, nullptr});
  *stream = all().streams.back().get();
  return hipSuccess;
}

hipError_t hipStreamDestroy(hipStream_t stream) {
  ihipStream_t *each = checked("hipStreamDestroy", stream);
  if (!stream) {
    return fail(hipErrorInvalidHandle);
  }
  if (each->capture) {
    fprintf(stderr, "simt: hipStreamDestroy: the stream captures: end its capture first\n");
    all().misused = true;
    each->capture.reset();
  }
  wait_for(tail(each));
  each->live = false;
  return hipSuccess;
}

hipError_t hipStreamSynchronize(hipStream_t stream) {
  if (!begin("hipStreamSynchronize")) {
    return fail(hipErrorUnknown);
  }
  ihipStream_t *each = checked("hipStreamSynchronize", stream);
  if (each->capture) {
    each->capture->valid = false;
    return fail(hipErrorStreamCaptureUnsupported);
  }
  if (break_captures_by(each)) {
    return fail(hipErrorStreamCaptureImplicit);
  }
  wait_for(tail(each));
  return hipSuccess;
}

hipError_t hipStreamWaitEvent(hipStream_t stream, hipEvent_t event, unsigned flags) {
  if (!begin("hipStreamWaitEvent")) {
    return fail(hipErrorUnknown);
  }
  if (flags != 0) {
    return fail(hipErrorInvalidValue);
  }
  ihipStream_t *waits = checked("hipStreamWaitEvent", stream);
  const ihipEvent_t *each = checked("hipStreamWaitEvent", event);
  if (each->capture) {
    return wait_in_capture(waits, each->capture);
  }
  if (!each->at.stream) {
    return hipSuccess;
  }
  if (waits->capture) {
    waits->capture->valid = false;
    return fail(hipErrorStreamCaptureIsolation);
  }
  return submit(waits, {"hipStreamWaitEvent", {each->at}, [] {}, [] {}});
}

// ---- events ----

hipError_t hipEventCreateWithFlags(hipEvent_t *event, unsigned flags) {
  if (!begin("hipEventCreateWithFlags")) {
    return fail(hipErrorOutOfMemory);
  }
  if (flags > (hipEventBlockingSync | hipEventDisableTiming)) {
    return fail(hipErrorInvalidValue);
  }
  all().events.emplace_back(
      new ihipEvent_t{true, !(flags & hipEventDisableTiming), {nullptr, 0}, 0, {}});
  *event = all().events.back().get();
  return hipSuccess;
}

hipError_t hipEventDestroy(hipEvent_t event) {
  checked("hipEventDestroy", event)->live = false;
  return hipSuccess;
}

hipError_t hipEventRecord(hipEvent_t event, hipStream_t stream) {
  if (!begin("hipEventRecord")) {
    return fail(hipErrorUnknown);
  }
  ihipEvent_t *each = checked("hipEventRecord", event);
  ihipStream_t *on = checked("hipEventRecord", stream);
  if (on->capture && on->capture->valid) {
    each->at = {};
    each->capture = on->capture->number;
    return hipSuccess;
  }
  hipError_t error = submit(
      on, {"hipEventRecord", {}, [each] { each->time = std::chrono::steady_clock::now(); }, [] {}});
  if (error == hipSuccess) {
    each->at = tail(on);
    each->capture = 0;
  }
  return error;
}

hipError_t hipEventSynchronize(hipEvent_t event) {
  if (!begin("hipEventSynchronize")) {
    return fail(hipErrorUnknown);
  }
  const ihipEvent_t *each = checked("hipEventSynchronize", event);
  if (each->capture) {
    return fail(hipErrorCapturedEvent);
  }
  if (each->at.stream) {
    wait_for(each->at);
  }
  return hipSuccess;
}

hipError_t hipEventElapsedTime(float *milliseconds, hipEvent_t start, hipEvent_t stop) {
  if (!begin("hipEventElapsedTime")) {
    return fail(hipErrorUnknown);
  }
  for (ihipEvent_t *each :
       {checked("hipEventElapsedTime", start), checked("hipEventElapsedTime", stop)}) {
    if (each->capture) {
      return fail(hipErrorCapturedEvent);
    }
    if (!each->timed || !each->at.stream) {
      return fail(hipErrorInvalidHandle);
    }
    if (each->at.stream->done < each->at.number) {
      return hipErrorNotReady; // an answer, which leaves the last error alone
    }
  }
  *milliseconds = std::chrono::duration<float, std::milli>(stop->time - start->time).count();
  return hipSuccess;
}
