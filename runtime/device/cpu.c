// The host as a device: its memory is ordinary memory, and everything is done at once.
#include "device/device.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

struct device {
  struct timespec *stamps; // NULL: none taken
};

bool device_open(struct device **out, struct error *err) {
  *out = calloc(1, sizeof **out);
  return *out ? true : fail(err, "out of memory");
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

bool device_memory_info(struct device *device, size_t *unused, size_t *total, struct error *err) {
  (void)device;
  (void)err;
  *unused = *total = 0;
  return true;
}

// The kernel hands out zeroed pages when they are first touched: what a job does not use costs
// nothing.
bool device_alloc(struct device *device, struct memory *memory, size_t bytes, const char *what,
                  struct error *err) {
  (void)device;
  void *at =
      mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED)
    return fail(err,
                "no memory for %s: want %zu bytes: generate with fewer --slots or a shorter "
                "--context",
                what, bytes);
  *memory = (struct memory){at, bytes};
  return true;
}

bool device_clear(struct device *device, const struct memory *memory, struct error *err) {
  (void)device, (void)memory, (void)err; // new pages are zeros
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

void *device_staging(struct device *device, void *to, size_t bytes, struct error *err) {
  (void)device;
  (void)bytes;
  (void)err;
  return to;
}

bool device_send(struct device *device, void *to, size_t bytes, struct error *err) {
  (void)device;
  (void)to;
  (void)bytes;
  (void)err;
  return true;
}

bool device_put(struct device *device, void *to, const void *from, size_t bytes,
                struct error *err) {
  (void)device;
  (void)err;
  memcpy(to, from, bytes);
  return true;
}

const void *device_get(struct device *device, const void *from, size_t bytes, void *buffer,
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

bool device_record(struct device *device, struct error *err) {
  (void)device;
  return fail(err, "the host does everything at once: it records nothing");
}

bool device_recorded(struct device *device, struct device_graph **graph, struct error *err) {
  *graph = NULL;
  return device_record(device, err);
}

bool device_replay(struct device *device, struct device_graph *graph, struct error *err) {
  (void)graph;
  return device_record(device, err);
}

void device_drop(struct device_graph *graph) {
  (void)graph;
}

bool device_alloc_stamps(struct device *device, int n, struct error *err) {
  device->stamps = calloc((size_t)n, sizeof *device->stamps);
  return device->stamps ? true : fail(err, "out of memory for %d time stamps", n);
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
