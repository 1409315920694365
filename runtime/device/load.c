#include "device/load.h"

bool load_run(const struct load *load, struct error *err) {
  const struct weight_source *source = load->source;
  struct weight_cursor cursor = {0};
  size_t sent = 0;
  if (!weight_source_locate(source, load->packed, load->weight, err))
    return false;
  for (;;) {
    struct weight_piece piece;
    if (!weight_source_next(source, &cursor, DEVICE_STAGING_BYTES, &piece, err))
      return false;
    if (piece.bytes == 0)
      return true;
    uint8_t *to = load->packed + piece.offset;
    void *staging = device_staging(load->device, to, piece.bytes, err);
    if (!staging || !weight_source_read(source, &cursor, &piece, staging, err) ||
        !device_send(load->device, to, piece.bytes, err))
      return false;
    sent += piece.bytes;
    if (load->watch)
      load->watch(load->context, sent, source->table.packed_bytes);
  }
}
