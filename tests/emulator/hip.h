// The stand-in for libamdhip64: the calls of HIP that the project and its tests use, on the
// emulator. A call that is missing here is added when it is used.
//
// Everything on a stream runs when it is issued, in the order of the calls, or when a captured
// graph is launched.
#ifndef EMULATOR_HIP_H
#define EMULATOR_HIP_H

#include <hip/hip_runtime_api.h>

#include "device.h"

#include <functional>

#define HIP_CALL extern "C" __attribute__((visibility("default")))

// Keeps an error for hipGetLastError and returns it.
hipError_t remember(hipError_t error);

// Runs some work now, or adds it to the graph that the stream captures.
void issue(hipStream_t stream, std::function<void()> work);

// The address and size of a variable of a kernel file, by that of its shadow on the host. False:
// there is none.
bool find_variable(const void *shadow, u64 *address, size_t *bytes);

#endif
