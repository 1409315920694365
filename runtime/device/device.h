// One device as the engine sees it: its memory, and data on the way to it and back. Implemented by
// device_cpu.c for the host itself and by device_hip.c for a GPU. What one thread asks for happens
// in the order asked.
#ifndef GETP_DEVICE_DEVICE_H
#define GETP_DEVICE_DEVICE_H

#include "base/error.h"

#include <stddef.h>

struct device;

// A piece of memory; zeroed is none.
struct memory {
  void *at;
  size_t bytes;
};

// Refuses, in one line, a machine without such a device.
bool device_open(struct device **out, struct error *err);
void device_close(struct device *device);

// What launchers are given as pass->stream.
void *device_stream(const struct device *device);

// Bytes on the device that are free, and in all; 0 and 0 if the device knows no bound.
bool device_memory_info(struct device *device, size_t *unused, size_t *total, struct error *err);

// Memory on the device, with anything in it. A failure names what it was for, how many bytes, how
// many were free.
bool device_alloc(struct device *device, struct memory *memory, size_t bytes, const char *what,
                  struct error *err);

// Zeroes memory that has just been taken.
bool device_clear(struct device *device, const struct memory *memory, struct error *err);

// The same as device_alloc on the host, where device_put and device_get may read and write it.
bool device_alloc_host(struct device *device, struct memory *memory, size_t bytes, const char *what,
                       struct error *err);
void device_free(struct device *device, struct memory *memory);
void device_free_host(struct device *device, struct memory *memory);

// A buffer on the host, of at most DEVICE_STAGING_BYTES, to fill for a place on the device; NULL
// with a message if earlier work failed. device_send then sets it on its way. A device apart from
// the host has DEVICE_STAGING_BUFFERS of them.
enum { DEVICE_STAGING_BYTES = 16 << 20, DEVICE_STAGING_BUFFERS = 2 };
void *device_staging(struct device *device, void *to, size_t bytes, struct error *err);
bool device_send(struct device *device, void *to, size_t bytes, struct error *err);

// Copies from memory of device_alloc_host; `from` may change only after device_wait.
bool device_put(struct device *device, void *to, const void *from, size_t bytes, struct error *err);

// Where the host finds `bytes` bytes of the device after device_wait: in `buffer`, of
// device_alloc_host, or where they are if the host can read them there. NULL with a message if the
// copy could not be asked for.
const void *device_get(struct device *device, const void *from, size_t bytes, void *buffer,
                       struct error *err);

// Waits until everything asked for is done; reports what failed on the way, launches included.
bool device_wait(struct device *device, struct error *err);

// Marks what has been asked for so far as `mark` of DEVICE_MARKS; device_wait_mark waits for that,
// and not for what was asked for since.
enum { DEVICE_MARKS = 2 };
bool device_mark(struct device *device, int mark, struct error *err);
bool device_wait_mark(struct device *device, int mark, struct error *err);

// What launchers are asked for between the two is not done but kept as a graph, NULL if that
// failed; each device_replay does the whole of it. Not every device records; one that does not
// refuses.
struct device_graph;
bool device_record(struct device *device, struct error *err);
bool device_recorded(struct device *device, struct device_graph **graph, struct error *err);
bool device_replay(struct device *device, struct device_graph *graph, struct error *err);
void device_drop(struct device_graph *graph);

// Time stamps: n of them, until device_close. device_stamp has the device note when it has done
// what was asked for so far; device_seconds is the time between two stamps that it is past.
bool device_alloc_stamps(struct device *device, int n, struct error *err);
bool device_stamp(struct device *device, int stamp, struct error *err);
bool device_seconds(struct device *device, int from, int to, double *seconds, struct error *err);

#endif
