// Captures, and the graphs that come from them.

#include "host.h"

namespace simt {
namespace {

// Invalidates the captures for which `broken` holds, as a call does that they forbid; false if
// there is none.
template <class Broken> bool break_captures(Broken broken) {
  bool any = false;
  for (const auto &each : all().streams) {
    if (each->capture && broken(*each)) {
      each->capture->valid = false;
      any = true;
    }
  }
  return any;
}

} // namespace

bool break_waiting_captures() {
  return break_captures(
      [](const ihipStream_t &each) { return each.capture->mode != hipStreamCaptureModeRelaxed; });
}

bool break_all_captures() {
  return break_captures([](const ihipStream_t &) { return true; });
}

bool break_captures_by(const ihipStream_t *used) {
  return used == &all().default_stream &&
         break_captures([](const ihipStream_t &each) { return each.blocking; });
}

hipError_t submit(ihipStream_t *stream, operation added) {
  if (stream->capture && !stream->capture->valid) {
    return fail(hipErrorStreamCaptureInvalidated);
  }
  if (break_captures_by(stream)) {
    return fail(hipErrorStreamCaptureImplicit);
  }
  added.check();
  if (stream->capture) {
    stream->capture->nodes.push_back(std::move(added));
  } else {
    append(stream, std::move(added));
  }
  return hipSuccess;
}

} // namespace simt

using namespace simt;

hipError_t hipStreamBeginCapture(hipStream_t stream, hipStreamCaptureMode mode) {
  if (!begin("hipStreamBeginCapture")) {
    return fail(hipErrorUnknown);
  }
  ihipStream_t *each = checked("hipStreamBeginCapture", stream);
  if (mode > hipStreamCaptureModeRelaxed) {
    return fail(hipErrorInvalidValue);
  }
  if (!stream) {
    return fail(hipErrorStreamCaptureUnsupported);
  }
  if (each->capture) {
    return fail(hipErrorIllegalState);
  }
  each->capture.reset(new capture{++all().captures, mode, true, {}});
  return hipSuccess;
}

// Ends the capture even when the call fails, because it could not be ended afterwards.
hipError_t hipStreamEndCapture(hipStream_t stream, hipGraph_t *graph) {
  bool works = begin("hipStreamEndCapture");
  std::unique_ptr<capture> ended = std::move(checked("hipStreamEndCapture", stream)->capture);
  *graph = nullptr;
  if (!works) {
    return fail(hipErrorUnknown);
  }
  if (!ended) {
    return fail(hipErrorIllegalState);
  }
  if (!ended->valid) {
    return fail(hipErrorStreamCaptureInvalidated);
  }
  all().graphs.emplace_back(new ihipGraph_t{true, std::move(ended->nodes)});
  *graph = all().graphs.back().get();
  return hipSuccess;
}

hipError_t hipGraphInstantiate(hipGraphExec_t *exec, hipGraph_t graph, hipGraphNode_t *, char *,
                               size_t) {
  if (!begin("hipGraphInstantiate")) {
    return fail(hipErrorOutOfMemory);
  }
  const ihipGraph_t *of = checked("hipGraphInstantiate", graph);
  all().execs.emplace_back(new ihipGraphExec_t{true, of->nodes, {nullptr, 0}});
  *exec = all().execs.back().get();
  return hipSuccess;
}

// A launch waits for the previous launch of the same graph, on whatever stream that was.
hipError_t hipGraphLaunch(hipGraphExec_t exec, hipStream_t stream) {
  if (!begin("hipGraphLaunch")) {
    return fail(hipErrorUnknown);
  }
  ihipGraphExec_t *each = checked("hipGraphLaunch", exec);
  ihipStream_t *on = checked("hipGraphLaunch", stream);
  if (on->capture) {
    on->capture->valid = false;
    return fail(hipErrorStreamCaptureUnsupported);
  }
  if (break_captures_by(on)) {
    return fail(hipErrorStreamCaptureImplicit);
  }
  for (const operation &node : each->nodes) {
    node.check();
    std::vector<point> after;
    if (each->last.stream) {
      after.push_back(each->last);
    }
    append(on, {node.name, std::move(after), [&node] { node.run(); }, {}});
    each->last = tail(on);
  }
  return hipSuccess;
}

hipError_t hipGraphExecDestroy(hipGraphExec_t exec) {
  ihipGraphExec_t *each = checked("hipGraphExecDestroy", exec);
  if (each->last.stream && each->last.stream->done < each->last.number) {
    die("hipGraphExecDestroy: the host has not waited for a launch of the graph");
  }
  each->live = false;
  return hipSuccess;
}

hipError_t hipGraphDestroy(hipGraph_t graph) {
  checked("hipGraphDestroy", graph)->live = false;
  return hipSuccess;
}
