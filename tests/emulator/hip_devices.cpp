// Devices and errors.
#include "hip.h"

#include "environment.h"
#include "parameters.h"

static thread_local int current_device = 0;
static thread_local hipError_t last_error = hipSuccess;

hipError_t remember(hipError_t error) {
  if (error != hipSuccess)
    last_error = error;
  return error;
}

static bool is_device(int device) {
  return device >= 0 && device < environment().devices;
}

// ---- devices ----

HIP_CALL hipError_t hipGetDeviceCount(int *count) {
  *count = environment().devices;
  return hipSuccess;
}

HIP_CALL hipError_t hipSetDevice(int device) {
  if (!is_device(device))
    return remember(hipErrorInvalidDevice);
  current_device = device;
  return hipSuccess;
}

HIP_CALL hipError_t hipGetDevice(int *device) {
  *device = current_device;
  return hipSuccess;
}

HIP_CALL hipError_t hipDeviceSynchronize() {
  return hipSuccess;
}

HIP_CALL hipError_t hipDeviceGetAttribute(int *value, hipDeviceAttribute_t attribute, int device) {
  if (!is_device(device))
    return remember(hipErrorInvalidDevice);
  switch (attribute) {
  case hipDeviceAttributeMultiprocessorCount:
    *value = (int)parameters.cus;
    return hipSuccess;
  case hipDeviceAttributeClockRate:
    *value = (int)(parameters.clock * 1e6);
    return hipSuccess;
  default:
    return remember(hipErrorInvalidValue);
  }
}

HIP_CALL hipError_t hipDeviceCanAccessPeer(int *can, int device, int peer) {
  *can = device != peer && is_device(device) && is_device(peer);
  return hipSuccess;
}

HIP_CALL hipError_t hipDeviceEnablePeerAccess(int peer, unsigned) {
  return is_device(peer) ? hipSuccess : remember(hipErrorInvalidDevice);
}

// ---- errors ----

HIP_CALL hipError_t hipGetLastError() {
  const hipError_t error = last_error;
  last_error = hipSuccess;
  return error;
}

HIP_CALL hipError_t hipPeekAtLastError() {
  return last_error;
}

HIP_CALL const char *hipGetErrorName(hipError_t error) {
  switch (error) {
  case hipSuccess:
    return "hipSuccess";
  case hipErrorInvalidValue:
    return "hipErrorInvalidValue";
  case hipErrorInvalidConfiguration:
    return "hipErrorInvalidConfiguration";
  case hipErrorInvalidSymbol:
    return "hipErrorInvalidSymbol";
  case hipErrorInvalidDeviceFunction:
    return "hipErrorInvalidDeviceFunction";
  case hipErrorInvalidDevice:
    return "hipErrorInvalidDevice";
  case hipErrorIllegalState:
    return "hipErrorIllegalState";
  case hipErrorLaunchFailure:
    return "hipErrorLaunchFailure";
  default:
    return "hipErrorUnknown";
  }
}

HIP_CALL const char *hipGetErrorString(hipError_t error) {
  return hipGetErrorName(error);
}
