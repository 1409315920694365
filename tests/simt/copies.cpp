// Copies and memsets. Each checks its addresses against the allocations.

#include "host.h"

namespace simt {
namespace {

enum class where { host, device, anywhere };

// Dies if a range leaves its allocation, or does not lie in `want`.
void check_range(const char *call, const void *address, size_t bytes, where want) {
  const allocation *found = find(address);
  const char *start = static_cast<const char *>(address);
  if (found && (!found->live || start < found->start ||
                bytes > static_cast<size_t>(found->start + found->bytes - start))) {
    die("%s: %zu bytes from %s", call, bytes, describe(address).c_str());
  }
  bool device = found && found->of == kind::device;
  if (want != where::anywhere && device != (want == where::device)) {
    die("%s: the kind of the copy says %s memory, the address is %s", call,
        want == where::device ? "device" : "host", describe(address).c_str());
  }
}

void check_copy(const char *call, void *to, const void *from, size_t bytes, hipMemcpyKind how,
                bool must_pin) {
  where target = where::host, source = where::host;
  if (how == hipMemcpyDefault) {
    target = source = where::anywhere;
  }
  if (how == hipMemcpyHostToDevice || how == hipMemcpyDeviceToDevice) {
    target = where::device;
  }
  if (how == hipMemcpyDeviceToHost || how == hipMemcpyDeviceToDevice) {
    source = where::device;
  }
  check_range(call, to, bytes, target);
  check_range(call, from, bytes, source);
  if (must_pin && (!find(to) || !find(from))) {
    die("%s: host memory that is not pinned: allocate it by hipHostMalloc", call);
  }
}

hipError_t submit_copy(const char *call, ihipStream_t *stream, void *to, const void *from,
                       size_t bytes, hipMemcpyKind how, bool must_pin) {
  if (bytes == 0) {
    return hipSuccess;
  }
  return submit(stream, {call,
                         {},
                         [=] { memmove(to, from, bytes); },
                         [=] { check_copy(call, to, from, bytes, how, must_pin); }});
}

} // namespace
} // namespace simt

using namespace simt;

hipError_t hipMemcpy(void *to, const void *from, size_t bytes, hipMemcpyKind how) {
  if (!begin("hipMemcpy")) {
    return fail(hipErrorUnknown);
  }
  if (break_waiting_captures()) {
    return fail(hipErrorStreamCaptureUnsupported);
  }
  hipError_t error = submit_copy("hipMemcpy", &all().default_stream, to, from, bytes, how, false);
  if (error == hipSuccess) {
    wait_for(tail(&all().default_stream));
  }
  return error;
}

hipError_t hipMemcpyAsync(void *to, const void *from, size_t bytes, hipMemcpyKind how,
                          hipStream_t stream) {
  if (!begin("hipMemcpyAsync")) {
    return fail(hipErrorUnknown);
  }
  return submit_copy("hipMemcpyAsync", checked("hipMemcpyAsync", stream), to, from, bytes, how,
                     true);
}

hipError_t hipMemsetAsync(void *to, int value, size_t bytes, hipStream_t stream) {
  if (!begin("hipMemsetAsync")) {
    return fail(hipErrorUnknown);
  }
  ihipStream_t *on = checked("hipMemsetAsync", stream);
  if (bytes == 0) {
    return hipSuccess;
  }
  return submit(on, {"hipMemsetAsync",
                     {},
                     [=] { memset(to, value, bytes); },
                     [=] { check_range("hipMemsetAsync", to, bytes, where::device); }});
}
