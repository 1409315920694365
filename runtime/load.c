// The way of weights through the stages of a device.
#include "load.h"

static bool send(struct load *load, uint8_t *to, size_t bytes, struct error *err) {
  if (!device_send(load->device, to, bytes, err))
    return false;
  load->sent += bytes;
  if (load->watch)
    load->watch(load->context, load->sent, load->table->packed_bytes);
  return true;
}

static bool upload(struct load *load, const struct weight_view *weight, uint8_t *to,
                   struct error *err) {
  const size_t bytes = weight_bytes(weight->row), granule = weight_granule(weight->row);
  const size_t most = DEVICE_STAGE_BYTES / granule * granule;
  if (most == 0)
    return fail(err, "%s: want tiles of at most %d bytes, found %zu", weight->row->name,
                DEVICE_STAGE_BYTES, granule);
  weight_populate(weight);
  for (size_t first = 0; first < bytes; first += most) {
    const size_t n = bytes - first < most ? bytes - first : most;
    void *stage = device_stage(load->device, to + first, n, err);
    if (!stage)
      return false;
    weight_read(weight, first, n, stage);
    if (!send(load, to + first, n, err))
      return false;
  }
  weight_release(weight);
  return true;
}

bool load_checkpoint(struct load *load, const struct safetensors *checkpoint, struct error *err) {
  for (int i = 0; i < load->table->n; i++) {
    const struct weight_row *row = &load->table->rows[i];
    struct weight_view weight;
    if (!weight_find(&weight, row, checkpoint, err))
      return false;
    if (row->offset == WEIGHT_MAPPED) {
      load->weight[i] = weight.tensor->data;
      continue;
    }
    load->weight[i] = load->packed + row->offset;
    if (!upload(load, &weight, load->packed + row->offset, err))
      return false;
  }
  return true;
}

bool load_packed(struct load *load, const struct packed *packed, struct error *err) {
  const size_t bytes = load->table->packed_bytes;
  size_t end = bytes;
  for (int i = 0; i < load->table->n; i++) {
    const struct weight_row *row = &load->table->rows[i];
    const uint8_t *base = row->offset == WEIGHT_MAPPED ? packed->image : load->packed;
    load->weight[i] = base + weight_place(row, &end);
  }
  for (size_t first = 0; first < bytes; first += DEVICE_STAGE_BYTES) {
    const size_t n = bytes - first < DEVICE_STAGE_BYTES ? bytes - first : DEVICE_STAGE_BYTES;
    void *stage = device_stage(load->device, load->packed + first, n, err);
    if (!stage)
      return false;
    if (!packed_read(packed, first, n, stage, err) || !send(load, load->packed + first, n, err))
      return false;
  }
  return true;
}
