// A GPU, through the HIP runtime. All work goes through one stream; marks and time stamps are
// events. Messages name the HIP call that failed and have HIP's own text.
#include "device/device.h"

#include <hip/hip_runtime_api.h>

#include <stdlib.h>

struct device {
  hipStream_t stream;
  void *staging[DEVICE_STAGING_BUFFERS];     // pinned
  hipEvent_t copied[DEVICE_STAGING_BUFFERS]; // the last copy from the buffer
  int next;                                  // index of the buffer to fill
  hipEvent_t mark[DEVICE_MARKS];
  hipEvent_t *stamp; // (stamps)
  int stamps;
};

static bool check(hipError_t status, const char *call, struct error *err) {
  if (status == hipSuccess)
    return true;
  (void)hipGetLastError(); // otherwise HIP would report it again
  return fail(err, "%s: %s (%s)", call, hipGetErrorString(status), hipGetErrorName(status));
}

#define TRY(call, err) check((call), #call, err)

static bool find_device(struct error *err) {
  int count = 0;
  const hipError_t status = hipGetDeviceCount(&count);
  if (status != hipSuccess || count == 0)
    return fail(err, "device: want a GPU for this getp, found none: %s",
                status == hipSuccess ? "the HIP runtime offers none" : hipGetErrorString(status));
  return TRY(hipSetDevice(0), err);
}

bool device_open(struct device **out, struct error *err) {
  *out = NULL;
  if (!find_device(err))
    return false;
  struct device *device = calloc(1, sizeof *device);
  if (!device)
    return fail(err, "device: out of memory for its state");
  bool ok = TRY(hipStreamCreateWithFlags(&device->stream, hipStreamNonBlocking), err);
  for (int i = 0; ok && i < DEVICE_STAGING_BUFFERS; i++)
    ok = TRY(hipHostMalloc(&device->staging[i], DEVICE_STAGING_BYTES, hipHostMallocDefault), err) &&
         TRY(hipEventCreateWithFlags(&device->copied[i], hipEventDisableTiming), err);
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
    if (device->copied[i])
      (void)hipEventDestroy(device->copied[i]);
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

bool device_memory_info(struct device *device, size_t *free_bytes, size_t *total_bytes,
                        struct error *err) {
  (void)device;
  return TRY(hipMemGetInfo(free_bytes, total_bytes), err);
}

// HIP's text for hipErrorOutOfMemory is "out of memory".
static bool no_memory(struct device *device, hipError_t status, const char *call, size_t bytes,
                      const char *what, struct error *err) {
  struct error ignored;
  size_t free_bytes = 0, total_bytes = 0;
  (void)hipGetLastError(); // otherwise HIP would report it again
  device_memory_info(device, &free_bytes, &total_bytes, &ignored);
  return fail(err,
              "%s: %s for %s: want %zu bytes, found %zu of %zu free: generate with fewer --slots "
              "or a shorter --context",
              call, hipGetErrorString(status), what, bytes, free_bytes, total_bytes);
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

// The driver chooses the pages.
void device_use_large_pages(struct device *device, const struct memory *memory) {
  (void)device;
  (void)memory;
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

size_t device_staging_most(const struct device *device) {
  (void)device;
  return DEVICE_STAGING_BYTES;
}

void *device_staging(struct device *device, void *to, size_t bytes, struct error *err) {
  (void)to;
  (void)bytes;
  return TRY(hipEventSynchronize(device->copied[device->next]), err) ? device->staging[device->next]
                                                                     : NULL;
}

bool device_upload_staging(struct device *device, void *to, size_t bytes, struct error *err) {
  const int staging = device->next;
  device->next = (staging + 1) % DEVICE_STAGING_BUFFERS;
  return device_upload(device, to, device->staging[staging], bytes, err) &&
         TRY(hipEventRecord(device->copied[staging], device->stream), err);
}

bool device_upload(struct device *device, void *to, const void *from, size_t bytes,
                   struct error *err) {
  return TRY(hipMemcpyAsync(to, from, bytes, hipMemcpyHostToDevice, device->stream), err);
}

const void *device_download(struct device *device, const void *from, size_t bytes, void *buffer,
                            struct error *err) {
  return TRY(hipMemcpyAsync(buffer, from, bytes, hipMemcpyDeviceToHost, device->stream), err)
             ? buffer
             : NULL;
}

bool device_wait(struct device *device, struct error *err) {
  return TRY(hipGetLastError(), err) && TRY(hipStreamSynchronize(device->stream), err);
}

bool device_failed(void) {
  return hipPeekAtLastError() != hipSuccess;
}

bool device_mark(struct device *device, int mark, struct error *err) {
  return TRY(hipGetLastError(), err) &&
         TRY(hipEventRecord(device->mark[mark], device->stream), err);
}

bool device_wait_mark(struct device *device, int mark, struct error *err) {
  return TRY(hipEventSynchronize(device->mark[mark]), err);
}

bool device_capture_begin(struct device *device, struct error *err) {
  return TRY(hipStreamBeginCapture(device->stream, hipStreamCaptureModeThreadLocal), err);
}

// A struct device_graph is a hipGraphExec_t. A capture is ended even if one of its launches failed;
// otherwise the stream could not be used again.
bool device_capture_end(struct device *device, struct device_graph **out, struct error *err) {
  hipGraph_t graph = NULL;
  hipGraphExec_t executable = NULL;
  struct error later;
  bool ok = TRY(hipGetLastError(), err);
  ok = TRY(hipStreamEndCapture(device->stream, &graph), ok ? err : &later) && ok;
  ok = ok && TRY(hipGraphInstantiate(&executable, graph, NULL, NULL, 0), err);
  if (graph)
    (void)hipGraphDestroy(graph);
  *out = (struct device_graph *)executable;
  return ok;
}

bool device_graph_launch(struct device *device, struct device_graph *graph, struct error *err) {
  return TRY(hipGraphLaunch((hipGraphExec_t)graph, device->stream), err);
}

void device_graph_destroy(struct device_graph *graph) {
  if (graph)
    (void)hipGraphExecDestroy((hipGraphExec_t)graph);
}

bool device_alloc_stamps(struct device *device, int n, struct error *err) {
  device->stamp = calloc((size_t)n, sizeof *device->stamp);
  if (!device->stamp)
    return fail(err, "device: out of memory for %d time stamps", n);
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
