#include "device/load.h"

bool load_run(const struct load *load, struct error *err) {
  const struct weight_source *source = load->source;
  const size_t most = device_staging_most(load->device);
  struct weight_piece piece = {0};
  size_t loaded = 0;
  if (!weight_source_locate(source, load->packed, load->weight, err))
    return false;
  for (;;) {
    if (!weight_source_next(source, &piece, most, err))
      return false;
    if (piece.bytes == 0)
      return true;
    uint8_t *to = load->packed + piece.offset;
    void *staging = device_staging(load->device, to, piece.bytes, err);
    if (!staging || !weight_source_read(source, &piece, staging, err) ||
        !device_upload_staging(load->device, to, piece.bytes, err))
      return false;
    loaded += piece.bytes;
    if (load->watch)
      load->watch(load->context, loaded, load->packed_bytes);
  }
}
