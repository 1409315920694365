// make_checkpoint: writes a random checkpoint of a config, in the layout of Hugging Face: the
// names, shapes and dtypes of their gpt-oss, weights such that a deep model computes sane numbers.
//
// A value is a function of the seed, its tensor's name and its index there, so that neither threads
// nor shards change a tensor. It is computed in integers and correctly rounded operations only, so
// that no machine does either. No more than one chunk a thread is ever in memory.
//
// Owns the files that it makes, and removes them when it fails. Refuses a folder that holds
// anything: nothing is overwritten.
#include "base/json.h"
#include "base/lines.h"
#include "base/path.h"
#include "checkpoint/config.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/stop_ids.h"

#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
  GROUP = 32,       // weights that share a scale in MXFP4
  GROUP_BYTES = 16, // of their codes
  CHUNK = 1 << 17,  // bytes that are made and written at once, on the stack
  NAME_SIZE = 96,
  TENSORS_A_LAYER = 19, // at most
  TENSORS_OF_NO_LAYER = 3,
};

static const char HELP[] =
    "usage: make_checkpoint CONFIG OUT_DIR [--seed N] [--shard-bytes N]\n"
    "\n"
    "Writes a random checkpoint of CONFIG, a Hugging Face config.json of gpt-oss or the folder "
    "that\n"
    "holds one, into OUT_DIR, a folder that is new or empty: config.json as it is, safetensors, "
    "and\n"
    "generation_config.json. There is no tokenizer in it: copy a tokenizer.json beside them for\n"
    "what needs text; `getp -m logits` does not.\n"
    "\n"
    "  --seed N         another seed, other weights; default 0\n"
    "  --shard-bytes N  tensor bytes of a file before the next begins; default 5000000000\n";

struct options {
  const char *config, *out;
  uint64_t seed, shard_bytes;
  bool help;
};

enum content { CONTENT_NORMAL, CONTENT_CODES, CONTENT_SCALES };

// A tensor to be written. Codes and scales of one matrix have the same `std`, that of its values.
struct spec {
  char name[NAME_SIZE];
  enum content content;
  enum dtype dtype;
  int rank;
  uint64_t shape[TENSOR_MAX_RANK];
  double mean, std;
  uint64_t key; // of its random numbers
  uint64_t bytes;
  int shard;       // from 0
  uint64_t offset; // from the first tensor of its shard
};

// All tensors. Goes on after a failure and keeps the first message, so that a list of tensors reads
// as a list.
struct plan {
  struct model_config config;
  struct stop_ids stop;
  enum dtype dtype; // of all tensors but codes and scales
  uint64_t seed;
  struct spec *specs; // by shard and place once plan_shards has run
  size_t n;
  int layer; // of the tensors being added; -1: of none
  int n_shards;
  uint64_t total_bytes;
  bool ok;
  struct error *err;
};

// OUT_DIR, and what to undo in it.
struct folder {
  const char *path;
  bool fresh;   // made by us
  char **files; // paths of ours
  size_t n;
};

// ---- random numbers ----

static const uint64_t GOLDEN = 0x9e3779b97f4a7c15;

// The finalizer of SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators).
static uint64_t mix(uint64_t x) {
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
  x = (x ^ x >> 27) * 0x94d049bb133111eb;
  return x ^ x >> 31;
}

static uint64_t random_word(uint64_t key, uint64_t i) {
  return mix(key + (i + 1) * GOLDEN);
}

static uint64_t name_key(uint64_t seed, const char *name) {
  uint64_t key = mix(seed + GOLDEN);
  for (; *name; name++)
    key = mix(key + GOLDEN + (uint8_t)*name);
  return key;
}

// ---- the contents of tensors ----

static uint32_t bits_of(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

static uint16_t narrow_bf16(float value) { // finite; to nearest even
  uint32_t bits = bits_of(value);
  return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static uint16_t narrow_f16(float value) { // |value| < 65504; to nearest even
  uint32_t bits = bits_of(value), magnitude = bits & 0x7fffffff;
  uint32_t half;
  if (magnitude < bits_of(0x1p-14f)) // subnormal: whole numbers of 2^-24
    half = (uint32_t)lrintf(fabsf(value) * 0x1p24f);
  else
    half = (magnitude - ((127 - 15) << 23) + 0xfff + (magnitude >> 13 & 1)) >> 13;
  return (uint16_t)(bits >> 16 & 0x8000) | (uint16_t)half;
}

static void store(uint8_t *out, enum dtype dtype, float value) {
  const uint32_t wide = htole32(bits_of(value));
  uint16_t narrow;
  if (dtype == DTYPE_F32) {
    memcpy(out, &wide, sizeof wide);
    return;
  }
  narrow = htole16(dtype == DTYPE_F16 ? narrow_f16(value) : narrow_bf16(value));
  memcpy(out, &narrow, sizeof narrow);
}

// The sum of the four 16-bit parts of a word is as good as normal for weights, and exact. Its
// variance is 4 (2^32 - 1) / 12. The mean is added to the whole number, so that a single rounding
// is left whatever a compiler contracts.
static void fill_normal(uint8_t *out, const struct spec *spec, uint64_t first, size_t n) {
  const size_t size = dtype_bytes(spec->dtype);
  const double step = spec->std / sqrt(4294967295.0 / 3);
  const int32_t shift = (int32_t)lrint(spec->mean / step) - 4 * 65535 / 2;
  for (size_t i = 0; i < n; i++) {
    const uint64_t word = random_word(spec->key, first + i);
    const uint64_t sum =
        (word & 0xffff) + (word >> 16 & 0xffff) + (word >> 32 & 0xffff) + (word >> 48);
    store(out + i * size, spec->dtype, (float)((int32_t)sum + shift) * (float)step);
  }
}

// Any byte is two codes: a word gives eight bytes.
static void fill_codes(uint8_t *out, const struct spec *spec, uint64_t first, size_t n) {
  for (size_t i = 0; i < n; i += sizeof(uint64_t)) {
    const uint64_t word = htole64(random_word(spec->key, (first + i) / sizeof word));
    memcpy(out + i, &word, sizeof word);
  }
}

// The values of random codes, +-{0, .5, 1, 1.5, 2, 3, 4, 6}, have the mean square 8.5625. Scales of
// 2^e and 2^(e+1) are mixed so that the mean square of the matrix is std^2.
static void fill_scales(uint8_t *out, const struct spec *spec, uint64_t first, size_t n) {
  const double square = spec->std * spec->std / 8.5625; // of the scale, on average
  const int e = (ilogb(square) - (ilogb(square) & 1)) / 2;
  const double larger = (ldexp(square, -2 * e) - 1) / 3; // share of groups with e + 1
  const uint64_t threshold = (uint64_t)(larger * 0x1p32);
  for (size_t i = 0; i < n; i++)
    out[i] = (uint8_t)(127 + e + (random_word(spec->key, first + i) >> 32 < threshold));
}

// Bytes [first, first + n) of a tensor; both are multiples of 8 but for n at its end.
static void fill(uint8_t *out, const struct spec *spec, uint64_t first, size_t n) {
  const size_t size = dtype_bytes(spec->dtype);
  switch (spec->content) {
  case CONTENT_NORMAL:
    fill_normal(out, spec, first / size, n / size);
    break;
  case CONTENT_CODES:
    fill_codes(out, spec, first, n);
    break;
  case CONTENT_SCALES:
    fill_scales(out, spec, first, n);
    break;
  }
}

// ---- the list of tensors ----

// Room for the largest HF gpt-oss of that many layers.
static bool plan_alloc(struct plan *plan) {
  const size_t n = (size_t)plan->config.n_layers * TENSORS_A_LAYER + TENSORS_OF_NO_LAYER;
  plan->specs = calloc(n, sizeof *plan->specs);
  return plan->specs || fail(plan->err, "out of memory for a list of %zu tensors", n);
}

// Appends `spec` under its full name; a `shape` ends at a 0 or after four sizes.
static void add(struct plan *plan, const char *suffix, struct spec spec) {
  if (plan->layer < 0)
    snprintf(spec.name, sizeof spec.name, "%s", suffix);
  else
    snprintf(spec.name, sizeof spec.name, "model.layers.%d.%s", plan->layer, suffix);
  spec.dtype = spec.content == CONTENT_NORMAL ? plan->dtype : DTYPE_U8;
  spec.bytes = dtype_bytes(spec.dtype);
  spec.key = name_key(plan->seed, spec.name);
  bool fits = true;
  for (; spec.rank < TENSOR_MAX_RANK && spec.shape[spec.rank]; spec.rank++)
    fits = fits && !__builtin_mul_overflow(spec.bytes, spec.shape[spec.rank], &spec.bytes);
  fits = fits && !__builtin_add_overflow(plan->total_bytes, spec.bytes, &plan->total_bytes) &&
         plan->total_bytes < INT64_MAX / 2;
  if (plan->ok && !fits)
    plan->ok = fail(plan->err, "%s: want a model that fits a disk", spec.name);
  plan->specs[plan->n++] = spec;
}

static void add_norm(struct plan *plan, const char *suffix) {
  const uint64_t hidden = (uint64_t)plan->config.d_model;
  add(plan, suffix, (struct spec){.shape = {hidden}, .mean = 1, .std = 0.1});
}

// For inputs of mean square 1 the outputs have gain^2; biases are a tenth of that.
static void add_linear(struct plan *plan, const char *prefix, int64_t rows, int64_t cols, bool bias,
                       double gain) {
  const uint64_t n = (uint64_t)rows, k = (uint64_t)cols;
  char suffix[NAME_SIZE];
  snprintf(suffix, sizeof suffix, "%s.weight", prefix);
  add(plan, suffix, (struct spec){.shape = {n, k}, .std = gain / sqrt((double)k)});
  snprintf(suffix, sizeof suffix, "%s.bias", prefix);
  if (bias)
    add(plan, suffix, (struct spec){.shape = {n}, .std = 0.1 * gain});
}

// One matrix of all experts. Codes run along k; unpacked, HF stores [experts, k, n].
static void add_experts(struct plan *plan, const char *prefix, int64_t rows, int64_t cols,
                        double gain) {
  const uint64_t experts = (uint64_t)plan->config.n_experts;
  const uint64_t n = (uint64_t)rows, k = (uint64_t)cols;
  const double std = gain / sqrt((double)k);
  char suffix[NAME_SIZE];
  if (plan->config.mxfp4) {
    snprintf(suffix, sizeof suffix, "%s_blocks", prefix);
    add(plan, suffix,
        (struct spec){
            .content = CONTENT_CODES, .shape = {experts, n, k / GROUP, GROUP_BYTES}, .std = std});
    snprintf(suffix, sizeof suffix, "%s_scales", prefix);
    add(plan, suffix,
        (struct spec){.content = CONTENT_SCALES, .shape = {experts, n, k / GROUP}, .std = std});
  } else {
    add(plan, prefix, (struct spec){.shape = {experts, k, n}, .std = std});
  }
  snprintf(suffix, sizeof suffix, "%s_bias", prefix);
  add(plan, suffix, (struct spec){.shape = {experts, n}, .std = 0.1 * gain});
}

// The two matrices that end in the residual stream are damped by the number of such additions, so
// that its mean square at most doubles from the embedding to the last layer. Router logits spread
// by 4: the softmax is far from even, and the last expert that gets in weighs little.
static void add_layer(struct plan *plan) {
  const struct model_config *c = &plan->config;
  const int64_t hidden = c->d_model, heads = c->n_heads;
  const int64_t q = heads * c->d_head, kv = (int64_t)c->n_kv_heads * c->d_head;
  const double damped = 1 / sqrt(2.0 * c->n_layers), router = 4;
  add_norm(plan, "input_layernorm.weight");
  add_linear(plan, "self_attn.q_proj", q, hidden, c->attention_bias, 1);
  add_linear(plan, "self_attn.k_proj", kv, hidden, c->attention_bias, 1);
  add_linear(plan, "self_attn.v_proj", kv, hidden, c->attention_bias, 1);
  add_linear(plan, "self_attn.o_proj", hidden, q, c->attention_bias, damped);
  add(plan, "self_attn.sinks", (struct spec){.shape = {(uint64_t)heads}, .std = 1});
  add_norm(plan, "post_attention_layernorm.weight");
  add_linear(plan, "mlp.router", c->n_experts, hidden, true, router);
  add_experts(plan, "mlp.experts.gate_up_proj", 2 * (int64_t)c->d_ff, hidden, 1);
  add_experts(plan, "mlp.experts.down_proj", hidden, c->d_ff, damped);
}

// A tied embedding has the size that the head needs; the norms make up for it.
static void add_all(struct plan *plan) {
  const struct model_config *c = &plan->config;
  const uint64_t vocab = (uint64_t)c->vocab, hidden = (uint64_t)c->d_model;
  const double head = 1 / sqrt((double)hidden);
  const double embedding = c->tied ? head : 1;
  plan->layer = -1;
  add(plan, "model.embed_tokens.weight", (struct spec){.shape = {vocab, hidden}, .std = embedding});
  for (plan->layer = 0; plan->layer < c->n_layers; plan->layer++)
    add_layer(plan);
  plan->layer = -1;
  add_norm(plan, "model.norm.weight");
  if (!c->tied)
    add(plan, "lm_head.weight", (struct spec){.shape = {vocab, hidden}, .std = head});
}

// Within a file wider types come first, so that every element is aligned, then names, as in files
// that HF writes.
static int compare_place(const void *a, const void *b) {
  const struct spec *left = a, *right = b;
  const size_t left_size = dtype_bytes(left->dtype), right_size = dtype_bytes(right->dtype);
  if (left->shard != right->shard)
    return left->shard < right->shard ? -1 : 1;
  if (left_size != right_size)
    return left_size > right_size ? -1 : 1;
  return strcmp(left->name, right->name);
}

// Fills shard after shard in the order of the model (HF huggingface_hub, split_state_dict): a
// tensor that does not fit begins the next; one that is larger than a shard gets its own.
static void plan_shards(struct plan *plan, uint64_t shard_bytes) {
  uint64_t used = 0;
  for (size_t i = 0; i < plan->n; i++) {
    struct spec *spec = &plan->specs[i];
    if (used > 0 && (used > shard_bytes || spec->bytes > shard_bytes - used)) {
      plan->n_shards++;
      used = 0;
    }
    spec->shard = plan->n_shards;
    used += spec->bytes;
  }
  plan->n_shards++;
  qsort(plan->specs, plan->n, sizeof *plan->specs, compare_place);
  for (size_t i = 1; i < plan->n; i++)
    if (plan->specs[i].shard == plan->specs[i - 1].shard)
      plan->specs[i].offset = plan->specs[i - 1].offset + plan->specs[i - 1].bytes;
}

// "dtype" is the spelling of transformers 5, "torch_dtype" that of 4.
static bool read_dtype(enum dtype *dtype, const char *directory, struct error *err) {
  static const struct {
    const char *name;
    enum dtype dtype;
  } NAMES[] = {{"bfloat16", DTYPE_BF16}, {"float16", DTYPE_F16}, {"float32", DTYPE_F32}};
  struct json_file file;
  if (!json_file_open(&file, directory, "config.json", err))
    return false;
  const char *key = json_object_get(file.root, "dtype") ? "dtype" : "torch_dtype";
  const json_t *value = json_object_get(file.root, key);
  const char *name = !value || json_is_null(value) ? NAMES[0].name : json_string_value(value);
  size_t i = 0;
  while (i < 3 && !(name && !strcmp(name, NAMES[i].name)))
    i++;
  const bool ok =
      i < 3 || json_refuse(file.path, key, "\"bfloat16\", \"float16\" or \"float32\"", value, err);
  if (ok)
    *dtype = NAMES[i].dtype;
  json_file_close(&file);
  return ok;
}

static bool check_groups(const struct model_config *config, struct error *err) {
  if (!config->mxfp4 || (config->d_model % GROUP == 0 && config->d_ff % GROUP == 0))
    return true;
  return fail(err,
              "hidden_size, intermediate_size: want multiples of %d for MXFP4, found %d and %d",
              GROUP, config->d_model, config->d_ff);
}

// Reads FOLDER/config.json and lists the tensors.
static bool plan_make(struct plan *plan, const char *folder, struct error *err) {
  plan->ok = true;
  plan->err = err;
  if (!model_config_read(&plan->config, folder, err) || !check_groups(&plan->config, err) ||
      !read_dtype(&plan->dtype, folder, err) ||
      !stop_ids_read(&plan->stop, folder, plan->config.vocab, err) || !plan_alloc(plan))
    return false;
  add_all(plan);
  return plan->ok;
}

// ---- files ----

// A folder that is not there is made; its parent must be.
static bool folder_open(struct folder *folder, const char *path, struct error *err) {
  *folder = (struct folder){.path = path, .fresh = mkdir(path, 0777) == 0};
  if (!folder->fresh && errno != EEXIST)
    return fail(err, "%s: cannot make the folder: %s", path, strerror(errno));
  DIR *entries = opendir(path);
  if (!entries)
    return fail(err, "%s: %s", path, strerror(errno));
  bool ok = true;
  for (const struct dirent *entry; ok && (entry = readdir(entries));)
    if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
      ok = fail(err, "%s: want a folder that is new or empty, found %.255s in it: name another",
                path, entry->d_name);
  closedir(entries);
  return ok;
}

// Creates a file of ours; returns its descriptor, or -1 with a message.
static int folder_create(struct folder *folder, const char *name, struct error *err) {
  char **files = realloc(folder->files, (folder->n + 1) * sizeof *files);
  if (files)
    folder->files = files;
  char *path = files ? path_join(folder->path, name, err) : NULL;
  if (!path) {
    fail(err, "out of memory for the name of %s", name);
    return -1;
  }
  const int file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (file < 0) {
    fail(err, "%s: %s", path, strerror(errno));
    free(path);
    return -1;
  }
  folder->files[folder->n++] = path;
  return file;
}

// Removes what was made if not ok.
static void folder_close(struct folder *folder, bool ok) {
  for (size_t i = 0; i < folder->n; i++) {
    if (!ok)
      unlink(folder->files[i]);
    free(folder->files[i]);
  }
  if (!ok && folder->fresh)
    rmdir(folder->path);
  free(folder->files);
}

// 0, or the errno of what went wrong.
static int write_at(int file, const void *bytes, size_t n, uint64_t offset) {
  for (size_t done = 0; done < n;) {
    const ssize_t wrote =
        pwrite(file, (const char *)bytes + done, n - done, (off_t)(offset + done));
    if (wrote == 0)
      return ENOSPC;
    if (wrote < 0 && errno != EINTR)
      return errno;
    done += wrote > 0 ? (size_t)wrote : 0;
  }
  return 0;
}

// Closes the newest file; `failure` is the errno of an earlier step, or 0.
static bool folder_finish(const struct folder *folder, int file, int failure, struct error *err) {
  if (close(file) != 0 && !failure)
    failure = errno;
  return failure == 0 ||
         fail(err, "%s: cannot write: %s", folder->files[folder->n - 1], strerror(failure));
}

static bool write_file(struct folder *folder, const char *name, struct text text,
                       struct error *err) {
  const int file = folder_create(folder, name, err);
  return file >= 0 && folder_finish(folder, file, write_at(file, text.bytes, text.n, 0), err);
}

static void shard_name(char name[NAME_SIZE], int shard, int n_shards) {
  if (n_shards == 1)
    snprintf(name, NAME_SIZE, "model.safetensors");
  else
    snprintf(name, NAME_SIZE, "model-%05d-of-%05d.safetensors", shard + 1, n_shards);
}

static void print_entry(FILE *out, const struct spec *spec) {
  fprintf(out, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[", spec->name, dtype_name(spec->dtype));
  for (int i = 0; i < spec->rank; i++)
    fprintf(out, "%s%" PRIu64, i ? "," : "", spec->shape[i]);
  fprintf(out, "],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}", spec->offset,
          spec->offset + spec->bytes);
}

static bool stream_close(FILE *out, struct error *err) {
  const bool ok = !ferror(out);
  return (fclose(out) == 0 && ok) || fail(err, "out of memory for a header");
}

// The length, and the JSON of n tensors, padded so that the data behind it is aligned to 8 bytes.
// Free text->bytes.
static bool header_make(struct text *text, const struct spec *specs, size_t n, struct error *err) {
  FILE *out = open_memstream(&text->bytes, &text->n);
  if (!out)
    return fail(err, "out of memory for a header");
  uint64_t length = 0;
  fwrite(&length, sizeof length, 1, out);
  fputs("{\"__metadata__\":{\"format\":\"pt\"}", out);
  for (size_t i = 0; i < n; i++)
    print_entry(out, &specs[i]);
  fputc('}', out);
  while (ftell(out) % 8)
    fputc(' ', out);
  if (!stream_close(out, err))
    return false;
  length = htole64(text->n - sizeof length);
  memcpy(text->bytes, &length, sizeof length);
  return true;
}

// Fills chunks side by side and writes them one at a time, almost in order: the kernel would let
// one writer into the file at a time, too, and keep the others spinning. `offset` is that of the
// tensor in the file. Returns 0 or an errno.
static int write_tensor(int file, const struct spec *spec, uint64_t offset) {
  const uint64_t chunks = (spec->bytes + CHUNK - 1) / CHUNK;
  int failure = 0;
#pragma omp parallel for schedule(static, 1) if (chunks > 1)
  for (uint64_t i = 0; i < chunks; i++) {
    uint8_t bytes[CHUNK];
    const uint64_t first = i * CHUNK;
    const size_t n = spec->bytes - first < CHUNK ? (size_t)(spec->bytes - first) : CHUNK;
    fill(bytes, spec, first, n);
#pragma omp critical
    if (!failure)
      failure = write_at(file, bytes, n, offset + first);
  }
  return failure;
}

// Writes the n tensors of one shard.
static bool write_shard(struct folder *folder, const struct spec *specs, size_t n, int n_shards,
                        struct error *err) {
  char name[NAME_SIZE];
  struct text header = {0};
  bool ok = header_make(&header, specs, n, err);
  shard_name(name, specs->shard, n_shards);
  const int file = ok ? folder_create(folder, name, err) : -1;
  if (file >= 0) {
    int failure = write_at(file, header.bytes, header.n, 0);
    for (size_t i = 0; i < n && !failure; i++)
      failure = write_tensor(file, &specs[i], header.n + specs[i].offset);
    ok = folder_finish(folder, file, failure, err);
  }
  free(header.bytes);
  return ok && file >= 0;
}

static bool write_shards(struct folder *folder, const struct plan *plan, struct error *err) {
  for (size_t first = 0, end = 0; first < plan->n; first = end) {
    while (end < plan->n && plan->specs[end].shard == plan->specs[first].shard)
      end++;
    if (!write_shard(folder, plan->specs + first, end - first, plan->n_shards, err))
      return false;
  }
  return true;
}

static void print_index(FILE *out, const struct plan *plan) {
  char name[NAME_SIZE];
  fprintf(out, "{\n  \"metadata\": {\n    \"total_size\": %" PRIu64 "\n  },\n", plan->total_bytes);
  fprintf(out, "  \"weight_map\": {\n");
  for (size_t i = 0; i < plan->n; i++) {
    shard_name(name, plan->specs[i].shard, plan->n_shards);
    fprintf(out, "    \"%s\": \"%s\"%s\n", plan->specs[i].name, name, i + 1 < plan->n ? "," : "");
  }
  fprintf(out, "  }\n}\n");
}

static void print_generation(FILE *out, const struct plan *plan) {
  fprintf(out, "{\n  \"eos_token_id\": [");
  for (int i = 0; i < plan->stop.n; i++)
    fprintf(out, "%s%" PRId32, i ? ", " : "", plan->stop.id[i]);
  fprintf(out, "]\n}\n");
}

static bool write_printed(struct folder *folder, const char *name,
                          void (*print)(FILE *out, const struct plan *plan),
                          const struct plan *plan, struct error *err) {
  struct text text = {0};
  FILE *out = open_memstream(&text.bytes, &text.n);
  if (!out)
    return fail(err, "out of memory for %s", name);
  print(out, plan);
  const bool ok = stream_close(out, err) && write_file(folder, name, text, err);
  free(text.bytes);
  return ok;
}

// ---- the program ----

// The bytes of CONFIG, or of the config.json in it.
static bool read_config(struct text *text, const char *path, struct error *err) {
  struct stat status;
  if (stat(path, &status) || !S_ISDIR(status.st_mode))
    return text_read(text, path, err);
  char *inside = path_join(path, "config.json", err);
  const bool ok = inside && text_read(text, inside, err);
  free(inside);
  return ok;
}

// Writes everything once config.json is in its place.
static bool make_rest(struct folder *folder, const struct options *options, struct error *err) {
  struct plan plan = {.seed = options->seed};
  struct error why;
  bool ok = plan_make(&plan, folder->path, &why) || fail(err, "%s: %s", options->config, why.text);
  if (ok) {
    plan_shards(&plan, options->shard_bytes);
    ok = write_shards(folder, &plan, err) &&
         (plan.n_shards == 1 ||
          write_printed(folder, "model.safetensors.index.json", print_index, &plan, err)) &&
         write_printed(folder, "generation_config.json", print_generation, &plan, err);
  }
  free(plan.specs);
  return ok;
}

static bool make_checkpoint(const struct options *options, struct error *err) {
  struct text config = {0};
  struct folder folder = {0};
  const bool ok =
      read_config(&config, options->config, err) && folder_open(&folder, options->out, err) &&
      write_file(&folder, "config.json", config, err) && make_rest(&folder, options, err);
  folder_close(&folder, ok);
  free(config.bytes);
  return ok;
}

static bool parse_number(uint64_t *out, const char *flag, const char *text, uint64_t low,
                         struct error *err) {
  char *end = NULL;
  errno = 0;
  if (text && *text >= '0' && *text <= '9')
    *out = strtoull(text, &end, 10);
  return (end && !*end && !errno && *out >= low) ||
         fail(err, "%s: want a whole number from %" PRIu64 ", found %.80s", flag, low,
              text ? text : "nothing");
}

static bool parse_place(struct options *options, const char *argument, struct error *err) {
  const char **place = !options->config ? &options->config : &options->out;
  if (*argument == '-' || *place)
    return fail(err, "%.80s: want CONFIG OUT_DIR [--seed N] [--shard-bytes N]: see --help",
                argument);
  *place = argument;
  return true;
}

static bool parse_options(struct options *options, int argc, char **argv, struct error *err) {
  *options = (struct options){.shard_bytes = 5000000000};
  for (int i = 1; i < argc; i++) {
    bool ok = true;
    if (!strcmp(argv[i], "--help")) {
      options->help = true;
      return true;
    }
    if (!strcmp(argv[i], "--seed"))
      ok = parse_number(&options->seed, "--seed", argv[++i], 0, err);
    else if (!strcmp(argv[i], "--shard-bytes"))
      ok = parse_number(&options->shard_bytes, "--shard-bytes", argv[++i], 1, err);
    else
      ok = parse_place(options, argv[i], err);
    if (!ok)
      return false;
  }
  return options->out || fail(err, "want CONFIG OUT_DIR: see --help");
}

int main(int argc, char **argv) {
  struct options options;
  struct error err = {"failed"};
  signal(SIGXFSZ, SIG_IGN); // a file that may not grow is an error of its write
  bool ok = parse_options(&options, argc, argv, &err);
  if (ok && options.help) {
    fputs(HELP, stdout);
    return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
  }
  ok = ok && make_checkpoint(&options, &err);
  if (!ok)
    fprintf(stderr, "make_checkpoint: %s\n", err.text);
  return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
