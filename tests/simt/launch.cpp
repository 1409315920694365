// Launches of kernels: their limits and their arguments.

#include "host.h"

#include <algorithm>

namespace simt {
namespace {

void check_arguments(const char *kernel, const std::vector<const void *> &pointers) {
  for (const void *pointer : pointers) {
    const allocation *found = find(pointer);
    if (pointer && (!found || !found->live)) {
      die("kernel %s: an argument points %s", kernel, describe(pointer).c_str());
    }
  }
}

size_t dynamic_lds_limit(const void *function) {
  auto allowed = all().allowed_lds.find(function);
  return allowed == all().allowed_lds.end() ? lds_default : std::min(allowed->second, lds_bytes);
}

} // namespace

void allow_dynamic_lds(const void *function, size_t bytes) {
  all().allowed_lds[function] = bytes;
}

// As in HIP, a launch that exceeds the device's limits sets the last error.
void enqueue(launch request) {
  if (!begin("hipLaunchKernelGGL")) {
    fail(hipErrorUnknown);
    return;
  }
  if (request.wave != SIMT_WAVE) {
    die("kernel %s: compiled for waves of %d, the harness for %d", request.kernel, request.wave,
        SIMT_WAVE);
  }
  ihipStream_t *stream = checked("hipLaunchKernelGGL", request.stream);
  const dim3 &grid = request.grid, &block = request.block;
  double blocks = static_cast<double>(grid.x) * grid.y * grid.z;
  double threads = static_cast<double>(block.x) * block.y * block.z;
  if (blocks < 1 || threads < 1 || threads > threads_limit || blocks * threads > UINT32_MAX ||
      request.shared > dynamic_lds_limit(request.function)) {
    fail(hipErrorInvalidConfiguration);
    return;
  }
  const char *name = request.kernel;
  auto check = [name, pointers = request.pointers] { check_arguments(name, pointers); };
  submit(stream, {name, {}, [request = std::move(request)] { run(request); }, std::move(check)});
}

} // namespace simt
