// A host in C11 that allocates, uses and frees one resource of each kind; see samples.h.

#include "samples.h"
#include <string.h>

struct resources {
  hipStream_t copies, kernels;
  hipEvent_t copied;
  float *pinned, *in, *out;
  hipGraph_t graph;
  hipGraphExec_t exec;
};

static hipError_t allocate_all(struct resources *r, size_t bytes) {
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

static void free_all(struct resources *r) {
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
  if (r->exec) { // only now does no stream run it
    (void)hipGraphExecDestroy(r->exec);
  }
  if (r->graph) {
    (void)hipGraphDestroy(r->graph);
  }
}

static hipError_t compute(struct resources *r, int n, size_t bytes) {
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

static hipError_t capture(struct resources *r, int n, size_t bytes) {
  hipError_t error = hipStreamBeginCapture(r->kernels, hipStreamCaptureModeThreadLocal), ended;
  if (error) {
    return error;
  }
  error = hipMemcpyAsync(r->in, r->pinned, bytes, hipMemcpyHostToDevice, r->kernels);
  if (!error) {
    error = launch_plus_one(r->out, r->in, n, 64, r->kernels);
  }
  if (!error) {
    error = hipMemcpyAsync(r->pinned, r->out, bytes, hipMemcpyDeviceToHost, r->kernels);
  }
  ended = hipStreamEndCapture(r->kernels, &r->graph);
  return error ? error : ended;
}

static hipError_t compute_by_graph(struct resources *r, int n, size_t bytes) {
  hipError_t error = capture(r, n, bytes);
  if (!error) {
    error = hipGraphInstantiate(&r->exec, r->graph, NULL, NULL, 0);
  }
  for (int i = 0; i < 2 && !error; i++) {
    error = hipGraphLaunch(r->exec, r->kernels);
  }
  return error ? error : hipStreamSynchronize(r->kernels);
}

static hipError_t on_device(hipError_t (*work)(struct resources *, int, size_t), float *values,
                            int n, int careless) {
  struct resources r = {0};
  size_t bytes = (size_t)n * sizeof *values;
  hipError_t error = allocate_all(&r, bytes);
  if (!error) {
    memcpy(r.pinned, values, bytes);
    error = work(&r, n, bytes);
  }
  if (!error) {
    memcpy(values, r.pinned, bytes);
  }
  if (error && careless) {
    return error;
  }
  free_all(&r);
  return error;
}

hipError_t plus_one_on_device(float *values, int n, int careless) {
  return on_device(compute, values, n, careless);
}

hipError_t plus_two_by_graph(float *values, int n, int careless) {
  return on_device(compute_by_graph, values, n, careless);
}
