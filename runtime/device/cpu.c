// The host as a device. Its memory is ordinary memory, and every call does its work at once.
#include "device/device.h"

#include "base/pages.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

struct device {
  struct timespec *stamps; // NULL if none were allocated
};

bool device_open(struct device **out, struct error *err) {
  *out = calloc(1, sizeof **out);
  return *out ? true : fail(err, "device: out of memory for its state");
}

void device_close(struct device *device) {
  if (device)
    free(device->stamps);
  free(device);
}

void *device_stream(const struct device *device) {
  (void)device;
  return NULL;
}

bool device_memory_info(struct device *device, size_t *free_bytes, size_t *total_bytes,
                        struct error *err) {
  (void)device;
  (void)err;
  *free_bytes = *total_bytes = 0;
  return true;
}

// The kernel adds a zeroed page when it is first touched, so memory that a job does not use costs
// nothing.
bool device_alloc(struct device *device, struct memory *memory, size_t bytes, const char *what,
                  struct error *err) {
  (void)device;
  void *at =
      mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED)
    return fail(err,
                "device: out of memory for %s: want %zu bytes: generate with fewer --slots or a "
                "shorter --context",
                what, bytes);
  *memory = (struct memory){at, bytes};
  return true;
}

// A system without large pages refuses.
void device_use_large_pages(struct device *device, const struct memory *memory) {
  (void)device;
  (void)madvise(memory->at, memory->bytes, MADV_HUGEPAGE);
}

bool device_clear(struct device *device, const struct memory *memory, struct error *err) {
  (void)device, (void)err;
  pages_zero(memory->at, memory->bytes);
  return true;
}

bool device_alloc_host(struct device *device, struct memory *memory, size_t bytes, const char *what,
                       struct error *err) {
  return device_alloc(device, memory, bytes, what, err);
}

void device_free(struct device *device, struct memory *memory) {
  (void)device;
  if (memory->at)
    munmap(memory->at, memory->bytes);
  *memory = (struct memory){0};
}

void device_free_host(struct device *device, struct memory *memory) {
  device_free(device, memory);
}

size_t device_staging_most(const struct device *device) {
  (void)device;
  return SIZE_MAX;
}

void *device_staging(struct device *device, void *to, size_t bytes, struct error *err) {
  (void)device;
  (void)bytes;
  (void)err;
  return to;
}

bool device_upload_staging(struct device *device, void *to, size_t bytes, struct error *err) {
  (void)device;
  (void)to;
  (void)bytes;
  (void)err;
  return true;
}

bool device_upload(struct device *device, void *to, const void *from, size_t bytes,
                   struct error *err) {
  (void)device;
  (void)err;
  memcpy(to, from, bytes);
  return true;
}

const void *device_download(struct device *device, const void *from, size_t bytes, void *buffer,
                            struct error *err) {
  (void)device;
  (void)bytes;
  (void)buffer;
  (void)err;
  return from;
}

bool device_wait(struct device *device, struct error *err) {
  (void)device;
  (void)err;
  return true;
}

bool device_failed(void) {
  return false;
}

bool device_mark(struct device *device, int mark, struct error *err) {
  (void)device;
  (void)mark;
  (void)err;
  return true;
}

bool device_wait_mark(struct device *device, int mark, struct error *err) {
  (void)mark;
  return device_wait(device, err);
}

bool device_capture_begin(struct device *device, struct error *err) {
  (void)device;
  return fail(err, "device: want a GPU to capture a graph, found the host");
}

bool device_capture_end(struct device *device, struct device_graph **graph, struct error *err) {
  *graph = NULL;
  return device_capture_begin(device, err);
}

bool device_graph_launch(struct device *device, struct device_graph *graph, struct error *err) {
  (void)graph;
  return device_capture_begin(device, err);
}

void device_graph_destroy(struct device_graph *graph) {
  (void)graph;
}

bool device_alloc_stamps(struct device *device, int n, struct error *err) {
  device->stamps = calloc((size_t)n, sizeof *device->stamps);
  return device->stamps ? true : fail(err, "device: out of memory for %d time stamps", n);
}

bool device_stamp(struct device *device, int stamp, struct error *err) {
  (void)err;
  clock_gettime(CLOCK_MONOTONIC, &device->stamps[stamp]);
  return true;
}

bool device_seconds(struct device *device, int from, int to, double *seconds, struct error *err) {
  const struct timespec *a = &device->stamps[from], *b = &device->stamps[to];
  (void)err;
  *seconds = (double)(b->tv_sec - a->tv_sec) + (double)(b->tv_nsec - a->tv_nsec) * 1e-9;
  return true;
}
