// Memory of the devices and of the host, copies, variables of kernels.
#include "hip.h"

#include <cstdio>

static hipError_t new_memory(void **pointer, size_t bytes, const char *call, bool on_device) {
  std::lock_guard<std::recursive_mutex> lock(device_mutex);
  if (!pointer)
    return remember(hipErrorInvalidValue);
  *pointer = bytes ? allocate(bytes, call, on_device) : nullptr;
  return hipSuccess;
}

static hipError_t old_memory(void *pointer, const char *call) {
  std::lock_guard<std::recursive_mutex> lock(device_mutex);
  if (!pointer || release(pointer))
    return hipSuccess;
  fprintf(stderr, "emulator: %s: want memory that is allocated, found %p\n", call, pointer);
  return remember(hipErrorInvalidValue);
}

HIP_CALL hipError_t hipMalloc(void **pointer, size_t bytes) {
  return new_memory(pointer, bytes, "hipMalloc", true);
}

HIP_CALL hipError_t hipFree(void *pointer) {
  return old_memory(pointer, "hipFree");
}

HIP_CALL hipError_t hipHostMalloc(void **pointer, size_t bytes, unsigned) {
  return new_memory(pointer, bytes, "hipHostMalloc", false);
}

HIP_CALL hipError_t hipHostFree(void *pointer) {
  return old_memory(pointer, "hipHostFree");
}

HIP_CALL hipError_t hipMemGetInfo(size_t *unused, size_t *all) {
  std::lock_guard<std::recursive_mutex> lock(device_mutex);
  *all = DEVICE_BYTES;
  *unused = DEVICE_BYTES - std::min<size_t>(DEVICE_BYTES, allocated_bytes());
  return hipSuccess;
}

// ---- copies ----

static hipError_t copy(void *to, const void *from, size_t bytes, hipStream_t stream) {
  {
    std::lock_guard<std::recursive_mutex> lock(device_mutex);
    if (bytes && (!to || !from))
      return remember(hipErrorInvalidValue);
    if (bytes && (!check_inside(to, bytes, "target of a copy") ||
                  !check_inside(from, bytes, "source of a copy")))
      return remember(hipErrorInvalidValue);
  }
  issue(stream, [=] { memmove(to, from, bytes); });
  return hipSuccess;
}

HIP_CALL hipError_t hipMemcpy(void *to, const void *from, size_t bytes, hipMemcpyKind) {
  return copy(to, from, bytes, nullptr);
}

HIP_CALL hipError_t hipMemcpyAsync(void *to, const void *from, size_t bytes, hipMemcpyKind,
                                   hipStream_t stream) {
  return copy(to, from, bytes, stream);
}

HIP_CALL hipError_t hipMemcpyPeerAsync(void *to, int, const void *from, int, size_t bytes,
                                       hipStream_t stream) {
  return copy(to, from, bytes, stream);
}

HIP_CALL hipError_t hipMemsetAsync(void *to, int value, size_t bytes, hipStream_t stream) {
  {
    std::lock_guard<std::recursive_mutex> lock(device_mutex);
    if (bytes && !check_inside(to, bytes, "target of hipMemset"))
      return remember(hipErrorInvalidValue);
  }
  issue(stream, [=] { memset(to, value, bytes); });
  return hipSuccess;
}

HIP_CALL hipError_t hipMemset(void *to, int value, size_t bytes) {
  return hipMemsetAsync(to, value, bytes, nullptr);
}

// ---- variables ----

HIP_CALL hipError_t hipMemcpyToSymbol(const void *shadow, const void *from, size_t bytes,
                                      size_t offset, hipMemcpyKind) {
  std::lock_guard<std::recursive_mutex> lock(device_mutex);
  u64 address;
  size_t size;
  if (!find_variable(shadow, &address, &size) || offset + bytes > size)
    return remember(hipErrorInvalidSymbol);
  memcpy((void *)(address + offset), from, bytes);
  return hipSuccess;
}

HIP_CALL hipError_t hipMemcpyFromSymbol(void *to, const void *shadow, size_t bytes, size_t offset,
                                        hipMemcpyKind) {
  std::lock_guard<std::recursive_mutex> lock(device_mutex);
  u64 address;
  size_t size;
  if (!find_variable(shadow, &address, &size) || offset + bytes > size)
    return remember(hipErrorInvalidSymbol);
  memcpy(to, (const void *)(address + offset), bytes);
  return hipSuccess;
}
