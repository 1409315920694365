// Bringing weights to a device, piece by piece: one staging buffer is filled while the other is
// sent.
#ifndef GETP_DEVICE_LOAD_H
#define GETP_DEVICE_LOAD_H

#include "checkpoint/weight_source.h"
#include "device/device.h"

struct load {
  struct device *device;
  const struct weight_source *source;
  uint8_t *packed;        // (source->table.packed_bytes) on the device
  const uint8_t **weight; // (source->table.n) where each tensor then is

  // Called after each piece that was sent, with their bytes so far and in all; or NULL.
  void (*watch)(void *context, size_t sent, size_t total);
  void *context;
};

// Mapped tensors stay where they are: the source must stay open. What was sent arrives by
// device_wait.
bool load_run(const struct load *load, struct error *err);

#endif
