#include "checkpoint/weight_source.h"

static size_t smaller(size_t a, size_t b) {
  return a < b ? a : b;
}

bool weight_source_locate(const struct weight_source *source, const uint8_t *packed,
                          const uint8_t **weight, struct error *err) {
  const struct weight_table *table = &source->table;
  size_t end = table->packed_bytes;
  for (int i = 0; i < table->n; i++) {
    const struct weight_spec *spec = &table->specs[i];
    struct weight_view view = {0};
    const size_t offset = weight_offset(spec, &end);
    if (source->checkpoint && !weight_find(&view, spec, source->checkpoint, err))
      return false;
    if (spec->offset != WEIGHT_MAPPED)
      weight[i] = packed + offset;
    else
      weight[i] = source->checkpoint ? view.tensor->data : source->packed->image + offset;
  }
  return true;
}

// Goes on to the next tensor that is packed; false after the last.
static bool next_tensor(const struct weight_source *source, struct weight_cursor *cursor,
                        struct error *err) {
  const struct weight_table *table = &source->table;
  while (cursor->next < table->n && table->specs[cursor->next].offset == WEIGHT_MAPPED)
    cursor->next++;
  cursor->offset = 0;
  if (cursor->next == table->n) {
    cursor->view.spec = NULL;
    return true;
  }
  if (!weight_find(&cursor->view, &table->specs[cursor->next++], source->checkpoint, err))
    return false;
  weight_populate(&cursor->view);
  return true;
}

// A piece of the tensor that is being read, or else of the next.
static bool next_of_checkpoint(const struct weight_source *source, struct weight_cursor *cursor,
                               size_t most, struct weight_piece *piece, struct error *err) {
  const struct weight_spec *spec = cursor->view.spec;
  if (!spec || cursor->offset == weight_bytes(spec)) {
    if (spec)
      weight_release(&cursor->view);
    if (!next_tensor(source, cursor, err))
      return false;
    spec = cursor->view.spec;
    if (!spec)
      return true;
  }
  const size_t granule = weight_granule(spec), whole = most / granule * granule;
  if (whole == 0)
    return fail(err, "%s: want tiles of at most %zu bytes, found %zu", spec->name, most, granule);
  piece->offset = (size_t)spec->offset + cursor->offset;
  piece->bytes = smaller(weight_bytes(spec) - cursor->offset, whole);
  cursor->offset += piece->bytes;
  return true;
}

bool weight_source_next(const struct weight_source *source, struct weight_cursor *cursor,
                        size_t most, struct weight_piece *piece, struct error *err) {
  *piece = (struct weight_piece){0};
  if (source->checkpoint)
    return next_of_checkpoint(source, cursor, most, piece, err);
  piece->offset = cursor->offset;
  piece->bytes = smaller(source->table.packed_bytes - cursor->offset, most);
  cursor->offset += piece->bytes;
  return true;
}

bool weight_source_read(const struct weight_source *source, const struct weight_cursor *cursor,
                        const struct weight_piece *piece, void *to, struct error *err) {
  if (!source->checkpoint)
    return packed_read(source->packed, piece->offset, piece->bytes, to, err);
  weight_read(&cursor->view, cursor->offset - piece->bytes, piece->bytes, to);
  return true;
}
