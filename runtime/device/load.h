// Loads weights to a device, piece by piece: while one staging buffer is copied to the device, the
// other is filled.
#ifndef GETP_DEVICE_LOAD_H
#define GETP_DEVICE_LOAD_H

#include "device/device.h"
#include "weights/weight_source.h"

struct load {
  struct device *device;
  const struct weight_source *source;
  uint8_t *packed;        // (packed_bytes) on the device; NULL if the source is read in place
  size_t packed_bytes;    // as weight_source_bytes says
  const uint8_t **weight; // (source->table.n) load_run fills in the address of each weight

  // Called after each piece, with the bytes loaded so far and all bytes. May be NULL.
  void (*watch)(void *context, size_t loaded, size_t total);
  void *context;
};

// The last copies are done after device_wait. Weights that the tree reads in place need the source
// to stay open.
bool load_run(const struct load *load, struct error *err);

#endif
