// What hipcc puts into a program calls these: kernels, variables and launches.
#include "hip.h"

#include <cstdio>
#include <map>

namespace {

// The code of one source file.
struct FatBinary {
  const void *image;
  std::unique_ptr<LoadedCode> code;                       // loaded when it is first used
  std::map<const void *, std::string> kernels, variables; // by their addresses on the host
};

// hipcc's wrapper around a bundle.
struct Wrapper {
  u32 magic, version;
  const void *image;
  void *unused;
};

struct Configuration {
  dim3 grid, block;
  size_t lds;
  hipStream_t stream;
};

std::vector<FatBinary *> &binaries() {
  static std::vector<FatBinary *> all;
  return all;
}

thread_local std::vector<Configuration> configurations;

// Loads the code of all files together when that of one is used first.
LoadedCode &code_of(FatBinary &binary) {
  if (binary.code)
    return *binary.code;
  std::vector<FatBinary *> list;
  std::vector<const void *> images;
  for (FatBinary *each : binaries())
    if (!each->code) {
      list.push_back(each);
      images.push_back(each->image);
    }
  auto codes = load_codes(images);
  for (size_t i = 0; i < list.size(); ++i)
    list[i]->code = std::move(codes[i]);
  return *binary.code;
}

// The kernel of a host function; NULL: there is none.
const Kernel *find_kernel(const void *function, LoadedCode **code) {
  for (FatBinary *each : binaries()) {
    const auto found = each->kernels.find(function);
    if (found == each->kernels.end())
      continue;
    *code = &code_of(*each);
    const auto kernel = (*code)->object.kernels.find(found->second);
    return kernel == (*code)->object.kernels.end() ? nullptr : &kernel->second;
  }
  return nullptr;
}

// Whether a GPU could run such a block; prints why not.
bool check_size(const Kernel &kernel, dim3 block, size_t lds) {
  enum { LDS_BYTES = 65536 };
  const u64 threads = (u64)block.x * block.y * block.z;
  if (threads > kernel.most_threads)
    fprintf(stderr, "emulator: %s: want at most %u threads in a block, found %llu\n",
            kernel.name.c_str(), kernel.most_threads, (unsigned long long)threads);
  else if (kernel.lds_bytes + lds > LDS_BYTES)
    fprintf(stderr, "emulator: %s: want at most %d bytes of LDS, found %zu\n", kernel.name.c_str(),
            LDS_BYTES, kernel.lds_bytes + lds);
  else
    return true;
  return false;
}

} // namespace

bool find_variable(const void *shadow, u64 *address, size_t *bytes) {
  for (FatBinary *each : binaries()) {
    const auto found = each->variables.find(shadow);
    if (found == each->variables.end())
      continue;
    const LoadedCode &code = code_of(*each);
    const auto symbol = code.object.symbols.find(found->second);
    if (symbol == code.object.symbols.end())
      return false;
    *address = code.base + symbol->second.address;
    *bytes = symbol->second.bytes;
    return true;
  }
  return false;
}

HIP_CALL void **__hipRegisterFatBinary(const void *wrapper) {
  std::lock_guard<std::recursive_mutex> lock(device_mutex);
  FatBinary *binary = new FatBinary{((const Wrapper *)wrapper)->image, nullptr, {}, {}};
  binaries().push_back(binary);
  return (void **)binary;
}

HIP_CALL void __hipUnregisterFatBinary(void **) {}

HIP_CALL void __hipRegisterFunction(void **binary, const void *function, char *, const char *name,
                                    unsigned, void *, void *, void *, void *, int *) {
  std::lock_guard<std::recursive_mutex> lock(device_mutex);
  ((FatBinary *)binary)->kernels[function] = name;
}

HIP_CALL void __hipRegisterVar(void **binary, void *shadow, char *, const char *name, int, size_t,
                               int, int) {
  std::lock_guard<std::recursive_mutex> lock(device_mutex);
  ((FatBinary *)binary)->variables[shadow] = name;
}

HIP_CALL hipError_t __hipPushCallConfiguration(dim3 grid, dim3 block, size_t lds,
                                               hipStream_t stream) {
  configurations.push_back({grid, block, lds, stream});
  return hipSuccess;
}

HIP_CALL hipError_t __hipPopCallConfiguration(dim3 *grid, dim3 *block, size_t *lds,
                                              hipStream_t *stream) {
  const Configuration last = configurations.back();
  configurations.pop_back();
  *grid = last.grid;
  *block = last.block;
  *lds = last.lds;
  *stream = last.stream;
  return hipSuccess;
}

HIP_CALL hipError_t hipLaunchKernel(const void *function, dim3 grid, dim3 block, void **values,
                                    size_t lds, hipStream_t stream) {
  std::unique_lock<std::recursive_mutex> lock(device_mutex);
  LoadedCode *code = nullptr;
  const Kernel *kernel = find_kernel(function, &code);
  if (!kernel)
    return remember(hipErrorInvalidDeviceFunction);
  if (!grid.x || !grid.y || !grid.z || !block.x || !block.y || !block.z)
    return remember(hipErrorInvalidConfiguration);
  if (!check_size(*kernel, block, lds))
    return remember(hipErrorLaunchFailure);
  const Size3 blocks = {grid.x, grid.y, grid.z}, threads = {block.x, block.y, block.z};
  const auto packed = pack_arguments(*kernel, values, blocks, threads, (u32)lds);
  issue(stream, [=] {
    std::lock_guard<std::recursive_mutex> running(device_mutex);
    run_kernel(*code, *kernel, blocks, threads, (u32)lds, packed);
  });
  return hipSuccess;
}
