// A host in C11 that takes, uses and returns one of each thing; see samples.h.

#include "samples.h"
#include <string.h>

struct resources {
  hipStream_t copies, kernels;
  hipEvent_t copied;
  float *pinned, *in, *out;
};

static hipError_t take(struct resources *r, size_t bytes) {
  hipError_t error = hipStreamCreateWithFlags(&r->copies, hipStreamNonBlocking);
  if (!error) {
    error = hipStreamCreateWithFlags(&r->kernels, hipStreamNonBlocking);
  }
  if (!error) {
    error = hipEventCreateWithFlags(&r->copied, hipEventDisableTiming);
  }
  if (!error) {
    error = hipHostMalloc((void **)&r->pinned, bytes, hipHostMallocDefault);
  }
  if (!error) {
    error = hipMalloc((void **)&r->in, bytes);
  }
  if (!error) {
    error = hipMalloc((void **)&r->out, bytes);
  }
  return error;
}

static void give_back(struct resources *r) {
  (void)hipFree(r->out);
  (void)hipFree(r->in);
  (void)hipHostFree(r->pinned);
  if (r->copied) {
    (void)hipEventDestroy(r->copied);
  }
  if (r->kernels) {
    (void)hipStreamDestroy(r->kernels);
  }
  if (r->copies) {
    (void)hipStreamDestroy(r->copies);
  }
}

static hipError_t compute(const struct resources *r, int n, size_t bytes) {
  hipError_t error = hipMemcpyAsync(r->in, r->pinned, bytes, hipMemcpyHostToDevice, r->copies);
  if (!error) {
    error = hipEventRecord(r->copied, r->copies);
  }
  if (!error) {
    error = hipStreamWaitEvent(r->kernels, r->copied, 0);
  }
  if (!error) {
    error = launch_plus_one(r->out, r->in, n, 64, r->kernels);
  }
  if (!error) {
    error = hipMemcpyAsync(r->pinned, r->out, bytes, hipMemcpyDeviceToHost, r->kernels);
  }
  return error ? error : hipStreamSynchronize(r->kernels);
}

hipError_t plus_one_on_device(float *values, int n, int careless) {
  struct resources r = {0};
  size_t bytes = (size_t)n * sizeof *values;
  hipError_t error = take(&r, bytes);
  if (!error) {
    memcpy(r.pinned, values, bytes);
    error = compute(&r, n, bytes);
  }
  if (!error) {
    memcpy(values, r.pinned, bytes);
  }
  if (error && careless) {
    return error;
  }
  give_back(&r);
  return error;
}
