#include "support.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// ---- files ----

char *new_folder(void) {
  char *folder = strdup(P_tmpdir "/getp-test-XXXXXX");
  assert_non_null(folder);
  assert_non_null(mkdtemp(folder));
  return folder;
}

int make_folder(void **state) {
  *state = new_folder();
  return 0;
}

int remove_folder(void **state) {
  DIR *folder = opendir(*state);
  assert_non_null(folder);
  for (const struct dirent *entry; (entry = readdir(folder));) {
    char path[PATH_BYTES];
    path_in(path, *state, entry->d_name);
    if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
      remove(path);
  }
  closedir(folder);
  const int failed = rmdir(*state);
  free(*state);
  return failed;
}

void path_in(char path[static PATH_BYTES], const char *folder, const char *name) {
  const int length = snprintf(path, PATH_BYTES, "%s/%s", folder, name);
  assert_in_range(length, 1, PATH_BYTES - 1);
}

void write_file(const char *folder, const char *name, const void *bytes, size_t n) {
  char path[PATH_BYTES];
  path_in(path, folder, name);
  FILE *file = fopen(path, "wb");
  assert_non_null(file);
  assert_int_equal(fwrite(bytes, 1, n, file), n);
  assert_int_equal(fclose(file), 0);
}

void write_text(const char *folder, const char *name, const char *text) {
  write_file(folder, name, text, strlen(text));
}

void write_quoted(const char *folder, const char *name, const char *text) {
  char *quoted = strdup(text);
  for (char *c = quoted; *c; c++)
    *c = *c == '\'' ? '"' : *c;
  write_text(folder, name, quoted);
  free(quoted);
}

void write_safetensors(const char *folder, const char *name, const char *header, const void *data,
                       size_t data_bytes) {
  write_lying_safetensors(folder, name, strlen(header), header, data, data_bytes);
}

void write_lying_safetensors(const char *folder, const char *name, uint64_t length,
                             const char *header, const void *data, size_t data_bytes) {
  const size_t header_bytes = strlen(header);
  uint8_t *file = malloc(8 + header_bytes + data_bytes);
  assert_non_null(file);
  for (int i = 0; i < 8; i++)
    file[i] = (uint8_t)(length >> (8 * i));
  memcpy(file + 8, header, header_bytes);
  if (data_bytes)
    memcpy(file + 8 + header_bytes, data, data_bytes);
  write_file(folder, name, file, 8 + header_bytes + data_bytes);
  free(file);
}

void assert_file(const char *folder, const char *name, const char *text) {
  char path[PATH_BYTES], *found = calloc(1, strlen(text) + 2);
  path_in(path, folder, name);
  FILE *file = fopen(path, "rb");
  assert_non_null(file);
  assert_int_equal(fread(found, 1, strlen(text) + 1, file), strlen(text));
  assert_string_equal(found, text);
  fclose(file);
  free(found);
}

void assert_no_file(const char *folder, const char *name) {
  char path[PATH_BYTES];
  path_in(path, folder, name);
  assert_int_not_equal(access(path, F_OK), 0);
}

// ---- models ----

struct model_config read_config(const char *folder) {
  struct model_config config;
  struct error err;
  if (!checkpoint_config(&config, folder, &err))
    fail_msg("%s", err.text);
  return config;
}

struct checkpoint *open_checkpoint(const char *folder) {
  const struct model_config config = read_config(folder);
  struct checkpoint *checkpoint;
  struct error err;
  if (!checkpoint_open(&checkpoint, folder, &config, &err))
    fail_msg("%s", err.text);
  return checkpoint;
}

json_t *read_json(const char *path) {
  json_error_t error;
  json_t *root = json_load_file(path, 0, &error);
  if (!root)
    fail_msg("%s:%d: %s", path, error.line, error.text);
  return root;
}

float *read_floats(const char *path, size_t *n) {
  FILE *file = fopen(path, "rb");
  assert_non_null(file);
  assert_int_equal(fseek(file, 0, SEEK_END), 0);
  *n = (size_t)ftell(file) / sizeof(float);
  rewind(file);
  float *values = malloc(*n * sizeof *values);
  assert_non_null(values);
  assert_int_equal(fread(values, sizeof *values, *n, file), *n);
  fclose(file);
  return values;
}

int32_t *read_ids(const json_t *array, size_t *n) {
  *n = json_array_size(array);
  int32_t *ids = malloc((*n + 1) * sizeof *ids);
  assert_non_null(ids);
  for (size_t i = 0; i < *n; i++)
    ids[i] = (int32_t)json_integer_value(json_array_get(array, i));
  return ids;
}

// ---- texts and numbers ----

void assert_contains(const char *text, const char *want) {
  if (!strstr(text, want))
    fail_msg("want '%s' in '%s'", want, text);
}

unsigned random_below(uint64_t *seed, unsigned n) {
  *seed = *seed * 6364136223846793005 + 1442695040888963407;
  return (unsigned)(*seed >> 33) % n;
}
