// One device as the engine sees it: memory, copies to and from it, and the order of its work.
// device/hip.c implements it for a GPU, device/cpu.c for the host itself.
//
// Copies, launches and the other calls below with "enqueue" in their comment return before the work
// is done. The device does its work in the order of the calls, in one stream. A failure of the work
// is reported by a later call, at the latest by device_wait.
#ifndef GETP_DEVICE_DEVICE_H
#define GETP_DEVICE_DEVICE_H

#include "base/error.h"

#include <stddef.h>

struct device;

// An allocation. A zeroed one is none.
struct memory {
  void *at;
  size_t bytes;
};

// Refuses a machine without such a device. The caller closes *out.
bool device_open(struct device **out, struct error *err);
void device_close(struct device *device);

// The stream for launchers, as pass->stream.
void *device_stream(const struct device *device);

// Bytes of the device that are free, and all its bytes. Both are 0 if the device knows no bound.
bool device_memory_info(struct device *device, size_t *free_bytes, size_t *total_bytes,
                        struct error *err);

// ---- memory ----

// Allocates memory on the device, with undefined content. The message of a failure names `what` it
// was for, and the bytes that were wanted and free.
bool device_alloc(struct device *device, struct memory *memory, size_t bytes, const char *what,
                  struct error *err);

// Allocates memory on the host that the device can copy to and from.
bool device_alloc_host(struct device *device, struct memory *memory, size_t bytes, const char *what,
                       struct error *err);

// Free the memory, if it is any.
void device_free(struct device *device, struct memory *memory);
void device_free_host(struct device *device, struct memory *memory);

// Lets an allocation that will be used as a whole have large pages, where the system has any. A
// page takes memory when its first byte is used.
void device_use_large_pages(struct device *device, const struct memory *memory);

// Enqueues zeroing memory of the device, a piece of an allocation or all of it.
bool device_clear(struct device *device, const struct memory *memory, struct error *err);

// ---- copies ----

// Loading goes through staging buffers in host memory, so that one can be filled while the other is
// copied to the device. The host itself needs none: it returns the target.
enum { DEVICE_STAGING_BYTES = 16 << 20, DEVICE_STAGING_BUFFERS = 2 };

// The most bytes that a buffer can take: DEVICE_STAGING_BYTES, or any number on the host.
size_t device_staging_most(const struct device *device);

// A buffer to fill with `bytes` bytes for `to`, which is memory of the device; at most
// device_staging_most. Waits until a buffer is free. Returns NULL with a message if earlier work
// failed.
void *device_staging(struct device *device, void *to, size_t bytes, struct error *err);

// Enqueues the copy of the buffer that device_staging returned last, with the same arguments.
bool device_upload_staging(struct device *device, void *to, size_t bytes, struct error *err);

// Enqueues a copy from the host to the device. `from` is memory of device_alloc_host, and may not
// change before the copy is done.
bool device_upload(struct device *device, void *to, const void *from, size_t bytes,
                   struct error *err);

// Enqueues a copy from the device to `buffer`, which is memory of device_alloc_host. Returns where
// the bytes can be read when the copy is done: `buffer`, or `from` itself if that is on the host.
// NULL with a message if it fails.
const void *device_download(struct device *device, const void *from, size_t bytes, void *buffer,
                            struct error *err);

// ---- waiting ----

// Waits until all enqueued work is done. Reports what failed, launches included.
bool device_wait(struct device *device, struct error *err);

// Whether a launch has failed that neither device_wait nor device_mark has reported yet.
bool device_failed(void);

// device_mark enqueues mark number `mark`, of DEVICE_MARKS. device_wait_mark waits until the work
// before the mark is done, but not for work that was enqueued after it.
enum { DEVICE_MARKS = 2 };
bool device_mark(struct device *device, int mark, struct error *err);
bool device_wait_mark(struct device *device, int mark, struct error *err);

// ---- graphs ----

// Launches between device_capture_begin and device_capture_end are not run but captured in a graph.
// device_graph_launch enqueues all of them. The host captures nothing and refuses.
struct device_graph;
bool device_capture_begin(struct device *device, struct error *err);

// *graph is NULL after a failure. It must be called even if a launch of the capture failed.
bool device_capture_end(struct device *device, struct device_graph **graph, struct error *err);
bool device_graph_launch(struct device *device, struct device_graph *graph, struct error *err);

// `graph` may be NULL.
void device_graph_destroy(struct device_graph *graph);

// ---- times ----

// Allocates n time stamps, which device_close frees.
bool device_alloc_stamps(struct device *device, int n, struct error *err);

// Enqueues setting a stamp to the time when the work before it is done.
bool device_stamp(struct device *device, int stamp, struct error *err);

// The seconds between two stamps that are set.
bool device_seconds(struct device *device, int from, int to, double *seconds, struct error *err);

#endif
