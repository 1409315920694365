#include "checkpoint/bin.h"

#include "base/json.h"
#include "base/pages.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

// The numbers of a header in their order. The exporter's first version wrote only the first nine.
enum {
  VOCAB,
  HIDDEN,
  EXPERTS,
  TOP_K,
  INTERMEDIATE,
  LAYERS,
  HEAD_DIM,
  HEADS,
  KV_HEADS,
  SEQ_LEN,
  INITIAL_CONTEXT,
  THETA,
  FACTOR,
  WINDOW,
  LIMIT,
  NUMBERS,
  OLD_NUMBERS = SEQ_LEN
};

enum {
  HEADER_BYTES = 4 * NUMBERS,
  OLD_HEADER_BYTES = 4 * OLD_NUMBERS,
  MOST = 1 << 24, // of each number; the first four letters of a text are more
  NAME_BYTES = 40,
};

struct header {
  int32_t whole[NUMBERS];
  float real[NUMBERS]; // the same bits as floats
  size_t file_bytes;
  uint64_t count; // numbers that follow it
};

// The arrays in their order, by the names of OpenAI's original layout.
static const struct array {
  const char *name;
  bool in_layers;
  enum { NONE, V, H, E, Q, QKV, NQ, I, GU } shape[3]; // GU: gate and up
} ARRAYS[] = {
    {"embedding.weight", false, {V, H}},
    {"unembedding.weight", false, {V, H}},
    {"attn.norm.scale", true, {H}},
    {"mlp.norm.scale", true, {H}},
    {"norm.scale", false, {H}},
    {"attn.qkv.weight", true, {QKV, H}},
    {"attn.qkv.bias", true, {QKV}},
    {"attn.out.weight", true, {H, Q}},
    {"attn.out.bias", true, {H}},
    {"attn.sinks", true, {NQ}},
    {"mlp.gate.weight", true, {E, H}},
    {"mlp.gate.bias", true, {E}},
    {"mlp.mlp1_weight", true, {E, GU, H}},
    {"mlp.mlp1_bias", true, {E, GU}},
    {"mlp.mlp2_weight", true, {E, H, I}},
    {"mlp.mlp2_bias", true, {E, H}},
};

enum { ARRAY_COUNT = sizeof ARRAYS / sizeof *ARRAYS };

struct bin {
  const char *path;
  const uint8_t *map;
  size_t bytes;
  enum dtype dtype;
  int layers;
  struct tensor arrays[ARRAY_COUNT]; // of all layers
  struct tensor *tensors;            // sorted by name
  char (*names)[NAME_BYTES];
  size_t n;
};

// ---- the header ----

// Cannot overflow: the numbers are positive.
static uint64_t size_of(const struct header *header, int dimension) {
  const int32_t *number = header->whole;
  const uint64_t d = (uint64_t)number[HEAD_DIM];
  const uint64_t q = (uint64_t)number[HEADS] * d, kv = (uint64_t)number[KV_HEADS] * d;
  switch (dimension) {
  case V:
    return (uint64_t)number[VOCAB];
  case H:
    return (uint64_t)number[HIDDEN];
  case E:
    return (uint64_t)number[EXPERTS];
  case Q:
    return q;
  case QKV:
    return q + 2 * kv;
  case NQ:
    return (uint64_t)number[HEADS];
  case I:
    return (uint64_t)number[INTERMEDIATE];
  case GU:
    return 2 * (uint64_t)number[INTERMEDIATE];
  default:
    return 1;
  }
}

// Counts the numbers after the header. False if a file cannot hold as many.
static bool count_numbers(struct header *header) {
  header->count = 0;
  for (int i = 0; i < ARRAY_COUNT; i++) {
    uint64_t n = ARRAYS[i].in_layers ? (uint64_t)header->whole[LAYERS] : 1;
    for (int d = 0; d < 3; d++)
      if (__builtin_mul_overflow(n, size_of(header, ARRAYS[i].shape[d]), &n))
        return false;
    if (__builtin_add_overflow(header->count, n, &header->count))
      return false;
  }
  return header->count < (uint64_t)INT64_MAX / 4 - HEADER_BYTES;
}

static void decode(struct header *header, const uint8_t *bytes, size_t n) {
  for (size_t i = 0; i < NUMBERS && 4 * i + 4 <= n; i++) {
    uint32_t bits;
    memcpy(&bits, bytes + 4 * i, sizeof bits);
    bits = le32toh(bits);
    memcpy(&header->whole[i], &bits, sizeof bits);
    memcpy(&header->real[i], &bits, sizeof bits);
  }
}

// True if the nine numbers that every version has can be those of a model.
static bool is_plausible(const struct header *header) {
  for (int i = 0; i < OLD_NUMBERS; i++)
    if (header->whole[i] < 1 || header->whole[i] > MOST)
      return false;
  return header->whole[LAYERS] <= CONFIG_MAX_LAYERS;
}

bool bin_is(const uint8_t *start, size_t n) {
  struct header header = {0};
  decode(&header, start, n);
  return is_plausible(&header);
}

static const struct {
  int number;
  const char *key;
} REALS[] = {{THETA, "rope_theta"}, {FACTOR, "rope_scaling_factor"}, {LIMIT, "swiglu_limit"}};

// The exporter writes a float only if its config.json spells it as one: "rope_theta": 150000
// becomes an integer, whose bits are a float of nearly 0.
static bool check_reals(const struct header *header, const char *path, struct error *err) {
  for (size_t i = 0; i < sizeof REALS / sizeof *REALS; i++) {
    const float value = header->real[REALS[i].number];
    const int32_t whole = header->whole[REALS[i].number];
    if (isnormal(value) && value > 0x1p-64f)
      continue;
    if (whole > 0 && fpclassify(value) == FP_SUBNORMAL)
      return fail(err,
                  "%s: %s: want a float in the header, found the integer %" PRId32
                  ": spell it %" PRId32 ".0 in the exporter's config.json and export again",
                  path, REALS[i].key, whole, whole);
    return fail(err, "%s: %s: want a positive number in the header, found %g", path, REALS[i].key,
                (double)value);
  }
  return true;
}

static bool check_size(const struct header *header, const char *path, struct error *err) {
  const uint64_t n = header->count, half = HEADER_BYTES + 2 * n, whole = HEADER_BYTES + 4 * n;
  if (header->file_bytes == half || header->file_bytes == whole)
    return true;
  return fail(err,
              "%s: want %" PRIu64 " bytes for BF16 or %" PRIu64
              " for FP32 by its header, found %zu: it is cut off or damaged",
              path, half, whole, header->file_bytes);
}

static bool check_header(struct header *header, const char *path, struct error *err) {
  if (!is_plausible(header) || !count_numbers(header))
    return fail(err, "%s: want the header of an exporter's .bin, found other numbers", path);
  const size_t rest = header->file_bytes - OLD_HEADER_BYTES;
  if (rest == 2 * header->count || rest == 4 * header->count)
    return fail(err,
                "%s: want a header of 15 numbers, found the 9 of the exporter's first version: "
                "export it again with a newer one",
                path);
  return check_reals(header, path, err) && check_size(header, path, err);
}

static bool read_header(struct header *header, const char *path, int file, struct error *err) {
  uint8_t bytes[HEADER_BYTES] = {0};
  struct stat status;
  *header = (struct header){0};
  const ssize_t got = pread(file, bytes, sizeof bytes, 0);
  if (got < 0 || fstat(file, &status) != 0)
    return fail(err, "%s: %s", path, strerror(errno));
  header->file_bytes = (size_t)status.st_size;
  decode(header, bytes, (size_t)got);
  return check_header(header, path, err);
}

// The header in the words of a HF config.json.
static json_t *describe(const struct header *header) {
  const int32_t *whole = header->whole;
  return json_pack(
      "{s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:f, s:f, s:{s:s, s:f, s:i, s:b}}",
      "model_type", "gpt_oss", "vocab_size", whole[VOCAB], "hidden_size", whole[HIDDEN],
      "num_local_experts", whole[EXPERTS], "num_experts_per_tok", whole[TOP_K], "intermediate_size",
      whole[INTERMEDIATE], "num_hidden_layers", whole[LAYERS], "head_dim", whole[HEAD_DIM],
      "num_attention_heads", whole[HEADS], "num_key_value_heads", whole[KV_HEADS], "sliding_window",
      whole[WINDOW], "rope_theta", (double)header->real[THETA], "swiglu_limit",
      (double)header->real[LIMIT], "rope_scaling", "rope_type", "yarn", "factor",
      (double)header->real[FACTOR], "original_max_position_embeddings", whole[INITIAL_CONTEXT],
      "truncate", 0);
}

static int open_file(const char *path, struct error *err) {
  const int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0)
    fail(err, "%s: %s", path, strerror(errno));
  return file;
}

bool bin_config(struct model_config *config, const char *path, struct error *err) {
  struct header header;
  const int file = open_file(path, err);
  const bool ok = file >= 0 && read_header(&header, path, file, err);
  if (file >= 0)
    close(file);
  if (!ok)
    return false;
  json_t *object = describe(&header);
  const bool good = object ? model_config_parse(config, path, object, err)
                           : fail(err, "%s: out of memory for its header", path);
  json_decref(object);
  return good;
}

// ---- the arrays ----

static int compare_name(const void *a, const void *b) {
  return strcmp(((const struct tensor *)a)->name, ((const struct tensor *)b)->name);
}

// Fills in the array that begins at `data` as it lies in the file. Returns its end.
static const uint8_t *describe_array(struct bin *bin, int index, const struct header *header,
                                     const uint8_t *data) {
  const struct array *array = &ARRAYS[index];
  struct tensor *tensor = &bin->arrays[index];
  *tensor =
      (struct tensor){.name = array->name, .file = bin->path, .data = data, .dtype = bin->dtype};
  tensor->bytes = dtype_bytes(bin->dtype);
  if (array->in_layers)
    tensor->shape[tensor->rank++] = bin->layers;
  for (int d = 0; d < 3 && array->shape[d] != NONE; d++)
    tensor->shape[tensor->rank++] = (int64_t)size_of(header, array->shape[d]);
  for (int d = 0; d < tensor->rank; d++)
    tensor->bytes *= (size_t)tensor->shape[d];
  return data + tensor->bytes;
}

// Adds the tensor of each layer of an array, or its only one.
static void add_tensors(struct bin *bin, int index) {
  const struct tensor *array = &bin->arrays[index];
  const bool in_layers = ARRAYS[index].in_layers;
  for (int layer = 0; layer < (in_layers ? bin->layers : 1); layer++) {
    struct tensor *tensor = &bin->tensors[bin->n];
    char *name = bin->names[bin->n++];
    *tensor = *array;
    tensor->name = name;
    if (!in_layers) {
      snprintf(name, NAME_BYTES, "%s", array->name);
      continue;
    }
    snprintf(name, NAME_BYTES, "block.%d.%s", layer, array->name);
    tensor->rank--;
    memmove(tensor->shape, array->shape + 1, (size_t)tensor->rank * sizeof *tensor->shape);
    tensor->bytes = array->bytes / (size_t)bin->layers;
    tensor->data = array->data + (size_t)layer * tensor->bytes;
  }
}

static bool map_file(struct bin *bin, const char *path, int file, struct error *err) {
  struct header header;
  if (!read_header(&header, path, file, err))
    return false;
  void *map = mmap(NULL, header.file_bytes, PROT_READ, MAP_PRIVATE, file, 0);
  if (map == MAP_FAILED)
    return fail(err, "%s: cannot map it: %s", path, strerror(errno));
  bin->path = path;
  bin->map = map;
  bin->bytes = header.file_bytes;
  pages_list(map, bin->bytes, path, file);
  bin->dtype = bin->bytes == HEADER_BYTES + 2 * header.count ? DTYPE_BF16 : DTYPE_F32;
  bin->layers = header.whole[LAYERS];
  const size_t most = (size_t)ARRAY_COUNT * (size_t)bin->layers;
  bin->tensors = calloc(most, sizeof *bin->tensors);
  bin->names = calloc(most, sizeof *bin->names);
  if (!bin->tensors || !bin->names)
    return fail(err, "%s: out of memory for %zu tensors", path, most);
  const uint8_t *data = bin->map + HEADER_BYTES;
  for (int i = 0; i < ARRAY_COUNT; i++) {
    data = describe_array(bin, i, &header, data);
    add_tensors(bin, i);
  }
  qsort(bin->tensors, bin->n, sizeof *bin->tensors, compare_name);
  return true;
}

bool bin_open(struct bin **out, const char *path, struct error *err) {
  *out = NULL;
  struct bin *bin = calloc(1, sizeof *bin);
  if (!bin)
    return fail(err, "%s: out of memory for the checkpoint", path);
  const int file = open_file(path, err);
  const bool ok = file >= 0 && map_file(bin, path, file, err);
  if (file >= 0)
    close(file);
  if (!ok) {
    bin_close(bin);
    return false;
  }
  *out = bin;
  return true;
}

void bin_close(struct bin *bin) {
  if (!bin)
    return;
  if (bin->map) {
    pages_unlist(bin->map);
    munmap((void *)(uintptr_t)bin->map, bin->bytes);
  }
  free(bin->tensors);
  free(bin->names);
  free(bin);
}

const struct tensor *bin_find(const struct bin *bin, const char *name) {
  const struct tensor key = {.name = name};
  return bsearch(&key, bin->tensors, bin->n, sizeof key, compare_name);
}

const struct tensor *bin_at(const struct bin *bin, size_t index) {
  return index < ARRAY_COUNT ? &bin->arrays[index] : NULL;
}
