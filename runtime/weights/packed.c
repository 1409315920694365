// The head is checked as a whole. All offsets follow from the tree and the bytes of the tokenizer:
// a file has none that could point outside of it.
#include "weights/packed.h"

#include "base/pages.h"
#include "base/parallel.h"
#include "base/replace.h"
#include "weights/checksum.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const char MAGIC[16] = "getp packed\n";

enum {
  VERSION = 3, // of this format, of formats/tiles.h and formats/panels.h
  IMAGE_ALIGN = 4096,
  TREE_BYTES = 256,
  PIECE_BYTES = 16 << 20, // packed before they are written
  PAGE_BYTES = 2 << 20,   // of a large page
  GAP_MOST = 4096,        // between weights, that is filled with zeros
  SLICE_BYTES = 1 << 19,  // read by one thread at a time
};

struct head {
  char magic[sizeof MAGIC];
  uint32_t version;
  int32_t n_stop, stop[MAX_STOP_IDS];
  char tree[TREE_BYTES];
  uint64_t identity; // of the model and the weights table
  uint64_t tokenizer_bytes, file_bytes;
  uint64_t content;  // the checksum of all that follows the head
  uint64_t checksum; // of all fields before it
};

_Static_assert(sizeof(struct head) == 16 + 4 * (2 + MAX_STOP_IDS) + TREE_BYTES + 5 * 8,
               "no padding");

// Continues the 64-bit FNV-1a hash `digest`.
static uint64_t digest(uint64_t digest, const void *bytes, size_t n) {
  const uint8_t *byte = bytes;
  for (size_t i = 0; i < n; i++)
    digest = (digest ^ byte[i]) * 0x100000001b3;
  return digest;
}

static const uint64_t EMPTY_DIGEST = 0xcbf29ce484222325;

static uint64_t digest_config(uint64_t sum, const struct model_config *config) {
  const struct rope_config *rope = &config->rope;
  const int32_t whole[] = {
      config->vocab,          config->d_model, config->n_layers,  config->d_ff,  config->n_heads,
      config->n_kv_heads,     config->d_head,  config->n_experts, config->top_k, config->window,
      config->attention_bias, config->tied,    config->mxfp4,     rope->yarn,    rope->truncate,
  };
  const double real[] = {
      config->eps,     config->limit,          config->alpha,
      rope->theta,     rope->factor,           rope->beta_fast,
      rope->beta_slow, rope->attention_factor, rope->original_max_positions,
  };
  sum = digest(sum, whole, sizeof whole);
  sum = digest(sum, real, sizeof real);
  return digest(sum, config->layer_types, (size_t)config->n_layers);
}

static uint64_t identity_of(const struct weight_table *table, const struct model_config *config) {
  uint64_t sum = digest_config(EMPTY_DIGEST, config);
  for (int i = 0; i < table->n; i++) {
    const struct weight_spec *spec = &table->specs[i];
    const int64_t numbers[] = {spec->form, spec->stored, spec->layout, spec->offset, spec->d_head};
    sum = digest(sum, spec->name, strlen(spec->name) + 1);
    sum = digest(sum, numbers, sizeof numbers);
    sum = digest(sum, spec->shape, sizeof spec->shape);
  }
  return sum;
}

static uint64_t checksum_of(const struct head *head) {
  return digest(EMPTY_DIGEST, head, offsetof(struct head, checksum));
}

static size_t image_bytes(const struct weight_table *table) {
  size_t end = table->packed_bytes;
  for (int i = 0; i < table->n; i++)
    weight_offset(&table->specs[i], &end);
  return end;
}

static size_t image_offset(size_t tokenizer_bytes) {
  return (sizeof(struct head) + tokenizer_bytes + IMAGE_ALIGN - 1) / IMAGE_ALIGN * IMAGE_ALIGN;
}

// ---- reading a file ----

bool packed_is(const char *path) {
  char magic[sizeof MAGIC];
  const int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0)
    return false;
  const bool is =
      read(file, magic, sizeof magic) == sizeof magic && memcmp(magic, MAGIC, sizeof magic) == 0;
  close(file);
  return is;
}

static bool map_file(struct packed *packed, const char *path, struct error *err) {
  struct stat status;
  const int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0 || fstat(file, &status) != 0) {
    const int problem = errno;
    if (file >= 0)
      close(file);
    return fail(err, "%s: %s", path, strerror(problem));
  }
  packed->bytes = (size_t)status.st_size;
  void *map = mmap(NULL, packed->bytes, PROT_READ, MAP_PRIVATE, file, 0);
  if (map == MAP_FAILED) {
    const int problem = errno;
    close(file);
    return fail(err, "%s: cannot map it: %s", path, strerror(problem));
  }
  (void)madvise(map, packed->bytes, MADV_HUGEPAGE); // a system without large pages refuses
  packed->map = map;
  packed->file = file;
  packed->path = path;
  pages_list(map, packed->bytes, path, file);
  return true;
}

static bool is_damaged(const struct packed *packed, const struct head *head) {
  return packed->bytes < sizeof *head || head->checksum != checksum_of(head) || head->n_stop < 0 ||
         head->n_stop > MAX_STOP_IDS || head->tokenizer_bytes > INT32_MAX ||
         image_offset(head->tokenizer_bytes) > head->file_bytes ||
         !memchr(head->tree, 0, sizeof head->tree);
}

static bool check_head(const struct packed *packed, const struct head *head, struct error *err) {
  if (head->version != VERSION)
    return fail(err, "%s: want packing version %d, found %u: pack the checkpoint anew",
                packed->path, VERSION, head->version);
  if (is_damaged(packed, head))
    return fail(err, "%s: want an undamaged head, found a damaged one: pack the checkpoint anew",
                packed->path);
  return packed->bytes == head->file_bytes
             ? true
             : fail(err, "%s: want %" PRIu64 " bytes, found %zu: pack the checkpoint anew",
                    packed->path, head->file_bytes, packed->bytes);
}

static struct head head_of(const struct packed *packed) {
  struct head head = {0};
  memcpy(&head, packed->map, packed->bytes < sizeof head ? packed->bytes : sizeof head);
  return head;
}

bool packed_open_any(struct packed *packed, const char *path, struct error *err) {
  *packed = (struct packed){0};
  if (!map_file(packed, path, err))
    return false;
  const struct head head = head_of(packed);
  if (!check_head(packed, &head, err)) {
    packed_close(packed);
    return false;
  }
  const char *text = (const char *)packed->map;
  packed->tree = text + offsetof(struct head, tree);
  packed->tokenizer = (struct text){(char *)(uintptr_t)text + sizeof head, head.tokenizer_bytes};
  packed->image = packed->map + image_offset(head.tokenizer_bytes);
  packed->stop.n = head.n_stop;
  memcpy(packed->stop.id, head.stop, sizeof head.stop);
  return true;
}

// The head is undamaged. Checks that it is one for this tree.
static bool check_tree(const struct packed *packed, const struct weight_table *table,
                       const struct model_config *config, struct error *err) {
  const struct head head = head_of(packed);
  const size_t want = image_offset(head.tokenizer_bytes) + image_bytes(table);
  if (strcmp(head.tree, table->tree) != 0)
    return fail(err, "%s: want a file packed for %s, found one for %s: pack it with this getp",
                packed->path, table->tree, head.tree);
  if (head.identity != identity_of(table, config))
    return fail(err,
                "%s: want a file packed for this %s, found one for other weights or another "
                "config.json: pack the checkpoint anew",
                packed->path, table->tree);
  for (int i = 0; i < packed->stop.n; i++)
    if (packed->stop.id[i] < 0 || packed->stop.id[i] >= config->vocab)
      return fail(err, "%s: want stop ids below %d, found %d: pack the checkpoint anew",
                  packed->path, config->vocab, packed->stop.id[i]);
  return packed->bytes == want
             ? true
             : fail(err, "%s: want %zu bytes, found %zu: pack the checkpoint anew", packed->path,
                    want, packed->bytes);
}

bool packed_open(struct packed *packed, const char *path, const struct weight_table *table,
                 const struct model_config *config, struct error *err) {
  if (!packed_open_any(packed, path, err))
    return false;
  if (check_tree(packed, table, config, err))
    return true;
  packed_close(packed);
  return false;
}

void packed_close(struct packed *packed) {
  if (packed->map) {
    pages_unlist(packed->map);
    munmap((void *)(uintptr_t)packed->map, packed->bytes);
    close(packed->file);
  }
  *packed = (struct packed){0};
}

// Returns 0, or an errno.
static int read_at(int file, uint8_t *to, size_t n, size_t offset) {
  for (size_t done = 0; done < n;) {
    const ssize_t got = pread(file, to + done, n - done, (off_t)(offset + done));
    if (got == 0)
      return EIO; // the file was cut off after it was opened
    if (got > 0)
      done += (size_t)got;
    else if (errno != EINTR)
      return errno;
  }
  return 0;
}

// Reads n bytes of the file from `begin` on, with all threads. Adds their checksum to *sum if it is
// not NULL.
static bool read_slices(const struct packed *packed, size_t begin, size_t n, uint8_t *to,
                        uint64_t *sum, struct error *err) {
  int problem = 0;
  PARALLEL_FOR(n)
  for (size_t i = 0; i < n; i += SLICE_BYTES) {
    const size_t bytes = n - i < SLICE_BYTES ? n - i : SLICE_BYTES;
    const int this = read_at(packed->file, to + i, bytes, begin + i);
    if (this != 0) {
      PARALLEL_WRITE
      problem = this;
    } else if (sum) {
      const uint64_t part = checksum(to + i, bytes, begin + i);
      PARALLEL_ADD
      *sum += part;
    }
  }
  return problem == 0 ? true : fail(err, "%s: %s", packed->path, strerror(problem));
}

bool packed_read(const struct packed *packed, size_t first, size_t n, void *to, struct error *err) {
  return read_slices(packed, (size_t)(packed->image - packed->map) + first, n, to, NULL, err);
}

// Computes the checksum of the content, by pieces in a buffer of PIECE_BYTES.
static bool sum_content(const struct packed *packed, uint8_t *buffer, uint64_t *sum,
                        packed_watcher watch, void *context, struct error *err) {
  const size_t head = sizeof(struct head), total = packed->bytes - head;
  for (size_t done = 0; done < total;) {
    const size_t n = total - done < PIECE_BYTES ? total - done : PIECE_BYTES;
    if (!read_slices(packed, head + done, n, buffer, sum, err))
      return false;
    done += n;
    if (watch && !watch(context, done, total, err))
      return false;
  }
  return true;
}

bool packed_verify(const struct packed *packed, packed_watcher watch, void *context,
                   struct error *err) {
  const struct head head = head_of(packed);
  uint64_t sum = 0;
  uint8_t *buffer = malloc(PIECE_BYTES);
  if (!buffer)
    return fail(err, "%s: out of memory for a piece of it", packed->path);
  const bool read = sum_content(packed, buffer, &sum, watch, context, err);
  free(buffer);
  if (!read || sum == head.content)
    return read;
  return fail(err,
              "%s: want undamaged content, found another checksum than its head has: pack the "
              "checkpoint anew",
              packed->path);
}

// ---- writing a file ----

struct writer {
  const struct packed_content *content;
  const char *path;
  struct replacement file;
  uint8_t *piece;        // of the file, not yet written
  size_t begin, filled;  // where it begins in the file, and its bytes
  size_t most;           // bytes of weights that are packed at a time, if a granule has no more
  size_t image_offset;   // in the file
  size_t written, total; // bytes of the weights
  uint64_t sum;          // checksum of what is written after the head
  packed_watcher watch;
  void *context;
};

// Writes n bytes of the content at a multiple of 8 bytes.
static bool write_content(struct writer *writer, const void *bytes, size_t n, size_t offset,
                          struct error *err) {
  writer->sum += checksum_parallel(bytes, n, offset);
  return replace_write(&writer->file, bytes, n, offset, err);
}

// Writes the first n bytes of the piece.
static bool flush(struct writer *writer, size_t n, struct error *err) {
  if (!write_content(writer, writer->piece, n, writer->begin, err))
    return false;
  writer->begin += n;
  writer->filled -= n;
  memmove(writer->piece, writer->piece + n, writer->filled);
  return true;
}

// Writes all whole large pages of the piece. A file system keeps pages as they were written, and
// can map large ones faster.
static bool flush_pages(struct writer *writer, struct error *err) {
  const size_t end = (writer->begin + writer->filled) / PAGE_BYTES * PAGE_BYTES;
  return end <= writer->begin || flush(writer, end - writer->begin, err);
}

// Goes on at `offset` of the file.
static bool seek(struct writer *writer, size_t offset, struct error *err) {
  const size_t gap = offset - writer->begin - writer->filled;
  if (gap <= GAP_MOST) {
    memset(writer->piece + writer->filled, 0, gap);
    writer->filled += gap;
    return true;
  }
  const bool flushed = flush(writer, writer->filled, err);
  writer->begin = offset;
  return flushed;
}

static bool write_weight(struct writer *writer, const struct weight_spec *spec, size_t offset,
                         struct error *err) {
  struct weight_view view;
  if (!weight_find(&view, spec, writer->content->checkpoint, err) ||
      !seek(writer, writer->image_offset + offset, err))
    return false;
  const size_t bytes = weight_bytes(spec), granule = weight_granule(spec);
  const size_t most = writer->most / granule * granule;
  weight_populate(&view);
  for (size_t first = 0; first < bytes; first += most) {
    const size_t n = bytes - first < most ? bytes - first : most;
    weight_read(&view, first, n, writer->piece + writer->filled);
    writer->filled += n;
    if (!flush_pages(writer, err))
      return false;
    writer->written += n;
    if (!writer->watch(writer->context, writer->written, writer->total, err))
      return false;
  }
  weight_release(&view);
  return true;
}

// Writes the packed weights, or those that the tree reads in place.
static bool write_weights(struct writer *writer, bool mapped, struct error *err) {
  const struct weight_table *table = &writer->content->table;
  size_t end = table->packed_bytes;
  for (int i = 0; i < table->n; i++) {
    const struct weight_spec *spec = &table->specs[i];
    const size_t offset = weight_offset(spec, &end);
    if ((spec->offset == WEIGHT_MAPPED) == mapped && !write_weight(writer, spec, offset, err))
      return false;
  }
  return true;
}

// In the order of the file, so that most of it is written in large pieces.
static bool write_image(struct writer *writer, struct error *err) {
  writer->begin = writer->image_offset;
  return write_weights(writer, false, err) && write_weights(writer, true, err) &&
         flush(writer, writer->filled, err);
}

static bool check_tree_name(const struct writer *writer, struct error *err) {
  const char *tree = writer->content->table.tree;
  return strlen(tree) < TREE_BYTES
             ? true
             : fail(err, "%s: want a tree with a name of less than %d bytes, found %s",
                    writer->path, TREE_BYTES, tree);
}

static bool write_head(const struct writer *writer, struct error *err) {
  const struct packed_content *content = writer->content;
  struct head head = {
      .version = VERSION,
      .n_stop = content->stop->n,
      .identity = identity_of(&content->table, content->config),
      .tokenizer_bytes = content->tokenizer.n,
      .file_bytes = writer->image_offset + image_bytes(&content->table),
      .content = writer->sum,
  };
  memcpy(head.magic, MAGIC, sizeof MAGIC);
  memcpy(head.stop, content->stop->id, (size_t)content->stop->n * sizeof *head.stop);
  strcpy(head.tree, content->table.tree);
  head.checksum = checksum_of(&head);
  return replace_write(&writer->file, &head, sizeof head, 0, err);
}

// Finds every weight before anything is written.
static bool check_weights(const struct writer *writer, struct error *err) {
  const struct weight_table *table = &writer->content->table;
  struct weight_view view;
  for (int i = 0; i < table->n; i++)
    if (!weight_find(&view, &table->specs[i], writer->content->checkpoint, err))
      return false;
  return true;
}

static bool alloc_piece(struct writer *writer, struct error *err) {
  const struct weight_table *table = &writer->content->table;
  writer->most = PIECE_BYTES;
  for (int i = 0; i < table->n; i++) {
    const size_t granule = weight_granule(&table->specs[i]);
    writer->total += weight_bytes(&table->specs[i]);
    writer->most = granule > writer->most ? granule : writer->most;
  }
  writer->piece = malloc(PAGE_BYTES + GAP_MOST + writer->most);
  return writer->piece ? true
                       : fail(err, "%s: out of memory for a piece of the weights", writer->path);
}

bool packed_write(const char *path, const struct packed_content *content, packed_watcher watch,
                  void *context, struct error *err) {
  struct writer writer = {
      .content = content,
      .path = path,
      .image_offset = image_offset(content->tokenizer.n),
      .watch = watch,
      .context = context,
  };
  writer.file.file = -1;
  const struct text *tokenizer = &content->tokenizer;
  const size_t bytes = writer.image_offset + image_bytes(&content->table);
  const bool ok =
      check_tree_name(&writer, err) && check_weights(&writer, err) && alloc_piece(&writer, err) &&
      replace_begin(&writer.file, path, err) && replace_reserve(&writer.file, bytes, err) &&
      write_content(&writer, tokenizer->bytes, tokenizer->n, sizeof(struct head), err) &&
      write_image(&writer, err) && write_head(&writer, err);
  free(writer.piece);
  return replace_end(&writer.file, ok, err);
}
