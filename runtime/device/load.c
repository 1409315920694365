#include "device/load.h"

static bool load_piece(const struct load *load, const struct weight_piece *piece,
                       struct error *err) {
  if (!load->packed)
    return weight_source_read(load->source, piece, NULL, err);
  uint8_t *to = load->packed + piece->offset;
  void *staging = device_staging(load->device, to, piece->bytes, err);
  return staging && weight_source_read(load->source, piece, staging, err) &&
         device_upload_staging(load->device, to, piece->bytes, err);
}

bool load_run(const struct load *load, struct error *err) {
  const size_t most = device_staging_most(load->device);
  struct weight_piece piece = {0};
  size_t loaded = 0;
  if (!weight_source_locate(load->source, load->packed, load->weight, err))
    return false;
  for (;;) {
    if (!weight_source_next(load->source, &piece, most, err))
      return false;
    if (piece.bytes == 0)
      return true;
    if (!load_piece(load, &piece, err))
      return false;
    loaded += piece.bytes;
    if (load->watch)
      load->watch(load->context, loaded, load->packed_bytes);
  }
}
