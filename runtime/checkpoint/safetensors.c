// Checks everything that a hostile or damaged file may say: after safetensors_open, the bytes of
// every tensor lie inside a map.
#include "checkpoint/safetensors.h"

#include "base/file.h"
#include "base/json.h"
#include "base/pages.h"
#include "base/path.h"
#include "checkpoint/shard_names.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const char SINGLE_FILE[] = "model.safetensors";
static const char INDEX_FILE[] = "model.safetensors.index.json";

// HF's own reader takes headers of 100 MB, but JSON can take 45 times its size in memory. Those of
// gpt-oss-120b have less than 1 MB.
enum { HEADER_LENGTH_BYTES = 8, HEADER_MAX_BYTES = JSON_MAX_BYTES };

struct shard {
  char *path;
  const char *name; // of the file in its folder
  const uint8_t *map;
  size_t bytes;
  const uint8_t *data; // (data_bytes) after the header
  size_t data_bytes;
  json_t *header; // owns the names of the tensors
};

struct entry {
  struct tensor tensor;
  const struct shard *shard;
};

struct safetensors {
  char *path; // of the single file or the index, for messages
  struct shard *shards;
  size_t n_shards;
  struct entry *entries; // sorted by name once all shards are read
  size_t n_entries;
};

static bool parse_dtype(struct tensor *tensor, const struct shard *shard, const json_t *value,
                        struct error *err) {
  const char *name = json_string_value(value);
  if (!name)
    return json_refuse(shard->path, tensor->name, "the name of a dtype", value, err);
  tensor->dtype = dtype_parse(name);
  tensor->other_dtype = tensor->dtype == DTYPE_OTHER ? name : NULL;
  return true;
}

// Fills in rank and shape, and the number of elements.
static bool parse_shape(struct tensor *tensor, size_t *elements, const struct shard *shard,
                        const json_t *value, struct error *err) {
  if (!json_is_array(value) || json_array_size(value) > INT_MAX)
    return json_refuse(shard->path, tensor->name, "a shape of numbers", value, err);
  tensor->rank = (int)json_array_size(value);
  *elements = 1;
  for (int i = 0; i < tensor->rank; i++) {
    const json_t *size = json_array_get(value, (size_t)i);
    const json_int_t n = json_integer_value(size);
    if (!json_is_integer(size) || n < 0 || __builtin_mul_overflow(*elements, (size_t)n, elements))
      return json_refuse(shard->path, tensor->name, "a shape of sizes that fit in memory", value,
                         err);
    if (i < TENSOR_MAX_RANK)
      tensor->shape[i] = n;
  }
  return true;
}

// The bytes of the tensor must be those of its elements. Nobody knows how many these are for a
// dtype that is newer than this program.
static bool check_bytes(const struct tensor *tensor, size_t elements, const struct shard *shard,
                        struct error *err) {
  const size_t each = dtype_bits(tensor_dtype_name(tensor));
  size_t bits;
  if (each == 0)
    return true;
  if (__builtin_mul_overflow(elements, each, &bits))
    return fail(err, "%s: %.200s: want a shape of sizes that fit in memory, found %zu elements",
                shard->path, tensor->name, elements);
  if (bits % 8 != 0)
    return fail(err, "%s: %.200s: want a shape of whole bytes, found %zu bits", shard->path,
                tensor->name, bits);
  return bits / 8 == tensor->bytes
             ? true
             : fail(err, "%s: %.200s: want %zu bytes for its dtype and shape, found %zu in its %s",
                    shard->path, tensor->name, bits / 8, tensor->bytes, "data_offsets");
}

// data_offsets is [begin, end), in bytes after the header.
static bool parse_offsets(struct tensor *tensor, const struct shard *shard, const json_t *value,
                          struct error *err) {
  const json_t *first = json_array_get(value, 0), *second = json_array_get(value, 1);
  json_int_t begin = json_integer_value(first), end = json_integer_value(second);
  if (json_array_size(value) != 2 || !json_is_integer(first) || !json_is_integer(second) ||
      begin < 0 || end < begin)
    return json_refuse(shard->path, tensor->name, "data_offsets of a begin and an end", value, err);
  if ((uint64_t)end > shard->data_bytes)
    return fail(err, "%s: %.200s: want data_offsets within %zu bytes of data, found [%lld, %lld]",
                shard->path, tensor->name, shard->data_bytes, begin, end);
  tensor->data = shard->data + begin;
  tensor->bytes = (size_t)(end - begin);
  return true;
}

static bool parse_tensor(struct tensor *tensor, const struct shard *shard, const json_t *value,
                         struct error *err) {
  size_t elements = 0;
  if (!json_is_object(value))
    return json_refuse(shard->path, tensor->name, "an object", value, err);
  return parse_dtype(tensor, shard, json_object_get(value, "dtype"), err) &&
         parse_shape(tensor, &elements, shard, json_object_get(value, "shape"), err) &&
         parse_offsets(tensor, shard, json_object_get(value, "data_offsets"), err) &&
         check_bytes(tensor, elements, shard, err);
}

// __metadata__ is a map of strings to strings.
static bool check_metadata(const struct shard *shard, json_t *metadata, struct error *err) {
  const char *key;
  json_t *value;
  if (!json_is_object(metadata))
    return json_refuse(shard->path, "__metadata__", "an object of strings", metadata, err);
  json_object_foreach(metadata, key, value) {
    if (!json_is_string(value))
      return json_refuse(shard->path, "__metadata__", "an object of strings", metadata, err);
  }
  return true;
}

// Orders by offset. An empty tensor comes before the one that begins at the same offset.
static int compare_offset(const void *a, const void *b) {
  const struct tensor *left = &((const struct entry *)a)->tensor;
  const struct tensor *right = &((const struct entry *)b)->tensor;
  if (left->data != right->data)
    return left->data < right->data ? -1 : 1;
  return (left->bytes > right->bytes) - (left->bytes < right->bytes);
}

static int compare_name(const void *a, const void *b) {
  return strcmp(((const struct entry *)a)->tensor.name, ((const struct entry *)b)->tensor.name);
}

// The tensors of a shard must cover its data exactly, without overlaps, holes or a rest.
static bool check_cover(struct entry *entries, size_t n, const struct shard *shard,
                        struct error *err) {
  qsort(entries, n, sizeof *entries, compare_offset);
  const uint8_t *reached = shard->data;
  for (size_t i = 0; i < n; i++) {
    const struct tensor *tensor = &entries[i].tensor;
    if (tensor->data != reached)
      return fail(err, "%s: %.200s: want it to begin at data byte %td, found %td", shard->path,
                  tensor->name, reached - shard->data, tensor->data - shard->data);
    reached += tensor->bytes;
  }
  if ((size_t)(reached - shard->data) != shard->data_bytes)
    return fail(err, "%s: want %td bytes of data for its tensors, found %zu", shard->path,
                reached - shard->data, shard->data_bytes);
  return true;
}

// Appends the tensors of one header to the table.
static bool add_tensors(struct safetensors *checkpoint, const struct shard *shard,
                        struct error *err) {
  size_t first = checkpoint->n_entries, capacity = first + json_object_size(shard->header);
  struct entry *entries = realloc(checkpoint->entries, (capacity + 1) * sizeof *entries);
  if (!entries)
    return fail(err, "%s: out of memory for %zu tensors", shard->path, capacity);
  checkpoint->entries = entries;

  const char *name;
  json_t *value;
  json_object_foreach(shard->header, name, value) {
    struct entry entry = {.tensor = {.name = name, .file = shard->path}, .shard = shard};
    const bool metadata = strcmp(name, "__metadata__") == 0;
    if (!(metadata ? check_metadata(shard, value, err)
                   : parse_tensor(&entry.tensor, shard, value, err)))
      return false;
    if (!metadata)
      entries[checkpoint->n_entries++] = entry;
  }
  return check_cover(entries + first, checkpoint->n_entries - first, shard, err);
}

static bool map_open_file(struct shard *shard, int fd, struct error *err) {
  struct stat status;
  if (fstat(fd, &status))
    return fail(err, "%s: %s", shard->path, strerror(errno));
  if (!S_ISREG(status.st_mode))
    return fail(err, "%s: want a regular file, found something else", shard->path);
  if (status.st_size < HEADER_LENGTH_BYTES)
    return fail(err, "%s: want the 8 bytes of a header's length, found %jd bytes", shard->path,
                (intmax_t)status.st_size);
  void *map = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
  if (map == MAP_FAILED)
    return fail(err, "%s: cannot map it: %s", shard->path, strerror(errno));
  shard->map = map;
  shard->bytes = (size_t)status.st_size;
  pages_list(shard->map, shard->bytes, shard->path, fd);
  return true;
}

static bool map_file(struct shard *shard, struct error *err) {
  if (!lfs_check(shard->path, err))
    return false;
  int fd = open(shard->path,
                O_RDONLY | O_CLOEXEC | O_NONBLOCK); // does not wait for the writer of a pipe
  if (fd < 0)
    return fail(err, "%s: %s", shard->path, strerror(errno));
  bool ok = map_open_file(shard, fd, err);
  close(fd);
  return ok;
}

// A header begins with { and ends with }, except that spaces may fill it up.
static bool check_ends(const struct shard *shard, const char *text, size_t n, struct error *err) {
  if (n == 0)
    return fail(err, "%s: want a header that begins with {, found none", shard->path);
  if (text[0] != '{')
    return fail(err, "%s: want a header that begins with {, found 0x%02x", shard->path,
                (unsigned char)text[0]);
  while (text[n - 1] == ' ')
    n--;
  return text[n - 1] == '}' ? true
                            : fail(err, "%s: want a header that ends in } and spaces, found 0x%02x",
                                   shard->path, (unsigned char)text[n - 1]);
}

// A file is a little-endian length of 8 bytes, a JSON header of that many bytes, and the data.
static bool read_header(struct shard *shard, struct error *err) {
  uint64_t length;
  memcpy(&length, shard->map, sizeof length);
  length = le64toh(length);
  size_t rest = shard->bytes - HEADER_LENGTH_BYTES;
  if (length > rest || length > HEADER_MAX_BYTES)
    return fail(err, "%s: want a header of at most %zu bytes, found a length of %" PRIu64,
                shard->path, rest < HEADER_MAX_BYTES ? rest : HEADER_MAX_BYTES, length);
  const char *text = (const char *)shard->map + HEADER_LENGTH_BYTES;
  json_error_t detail;
  if (!check_ends(shard, text, length, err))
    return false;
  shard->header = json_loadb(text, length, JSON_REJECT_DUPLICATES, &detail);
  if (!shard->header)
    return fail(err, "%s: want JSON in its header, found an error: %s", shard->path, detail.text);
  shard->data = shard->map + HEADER_LENGTH_BYTES + length;
  shard->data_bytes = rest - length;
  return true;
}

// Opens a shard. checkpoint->shards is allocated for all of them.
static bool add_shard(struct safetensors *checkpoint, const char *directory, const char *name,
                      struct error *err) {
  struct shard *shard = &checkpoint->shards[checkpoint->n_shards];
  *shard = (struct shard){.path = path_join(directory, name, err)};
  if (!shard->path)
    return false;
  checkpoint->n_shards++;
  shard->name = shard->path + strlen(directory) + 1;
  return map_file(shard, err) && read_header(shard, err) && add_tensors(checkpoint, shard, err);
}

static bool alloc_shards(struct safetensors *checkpoint, size_t n, struct error *err) {
  checkpoint->shards = calloc(n, sizeof *checkpoint->shards);
  return checkpoint->shards || fail(err, "%s: out of memory for its files", checkpoint->path);
}

static const struct shard *find_shard(const struct safetensors *checkpoint, const char *name) {
  for (size_t i = 0; i < checkpoint->n_shards; i++)
    if (!strcmp(checkpoint->shards[i].name, name))
      return &checkpoint->shards[i];
  return NULL;
}

// True for a name that cannot lead out of the folder.
static bool plain_name(const char *name) {
  return name && *name && !strchr(name, '/') && strcmp(name, ".") && strcmp(name, "..");
}

static bool open_indexed_shards(struct safetensors *checkpoint, const char *directory,
                                json_t *weight_map, struct error *err) {
  if (!json_is_object(weight_map) || !json_object_size(weight_map))
    return json_refuse(checkpoint->path, "weight_map", "an object of tensor and file names",
                       weight_map, err);
  if (!alloc_shards(checkpoint, json_object_size(weight_map), err))
    return false;
  const char *tensor;
  json_t *file;
  json_object_foreach(weight_map, tensor, file) {
    const char *name = json_string_value(file);
    if (!plain_name(name))
      return json_refuse(checkpoint->path, tensor, "the name of a file in the folder", file, err);
    if (!find_shard(checkpoint, name) && !add_shard(checkpoint, directory, name, err))
      return false;
  }
  return true;
}

// Index and shards must agree. If a tensor is in another shard than the index says, or in no index,
// the folder mixes the files of two saves.
static bool check_index(const struct safetensors *checkpoint, json_t *weight_map,
                        struct error *err) {
  for (size_t i = 0; i < checkpoint->n_entries; i++) {
    const struct entry *entry = &checkpoint->entries[i];
    const char *name = json_string_value(json_object_get(weight_map, entry->tensor.name));
    if (!name || strcmp(name, entry->shard->name))
      return fail(err, "%s: %.200s: want it to be in %.200s by the index, found it here",
                  entry->shard->path, entry->tensor.name, name ? name : "no file");
  }
  const char *tensor;
  json_t *file;
  json_object_foreach(weight_map, tensor, file) {
    if (!safetensors_find(checkpoint, tensor))
      return fail(err, "%s: %.200s: want it in %.200s, found no such tensor there",
                  checkpoint->path, tensor, json_string_value(file));
  }
  return true;
}

static bool open_index(struct safetensors *checkpoint, const char *directory, struct error *err) {
  struct json_file index;
  if (!json_file_open(&index, directory, INDEX_FILE, err))
    return false;
  json_t *weight_map = json_object_get(index.root, "weight_map");
  checkpoint->path = path_join(directory, INDEX_FILE, err);
  bool ok = checkpoint->path && open_indexed_shards(checkpoint, directory, weight_map, err);
  if (ok) {
    qsort(checkpoint->entries, checkpoint->n_entries, sizeof *checkpoint->entries, compare_name);
    ok = check_index(checkpoint, weight_map, err);
  }
  json_file_close(&index);
  return ok;
}

// Opens files that no index lists. Each tensor must be in one of them only.
static bool open_files(struct safetensors *checkpoint, const char *directory,
                       const char *const *names, size_t n, struct error *err) {
  checkpoint->path = n == 1 ? path_join(directory, names[0], err) : strdup(directory);
  if (!checkpoint->path)
    return fail(err, "%s: out of memory for its path", directory);
  if (!alloc_shards(checkpoint, n, err))
    return false;
  for (size_t i = 0; i < n; i++)
    if (!add_shard(checkpoint, directory, names[i], err))
      return false;
  struct entry *entries = checkpoint->entries;
  qsort(entries, checkpoint->n_entries, sizeof *entries, compare_name);
  for (size_t i = 1; i < checkpoint->n_entries; i++)
    if (compare_name(&entries[i - 1], &entries[i]) == 0)
      return fail(err, "%s: %.200s: want it in one file, found it in %.200s, too",
                  entries[i].tensor.file, entries[i].tensor.name, entries[i - 1].shard->name);
  return true;
}

static bool open_found(struct safetensors *checkpoint, const char *directory, struct error *err) {
  struct shard_names names;
  if (!shard_names_find(&names, directory, err))
    return false;
  const bool ok = open_files(checkpoint, directory, (const char *const *)names.name, names.n, err);
  shard_names_free(&names);
  return ok;
}

// If both exist, the single file is used, as in HF transformers.
static bool open_any(struct safetensors *checkpoint, const char *directory, struct error *err) {
  bool has_single, has_index;
  if (!json_file_exists(&has_single, directory, SINGLE_FILE, err) ||
      !json_file_exists(&has_index, directory, INDEX_FILE, err))
    return false;
  if (has_single)
    return open_files(checkpoint, directory, (const char *[]){SINGLE_FILE}, 1, err);
  if (has_index)
    return open_index(checkpoint, directory, err);
  return open_found(checkpoint, directory, err);
}

bool safetensors_open(struct safetensors **out, const char *directory, struct error *err) {
  *out = NULL;
  struct safetensors *checkpoint = calloc(1, sizeof *checkpoint);
  if (!checkpoint)
    return fail(err, "%s: out of memory for the checkpoint", directory);
  if (!open_any(checkpoint, directory, err)) {
    safetensors_close(checkpoint);
    return false;
  }
  *out = checkpoint;
  return true;
}

void safetensors_close(struct safetensors *checkpoint) {
  if (!checkpoint)
    return;
  for (size_t i = 0; i < checkpoint->n_shards; i++) {
    struct shard *shard = &checkpoint->shards[i];
    json_decref(shard->header);
    pages_unlist(shard->map);
    if (shard->map)
      munmap((void *)(uintptr_t)shard->map, shard->bytes);
    free(shard->path);
  }
  free(checkpoint->shards);
  free(checkpoint->entries);
  free(checkpoint->path);
  free(checkpoint);
}

static const struct entry *find_entry(const struct safetensors *checkpoint, const char *name) {
  struct entry key = {.tensor.name = name};
  return bsearch(&key, checkpoint->entries, checkpoint->n_entries, sizeof key, compare_name);
}

const struct tensor *safetensors_find(const struct safetensors *checkpoint, const char *name) {
  const struct entry *entry = find_entry(checkpoint, name);
  return entry ? &entry->tensor : NULL;
}

const struct tensor *safetensors_at(const struct safetensors *checkpoint, size_t index) {
  return index < checkpoint->n_entries ? &checkpoint->entries[index].tensor : NULL;
}

enum { SHAPE_TEXT_BYTES = TENSOR_MAX_RANK * 22 + 8 };

// Only the first sizes of a long shape are known.
static void format_shape(char out[static SHAPE_TEXT_BYTES], int rank, const int64_t *shape) {
  const int known = rank < TENSOR_MAX_RANK ? rank : TENSOR_MAX_RANK;
  size_t used = (size_t)snprintf(out, SHAPE_TEXT_BYTES, "[");
  for (int i = 0; i < known; i++)
    used += (size_t)snprintf(out + used, SHAPE_TEXT_BYTES - used, "%s%" PRId64, i ? ", " : "",
                             shape[i]);
  snprintf(out + used, SHAPE_TEXT_BYTES - used, "%s", known < rank ? ", ...]" : "]");
}

const struct tensor *safetensors_require(const struct safetensors *checkpoint, const char *name,
                                         int rank, const int64_t *shape, struct error *err) {
  char want[SHAPE_TEXT_BYTES], found[SHAPE_TEXT_BYTES];
  format_shape(want, rank, shape);
  const struct entry *entry = find_entry(checkpoint, name);
  if (!entry) {
    fail(err, "%s: %s: want shape %s, found no such tensor", checkpoint->path, name, want);
    return NULL;
  }
  const struct tensor *tensor = &entry->tensor;
  if (tensor->rank == rank && !memcmp(tensor->shape, shape, (size_t)rank * sizeof *shape))
    return tensor;
  format_shape(found, tensor->rank, tensor->shape);
  fail(err, "%s: %s: want shape %s, found %s", tensor->file, name, want, found);
  return NULL;
}
