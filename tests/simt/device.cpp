// Error codes, handles, and the properties of the device.

#include "host.h"

namespace simt {
namespace {

template <class T>
T *known(const char *call, T *handle, const std::vector<std::unique_ptr<T>> &objects,
         const char *what) {
  for (const auto &each : objects) {
    if (each.get() == handle) {
      if (!each->live) {
        die("%s: %s that was destroyed", call, what);
      }
      return handle;
    }
  }
  die("%s: not %s", call, what);
}

const struct {
  hipError_t error;
  const char *name, *text;
} errors[] = {
    {hipSuccess, "hipSuccess", "no error"},
    {hipErrorInvalidValue, "hipErrorInvalidValue", "invalid argument"},
    {hipErrorOutOfMemory, "hipErrorOutOfMemory", "out of memory"},
    {hipErrorInvalidConfiguration, "hipErrorInvalidConfiguration",
     "invalid configuration argument"},
    {hipErrorInvalidDevice, "hipErrorInvalidDevice", "invalid device ordinal"},
    {hipErrorInvalidHandle, "hipErrorInvalidHandle", "invalid resource handle"},
    {hipErrorIllegalState, "hipErrorIllegalState",
     "the operation cannot be performed in the present state"},
    {hipErrorNotReady, "hipErrorNotReady", "device not ready"},
    {hipErrorStreamCaptureUnsupported, "hipErrorStreamCaptureUnsupported",
     "operation not permitted when stream is capturing"},
    {hipErrorStreamCaptureInvalidated, "hipErrorStreamCaptureInvalidated",
     "operation failed due to a previous error during capture"},
    {hipErrorStreamCaptureIsolation, "hipErrorStreamCaptureIsolation",
     "dependency created on uncaptured work in another stream"},
    {hipErrorStreamCaptureImplicit, "hipErrorStreamCaptureImplicit",
     "operation would make the legacy stream depend on a capturing blocking stream"},
    {hipErrorCapturedEvent, "hipErrorCapturedEvent",
     "operation not permitted on an event last recorded in a capturing stream"},
    {hipErrorUnknown, "hipErrorUnknown", "unknown error"},
};

} // namespace

hipError_t fail(hipError_t error) {
  all().last_error = error;
  return error;
}

bool begin(const char *call) {
  if (!pthread_equal(pthread_self(), all().thread)) {
    die("%s: called by a second thread", call);
  }
  return ++all().calls != options().fail;
}

ihipStream_t *checked(const char *call, hipStream_t stream) {
  return stream ? known(call, stream, all().streams, "a stream") : &all().default_stream;
}

ihipEvent_t *checked(const char *call, hipEvent_t event) {
  return known(call, event, all().events, "an event");
}

ihipGraph_t *checked(const char *call, hipGraph_t graph) {
  return known(call, graph, all().graphs, "a graph");
}

ihipGraphExec_t *checked(const char *call, hipGraphExec_t exec) {
  return known(call, exec, all().execs, "an executable graph");
}

} // namespace simt

using namespace simt;

// ---- errors ----

const char *hipGetErrorName(hipError_t error) {
  for (const auto &each : errors) {
    if (each.error == error) {
      return each.name;
    }
  }
  return "hipErrorUnknown";
}

const char *hipGetErrorString(hipError_t error) {
  for (const auto &each : errors) {
    if (each.error == error) {
      return each.text;
    }
  }
  return "unknown error";
}

hipError_t hipGetLastError() {
  hipError_t last = all().last_error;
  all().last_error = hipSuccess;
  return last;
}

hipError_t hipPeekAtLastError() {
  return all().last_error;
}

// ---- the device ----

hipError_t hipGetDeviceCount(int *count) {
  if (!begin("hipGetDeviceCount")) {
    return fail(hipErrorUnknown);
  }
  *count = 1;
  return hipSuccess;
}

hipError_t hipSetDevice(int device) {
  if (!begin("hipSetDevice")) {
    return fail(hipErrorUnknown);
  }
  return device == 0 ? hipSuccess : fail(hipErrorInvalidDevice);
}

hipError_t hipGetDeviceProperties(hipDeviceProp_t *properties, int device) {
  if (!begin("hipGetDeviceProperties")) {
    return fail(hipErrorUnknown);
  }
  if (device != 0) {
    return fail(hipErrorInvalidDevice);
  }
  *properties = {"simt", options().memory, SIMT_WAVE, multiprocessors};
  return hipSuccess;
}

hipError_t hipDeviceGetAttribute(int *value, hipDeviceAttribute_t attribute, int device) {
  if (!begin("hipDeviceGetAttribute")) {
    return fail(hipErrorUnknown);
  }
  if (device != 0) {
    return fail(hipErrorInvalidDevice);
  }
  switch (attribute) {
  case hipDeviceAttributeClockRate:
    *value = 1700000;
    return hipSuccess;
  case hipDeviceAttributeMultiprocessorCount:
    *value = multiprocessors;
    return hipSuccess;
  }
  return fail(hipErrorInvalidValue);
}

hipError_t hipDeviceSynchronize() {
  if (!begin("hipDeviceSynchronize")) {
    return fail(hipErrorUnknown);
  }
  if (break_all_captures()) {
    return fail(hipErrorStreamCaptureUnsupported);
  }
  synchronize_device();
  return hipSuccess;
}
