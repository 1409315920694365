#include "weights/weight_source.h"

#include "base/pages.h"

enum { PIECE = 1 << 28 }; // bytes of a packed file, between two calls of a watcher

static size_t smaller(size_t a, size_t b) {
  return a < b ? a : b;
}

// Where a weight of a checkpoint lies in the packed weights: at its offset; if it is mapped and has
// another dtype, after the converted ones before it, and *converted grows. Returns false for a
// weight that is read in place.
static bool place(const struct weight_source *source, const struct weight_view *view,
                  size_t *converted, size_t *begin) {
  size_t end = source->table.packed_bytes + *converted;
  if (weight_is_mapped(view))
    return false;
  *begin = weight_offset(view->spec, &end);
  *converted = end - source->table.packed_bytes;
  return true;
}

bool weight_source_bytes(const struct weight_source *source, size_t *bytes, struct error *err) {
  const struct weight_table *table = &source->table;
  size_t converted = 0, begin;
  for (int i = 0; source->checkpoint && i < table->n; i++) {
    struct weight_view view;
    if (!weight_find(&view, &table->specs[i], source->checkpoint, err))
      return false;
    place(source, &view, &converted, &begin);
  }
  *bytes = table->packed_bytes + converted;
  return true;
}

static bool locate_in_checkpoint(const struct weight_source *source, const uint8_t *packed,
                                 const uint8_t **weight, struct error *err) {
  size_t converted = 0, begin;
  for (int i = 0; i < source->table.n; i++) {
    struct weight_view view;
    if (!weight_find(&view, &source->table.specs[i], source->checkpoint, err))
      return false;
    weight[i] = place(source, &view, &converted, &begin) ? packed + begin : view.tensor->data;
  }
  return true;
}

bool weight_source_is_mapped(const struct weight_source *source) {
  return !source->checkpoint && source->table.on_host;
}

bool weight_source_locate(const struct weight_source *source, const uint8_t *packed,
                          const uint8_t **weight, struct error *err) {
  const struct weight_table *table = &source->table;
  size_t end = table->packed_bytes;
  if (source->checkpoint)
    return locate_in_checkpoint(source, packed, weight, err);
  for (int i = 0; i < table->n; i++) {
    const bool mapped = weight_source_is_mapped(source) || table->specs[i].offset == WEIGHT_MAPPED;
    weight[i] = (mapped ? source->packed->image : packed) + weight_offset(&table->specs[i], &end);
  }
  return true;
}

// Moves on to the beginning of the next packed weight. After the last one, piece->view.spec is
// NULL.
static bool next_weight(const struct weight_source *source, struct weight_piece *piece,
                        struct error *err) {
  const struct weight_table *table = &source->table;
  const struct weight_spec *spec = piece->view.spec ? piece->view.spec + 1 : table->specs;
  struct weight_piece next = {.converted = piece->converted};
  for (; spec < table->specs + table->n; spec++) {
    if (!weight_find(&next.view, spec, source->checkpoint, err))
      return false;
    if (place(source, &next.view, &next.converted, &next.begin))
      break;
    next.view.spec = NULL;
  }
  next.offset = next.begin;
  *piece = next;
  if (piece->view.spec)
    weight_populate(&piece->view);
  return true;
}

static bool next_of_checkpoint(const struct weight_source *source, struct weight_piece *piece,
                               size_t most, struct error *err) {
  const struct weight_spec *spec = piece->view.spec;
  piece->offset += piece->bytes;
  piece->bytes = 0;
  if (!spec || piece->offset == piece->begin + weight_bytes(spec)) {
    if (spec)
      weight_release(&piece->view);
    if (!next_weight(source, piece, err))
      return false;
    spec = piece->view.spec;
    if (!spec)
      return true;
  }
  const size_t left = piece->begin + weight_bytes(spec) - piece->offset;
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
  piece->bytes = smaller(source->table.packed_bytes - piece->offset, smaller(most, PIECE));
  return true;
}

bool weight_source_read(const struct weight_source *source, const struct weight_piece *piece,
                        void *to, struct error *err) {
  if (weight_source_is_mapped(source)) {
    pages_populate(source->packed->image + piece->offset, piece->bytes);
    return true;
  }
  if (!source->checkpoint)
    return packed_read(source->packed, piece->offset, piece->bytes, to, err);
  weight_read(&piece->view, piece->offset - piece->begin, piece->bytes, to);
  return true;
}
