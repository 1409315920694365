// A GPU through the HIP runtime: one stream, two staging buffers in pinned memory whose filling and
// sending overlap, graphs captured from the stream, events as marks and time stamps. Every call
// that fails is named, with HIP's own words.
#include "device/device.h"

#include <hip/hip_runtime_api.h>

#include <stdlib.h>

struct device {
  hipStream_t stream;
  void *staging[DEVICE_STAGING_BUFFERS];
  hipEvent_t sent[DEVICE_STAGING_BUFFERS]; // the copy out of a staging is done
  int next;                                // the staging to fill
  hipEvent_t mark[DEVICE_MARKS];
  hipEvent_t *stamp; // (stamps) with times
  int stamps;
};

static bool check(hipError_t status, const char *call, struct error *err) {
  if (status == hipSuccess)
    return true;
  (void)hipGetLastError(); // HIP would report it again
  return fail(err, "%s: %s (%s)", call, hipGetErrorString(status), hipGetErrorName(status));
}

#define TRY(call, err) check((call), #call, err)

static bool find_device(struct error *err) {
  int count = 0;
  const hipError_t status = hipGetDeviceCount(&count);
  if (status != hipSuccess || count == 0)
    return fail(err, "no GPU that this getp can use: %s",
                status == hipSuccess ? "the HIP runtime offers none" : hipGetErrorString(status));
  return TRY(hipSetDevice(0), err);
}

bool device_open(struct device **out, struct error *err) {
  *out = NULL;
  if (!find_device(err))
    return false;
  struct device *device = calloc(1, sizeof *device);
  if (!device)
    return fail(err, "out of memory");
  bool ok = TRY(hipStreamCreateWithFlags(&device->stream, hipStreamNonBlocking), err);
  for (int i = 0; ok && i < DEVICE_STAGING_BUFFERS; i++)
    ok = TRY(hipHostMalloc(&device->staging[i], DEVICE_STAGING_BYTES, hipHostMallocDefault), err) &&
         TRY(hipEventCreateWithFlags(&device->sent[i], hipEventDisableTiming), err);
  for (int i = 0; ok && i < DEVICE_MARKS; i++)
    ok = TRY(hipEventCreateWithFlags(&device->mark[i], hipEventDisableTiming), err);
  if (ok)
    *out = device;
  else
    device_close(device);
  return ok;
}

void device_close(struct device *device) {
  if (!device)
    return;
  if (device->stream)
    (void)hipStreamSynchronize(device->stream);
  for (int i = 0; i < DEVICE_STAGING_BUFFERS; i++) {
    if (device->sent[i])
      (void)hipEventDestroy(device->sent[i]);
    if (device->staging[i])
      (void)hipHostFree(device->staging[i]);
  }
  for (int i = 0; i < DEVICE_MARKS; i++)
    if (device->mark[i])
      (void)hipEventDestroy(device->mark[i]);
  for (int i = 0; i < device->stamps; i++)
    (void)hipEventDestroy(device->stamp[i]);
  free(device->stamp);
  if (device->stream)
    (void)hipStreamDestroy(device->stream);
  free(device);
}

void *device_stream(const struct device *device) {
  return device->stream;
}

bool device_memory_info(struct device *device, size_t *unused, size_t *total, struct error *err) {
  (void)device;
  return TRY(hipMemGetInfo(unused, total), err);
}

static bool no_memory(struct device *device, hipError_t status, const char *call, size_t bytes,
                      const char *what, struct error *err) {
  struct error ignored;
  size_t unused = 0, total = 0;
  (void)hipGetLastError();
  device_memory_info(device, &unused, &total, &ignored);
  return fail(err,
              "%s for %s: %s: want %zu bytes, %zu of %zu are free: generate with fewer --slots or "
              "a shorter --context",
              call, what, hipGetErrorString(status), bytes, unused, total);
}

bool device_alloc(struct device *device, struct memory *memory, size_t bytes, const char *what,
                  struct error *err) {
  void *at = NULL;
  const hipError_t status = hipMalloc(&at, bytes);
  if (status != hipSuccess)
    return no_memory(device, status, "hipMalloc", bytes, what, err);
  *memory = (struct memory){at, bytes};
  return true;
}

bool device_clear(struct device *device, const struct memory *memory, struct error *err) {
  return TRY(hipMemsetAsync(memory->at, 0, memory->bytes, device->stream), err);
}

bool device_alloc_host(struct device *device, struct memory *memory, size_t bytes, const char *what,
                       struct error *err) {
  void *at = NULL;
  const hipError_t status = hipHostMalloc(&at, bytes, hipHostMallocDefault);
  if (status != hipSuccess)
    return no_memory(device, status, "hipHostMalloc", bytes, what, err);
  *memory = (struct memory){at, bytes};
  return true;
}

void device_free(struct device *device, struct memory *memory) {
  (void)device;
  if (memory->at)
    (void)hipFree(memory->at);
  *memory = (struct memory){0};
}

void device_free_host(struct device *device, struct memory *memory) {
  (void)device;
  if (memory->at)
    (void)hipHostFree(memory->at);
  *memory = (struct memory){0};
}

void *device_staging(struct device *device, void *to, size_t bytes, struct error *err) {
  (void)to;
  (void)bytes;
  return TRY(hipEventSynchronize(device->sent[device->next]), err) ? device->staging[device->next]
                                                                   : NULL;
}

bool device_send(struct device *device, void *to, size_t bytes, struct error *err) {
  const int staging = device->next;
  device->next = (staging + 1) % DEVICE_STAGING_BUFFERS;
  return device_put(device, to, device->staging[staging], bytes, err) &&
         TRY(hipEventRecord(device->sent[staging], device->stream), err);
}

bool device_put(struct device *device, void *to, const void *from, size_t bytes,
                struct error *err) {
  return TRY(hipMemcpyAsync(to, from, bytes, hipMemcpyHostToDevice, device->stream), err);
}

const void *device_get(struct device *device, const void *from, size_t bytes, void *buffer,
                       struct error *err) {
  return TRY(hipMemcpyAsync(buffer, from, bytes, hipMemcpyDeviceToHost, device->stream), err)
             ? buffer
             : NULL;
}

bool device_wait(struct device *device, struct error *err) {
  return TRY(hipGetLastError(), err) && TRY(hipStreamSynchronize(device->stream), err);
}

bool device_mark(struct device *device, int mark, struct error *err) {
  return TRY(hipGetLastError(), err) &&
         TRY(hipEventRecord(device->mark[mark], device->stream), err);
}

bool device_wait_mark(struct device *device, int mark, struct error *err) {
  return TRY(hipEventSynchronize(device->mark[mark]), err);
}

bool device_record(struct device *device, struct error *err) {
  return TRY(hipStreamBeginCapture(device->stream, hipStreamCaptureModeThreadLocal), err);
}

// A struct device_graph is HIP's executable graph by another name. A capture is ended even if a
// launch in it has failed: else the stream would be lost.
bool device_recorded(struct device *device, struct device_graph **out, struct error *err) {
  hipGraph_t graph = NULL;
  hipGraphExec_t runnable = NULL;
  struct error later;
  bool ok = TRY(hipGetLastError(), err);
  ok = TRY(hipStreamEndCapture(device->stream, &graph), ok ? err : &later) && ok;
  ok = ok && TRY(hipGraphInstantiate(&runnable, graph, NULL, NULL, 0), err);
  if (graph)
    (void)hipGraphDestroy(graph);
  *out = (struct device_graph *)runnable;
  return ok;
}

bool device_replay(struct device *device, struct device_graph *graph, struct error *err) {
  return TRY(hipGraphLaunch((hipGraphExec_t)graph, device->stream), err);
}

void device_drop(struct device_graph *graph) {
  if (graph)
    (void)hipGraphExecDestroy((hipGraphExec_t)graph);
}

bool device_alloc_stamps(struct device *device, int n, struct error *err) {
  device->stamp = calloc((size_t)n, sizeof *device->stamp);
  if (!device->stamp)
    return fail(err, "out of memory for %d time stamps", n);
  for (; device->stamps < n; device->stamps++)
    if (!TRY(hipEventCreateWithFlags(&device->stamp[device->stamps], hipEventDefault), err))
      return false;
  return true;
}

bool device_stamp(struct device *device, int stamp, struct error *err) {
  return TRY(hipEventRecord(device->stamp[stamp], device->stream), err);
}

bool device_seconds(struct device *device, int from, int to, double *seconds, struct error *err) {
  float milliseconds = 0;
  const bool ok =
      TRY(hipEventElapsedTime(&milliseconds, device->stamp[from], device->stamp[to]), err);
  *seconds = (double)milliseconds * 1e-3;
  return ok;
}
