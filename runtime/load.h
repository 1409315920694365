// Bringing weights to a device: converted from a checkpoint, or copied from a packed file, one
// stage being filled while the other is sent.
#ifndef GETP_LOAD_H
#define GETP_LOAD_H

#include "device.h"
#include "packed.h"

struct load {
  struct device *device;
  const struct weight_table *table;
  uint8_t *packed;        // (table->packed_bytes) on the device
  const uint8_t **weight; // (table->n) where each tensor then is

  // Called after each piece that was sent, with their bytes so far and in all; or NULL.
  void (*watch)(void *context, size_t sent, size_t total);
  void *context;
  size_t sent;
};

// Mapped tensors stay where they are: the source must stay open. A checkpoint's tensor is refused,
// by name, if it is missing or not as the table has it. What was sent arrives by device_wait.
bool load_checkpoint(struct load *load, const struct safetensors *checkpoint, struct error *err);
bool load_packed(struct load *load, const struct packed *packed, struct error *err);

#endif
