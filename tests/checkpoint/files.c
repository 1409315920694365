#include "files.h"
#include "base/path.h"

#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CHUNK = 1 << 17 }; // bytes that a thread makes on its stack and then writes

// ---- the folder ----

bool folder_open(struct folder *folder, const char *path, struct error *err) {
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

// Creates a file in the folder; returns its descriptor, or -1 with a message.
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

void folder_close(struct folder *folder, bool ok) {
  for (size_t i = 0; i < folder->n; i++) {
    if (!ok)
      unlink(folder->files[i]);
    free(folder->files[i]);
  }
  if (!ok && folder->fresh)
    rmdir(folder->path);
  free(folder->files);
}

// Returns 0 or the errno of the failure.
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

// Closes the newest file; `failure` is the errno of an earlier write, or 0.
static bool folder_finish(const struct folder *folder, int file, int failure, struct error *err) {
  if (close(file) != 0 && !failure)
    failure = errno;
  return failure == 0 ||
         fail(err, "%s: cannot write: %s", folder->files[folder->n - 1], strerror(failure));
}

bool write_file(struct folder *folder, const char *name, struct text text, struct error *err) {
  const int file = folder_create(folder, name, err);
  return file >= 0 && folder_finish(folder, file, write_at(file, text.bytes, text.n, 0), err);
}

// ---- shards ----

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

// Makes the header of a shard: its length, and the JSON of n tensors, padded so that the data after
// it is aligned to 8 bytes. Free text->bytes.
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

// Threads fill chunks in parallel and write them one at a time, almost in order: the kernel admits
// one writer per file anyway and would keep the others spinning. `offset` is that of the tensor in
// the file. Returns 0 or an errno.
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

// ---- the other files ----

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

bool write_checkpoint(struct folder *folder, const struct plan *plan, struct error *err) {
  return write_shards(folder, plan, err) &&
         (plan->n_shards == 1 ||
          write_printed(folder, "model.safetensors.index.json", print_index, plan, err)) &&
         write_printed(folder, "generation_config.json", print_generation, plan, err);
}
