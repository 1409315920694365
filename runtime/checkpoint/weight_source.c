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

// Moves on to the beginning of the next packed weight. After the last one, piece->view.spec is
// NULL.
static bool next_weight(const struct weight_source *source, struct weight_piece *piece,
                        struct error *err) {
  const struct weight_table *table = &source->table;
  const struct weight_spec *spec = piece->view.spec ? piece->view.spec + 1 : table->specs;
  while (spec < table->specs + table->n && spec->offset == WEIGHT_MAPPED)
    spec++;
  *piece = (struct weight_piece){0};
  if (spec == table->specs + table->n)
    return true;
  if (!weight_find(&piece->view, spec, source->checkpoint, err))
    return false;
  piece->offset = (size_t)spec->offset;
  weight_populate(&piece->view);
  return true;
}

static bool next_of_checkpoint(const struct weight_source *source, struct weight_piece *piece,
                               size_t most, struct error *err) {
  const struct weight_spec *spec = piece->view.spec;
  piece->offset += piece->bytes;
  piece->bytes = 0;
  if (!spec || piece->offset == (size_t)spec->offset + weight_bytes(spec)) {
    if (spec)
      weight_release(&piece->view);
    if (!next_weight(source, piece, err))
      return false;
    spec = piece->view.spec;
    if (!spec)
      return true;
  }
  const size_t left = (size_t)spec->offset + weight_bytes(spec) - piece->offset;
  const size_t granule = weight_granule(spec), whole = most / granule * granule;
  if (whole == 0)
    return fail(err, "%s: want tiles of at most %zu bytes, found %zu", spec->name, most, granule);
  piece->bytes = smaller(left, whole);
  return true;
}

bool weight_source_next(const struct weight_source *source, struct weight_piece *piece, size_t most,
                        struct error *err) {
  if (source->checkpoint)
    return next_of_checkpoint(source, piece, most, err);
  piece->offset += piece->bytes;
  piece->bytes = smaller(source->table.packed_bytes - piece->offset, most);
  return true;
}

bool weight_source_read(const struct weight_source *source, const struct weight_piece *piece,
                        void *to, struct error *err) {
  if (!source->checkpoint)
    return packed_read(source->packed, piece->offset, piece->bytes, to, err);
  const size_t first = piece->offset - (size_t)piece->view.spec->offset;
  weight_read(&piece->view, first, piece->bytes, to);
  return true;
}
