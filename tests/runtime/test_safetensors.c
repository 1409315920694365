// The checkpoint reader against small files made here, most of them damaged, and a real sharded
// one.
#include "checkpoint/safetensors.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// After everything else: cmocka.h needs these four before it, and defines a macro called fail.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define MODELS "tests/models/"
#define SINGLE "model.safetensors"
#define INDEX "model.safetensors.index.json"

// Three bytes of "a" come first, so that nothing behind them is aligned.
static const char GOOD_HEADER[] =
    "{\"__metadata__\":{\"format\":\"pt\"},"
    "\"b\":{\"dtype\":\"BF16\",\"shape\":[2,3],\"data_offsets\":[3,15]},"
    "\"a\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[0,3]},"
    "\"d\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[19,23]},"
    "\"e\":{\"dtype\":\"F32\",\"shape\":[0,7],\"data_offsets\":[19,19]},"
    "\"c\":{\"dtype\":\"F16\",\"shape\":[1,1,2,1],\"data_offsets\":[15,19]}}  ";

enum { GOOD_DATA_BYTES = 23 };

static const uint8_t GOOD_DATA[GOOD_DATA_BYTES] = {
    7,    0,    255,                                                        // a
    0x80, 0x3f, 0x00, 0xc0, 0x00, 0x00, 0x80, 0x7f, 0x01, 0x00, 0x49, 0x40, // b
    0x00, 0x3c, 0x01, 0x00,                                                 // c
    0xdb, 0x0f, 0x49, 0x40,                                                 // d
};

// A temporary checkpoint folder.
static int make_folder(void **state) {
  static const char template[] = P_tmpdir "/getp-test-XXXXXX";
  char *path = malloc(sizeof template);
  assert_non_null(path);
  memcpy(path, template, sizeof template);
  assert_non_null(mkdtemp(path));
  *state = path;
  return 0;
}

static void path_in(char path[static 256], const char *folder, const char *name) {
  int length = snprintf(path, 256, "%s/%s", folder, name);
  assert_in_range(length, 1, 255);
}

static void remove_file(const char *folder, const char *name) {
  char path[256];
  path_in(path, folder, name);
  remove(path);
}

static int remove_folder(void **state) {
  const char *names[] = {SINGLE, INDEX, "one.safetensors", "two.safetensors"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    remove_file(*state, names[i]);
  int failed = rmdir(*state);
  free(*state);
  return failed;
}

static void write_file(const char *folder, const char *name, const void *bytes, size_t n) {
  char path[256];
  path_in(path, folder, name);
  FILE *file = fopen(path, "wb");
  assert_non_null(file);
  assert_int_equal(fwrite(bytes, 1, n, file), n);
  assert_int_equal(fclose(file), 0);
}

// 8 bytes of length, header, data; the caller frees it.
static uint8_t *build_file(uint64_t length, const char *header, const void *data, size_t data_bytes,
                           size_t *bytes) {
  size_t header_bytes = strlen(header);
  uint8_t *file = malloc(8 + header_bytes + data_bytes);
  assert_non_null(file);
  for (int i = 0; i < 8; i++)
    file[i] = (uint8_t)(length >> (8 * i));
  memcpy(file + 8, header, header_bytes);
  if (data_bytes)
    memcpy(file + 8 + header_bytes, data, data_bytes);
  *bytes = 8 + header_bytes + data_bytes;
  return file;
}

static void write_shard(const char *folder, const char *name, const char *header,
                        size_t data_bytes) {
  size_t bytes;
  uint8_t *file = build_file(strlen(header), header, GOOD_DATA, data_bytes, &bytes);
  write_file(folder, name, file, bytes);
  free(file);
}

static struct safetensors *open_good(const char *folder) {
  struct safetensors *checkpoint;
  struct error err = {{0}};
  if (!safetensors_open(&checkpoint, folder, &err))
    fail_msg("%s", err.text);
  return checkpoint;
}

// Asserts that the folder is refused in one line that has `want` in it.
static void assert_refused(const char *folder, const char *want) {
  struct safetensors *checkpoint;
  struct error err = {{0}};
  assert_false(safetensors_open(&checkpoint, folder, &err));
  assert_null(checkpoint);
  if (!strstr(err.text, want) || strchr(err.text, '\n'))
    fail_msg("want '%s' in '%s'", want, err.text);
}

static float first_value(const struct tensor *tensor) {
  float value;
  dtype_widen(&value, tensor->data, tensor->dtype, 1);
  return value;
}

static void test_reads_a_file(void **state) {
  write_shard(*state, SINGLE, GOOD_HEADER, GOOD_DATA_BYTES);
  struct safetensors *checkpoint = open_good(*state);
  const struct tensor *b = safetensors_find(checkpoint, "b");
  assert_non_null(b);
  assert_string_equal(b->name, "b");
  assert_int_equal(b->dtype, DTYPE_BF16);
  assert_int_equal(b->rank, 2);
  assert_int_equal(b->shape[0], 2);
  assert_int_equal(b->shape[1], 3);
  assert_int_equal(b->bytes, 12);
  assert_memory_equal(b->data, GOOD_DATA + 3, 12);
  assert_true(first_value(safetensors_find(checkpoint, "a")) == 7);
  assert_true(first_value(safetensors_find(checkpoint, "c")) == 1);
  assert_int_equal(safetensors_find(checkpoint, "c")->rank, 4);
  assert_true(first_value(safetensors_find(checkpoint, "d")) == 3.14159274f);
  assert_int_equal(safetensors_find(checkpoint, "d")->rank, 0);
  assert_int_equal(safetensors_find(checkpoint, "e")->bytes, 0);
  assert_null(safetensors_find(checkpoint, "__metadata__"));
  assert_null(safetensors_find(checkpoint, "bb"));
  assert_null(safetensors_find(checkpoint, ""));
  safetensors_close(checkpoint);
}

static void test_want_names_both_shapes(void **state) {
  write_shard(*state, SINGLE, GOOD_HEADER, GOOD_DATA_BYTES);
  struct safetensors *checkpoint = open_good(*state);
  struct error err = {{0}};
  const int64_t right[] = {2, 3}, wrong[] = {3, 2};
  assert_ptr_equal(safetensors_require(checkpoint, "b", 2, right, &err),
                   safetensors_find(checkpoint, "b"));
  assert_null(safetensors_require(checkpoint, "b", 2, wrong, &err));
  assert_non_null(strstr(err.text, "model.safetensors: b: want shape [3, 2], found [2, 3]"));
  assert_null(safetensors_require(checkpoint, "b", 1, right, &err));
  assert_non_null(strstr(err.text, "b: want shape [2], found [2, 3]"));
  assert_null(safetensors_require(checkpoint, "f", 2, right, &err));
  assert_non_null(strstr(err.text, "f: want shape [2, 3], found no such tensor"));
  safetensors_close(checkpoint);
}

static void test_widens_exactly(void **state) {
  (void)state;
  static const struct {
    uint16_t half;
    float value;
  } halves[] = {
      {0x0000, 0},        {0x3c00, 1},         {0xc000, -2},
      {0x0001, 0x1p-24f}, {0x8001, -0x1p-24f}, {0x03ff, 0x1.ff8p-15f},
      {0x0400, 0x1p-14f}, {0x7bff, 65504},     {0x3555, 0.333251953125f},
      {0x7c00, INFINITY}, {0xfc00, -INFINITY},
  };
  float value;
  for (size_t i = 0; i < sizeof halves / sizeof *halves; i++) {
    dtype_widen(&value, (const uint8_t *)&halves[i].half, DTYPE_F16, 1);
    assert_true(value == halves[i].value);
  }
  dtype_widen(&value, (const uint8_t[]){0x00, 0x80}, DTYPE_F16, 1);
  assert_true(value == 0 && signbit(value));
  dtype_widen(&value, (const uint8_t[]){0x01, 0x7e}, DTYPE_F16, 1);
  assert_true(isnan(value));

  float values[6];
  dtype_widen(values, GOOD_DATA + 3, DTYPE_BF16, 6);
  const float want[] = {1, -2, 0, INFINITY, 0x1p-133f, 3.140625f};
  assert_memory_equal(values, want, sizeof want);
}

static void test_dtypes(void **state) {
  (void)state;
  assert_string_equal(dtype_name(DTYPE_BF16), "BF16");
  assert_string_equal(dtype_name(DTYPE_U8), "U8");
  assert_int_equal(dtype_bytes(DTYPE_U8), 1);
  assert_int_equal(dtype_bytes(DTYPE_F16), 2);
  assert_int_equal(dtype_bytes(DTYPE_BF16), 2);
  assert_int_equal(dtype_bytes(DTYPE_F32), 4);
}

static void test_every_truncation_is_refused(void **state) {
  size_t bytes;
  uint8_t *file = build_file(strlen(GOOD_HEADER), GOOD_HEADER, GOOD_DATA, GOOD_DATA_BYTES, &bytes);
  write_file(*state, SINGLE, file, bytes);
  free(file);
  char path[256];
  path_in(path, *state, SINGLE);
  while (bytes-- > 0) {
    assert_int_equal(truncate(path, (off_t)bytes), 0);
    assert_refused(*state, SINGLE ": ");
  }
}

static void test_trailing_bytes_are_refused(void **state) {
  uint8_t data[GOOD_DATA_BYTES + 1] = {0};
  size_t bytes;
  uint8_t *file = build_file(strlen(GOOD_HEADER), GOOD_HEADER, data, sizeof data, &bytes);
  write_file(*state, SINGLE, file, bytes);
  free(file);
  assert_refused(*state, "want 23 bytes of data for its tensors, found 24");
}

static void flip_bit(const char *path, size_t bit) {
  FILE *file = fopen(path, "r+b");
  assert_non_null(file);
  assert_int_equal(fseek(file, (long)(bit / 8), SEEK_SET), 0);
  int byte = fgetc(file) ^ 1 << bit % 8;
  assert_int_equal(fseek(file, (long)(bit / 8), SEEK_SET), 0);
  assert_int_equal(fputc(byte, file), byte);
  assert_int_equal(fclose(file), 0);
}

// What an open file says must be true of the bytes in its map, whichever names it has.
static size_t check_tensor(const struct safetensors *checkpoint, const char *name) {
  const struct tensor *tensor = safetensors_find(checkpoint, name);
  if (!tensor)
    return 0;
  size_t bytes = dtype_bytes(tensor->dtype);
  for (int i = 0; i < tensor->rank; i++)
    bytes *= (size_t)tensor->shape[i];
  assert_int_equal(bytes, tensor->bytes);
  for (size_t i = 0; i + 3 <= GOOD_DATA_BYTES && bytes; i++)
    if (!memcmp(tensor->data, GOOD_DATA + i, bytes < 3 ? bytes : 3))
      return bytes;
  assert_int_equal(bytes, 0);
  return 0;
}

// True if the checkpoint could be opened.
static bool check_damaged(const char *folder) {
  static const char *const names[] = {"a", "b", "c", "d", "e"};
  struct safetensors *checkpoint;
  struct error err = {{0}};
  if (!safetensors_open(&checkpoint, folder, &err)) {
    assert_null(checkpoint);
    assert_non_null(strstr(err.text, SINGLE));
    return false;
  }
  size_t total = 0;
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    total += check_tensor(checkpoint, names[i]);
  assert_in_range(total, GOOD_DATA_BYTES - 12, GOOD_DATA_BYTES); // one name may have changed
  safetensors_close(checkpoint);
  return true;
}

static void test_every_bit_flip_is_refused_or_consistent(void **state) {
  size_t header_bits = 8 * (8 + strlen(GOOD_HEADER)), survivors = 0;
  char path[256];
  path_in(path, *state, SINGLE);
  write_shard(*state, SINGLE, GOOD_HEADER, GOOD_DATA_BYTES);
  for (size_t bit = 0; bit < header_bits; bit++) {
    flip_bit(path, bit);
    survivors += check_damaged(*state);
    flip_bit(path, bit);
  }
  // Names, dtypes of the same size, what __metadata__ says and the 7 of 0 x 7; no more than that.
  assert_in_range(survivors, 1, header_bits / 10);
}

struct bad_header {
  const char *header;
  const char *want;
};

#define TENSOR(name, dtype, shape, offsets)                                                        \
  "\"" name "\":{\"dtype\":" dtype ",\"shape\":" shape ",\"data_offsets\":" offsets "}"

// Each with 8 bytes of data behind it.
static const struct bad_header BAD_HEADERS[] = {
    {"", "want JSON in its header"},
    {"[]", "want a JSON object in its header"},
    {"{", "want JSON in its header"},
    {"{} x", "want JSON in its header"},
    {"{}", "want 0 bytes of data for its tensors, found 8"},
    {"{\"a\":1}", "a: want an object, found 1"},
    {"{" TENSOR("a", "\"F32\"", "[2]", "[0,8]") "," TENSOR("a", "\"F32\"", "[2]", "[0,8]") "}",
     "duplicate"},
    {"{" TENSOR("a", "\"F64\"", "[1]", "[0,8]") "}", "a: want a dtype of U8, F16, BF16 or F32"},
    {"{" TENSOR("a", "7", "[1]", "[0,8]") "}", "a: want a dtype of U8, F16, BF16 or F32, found 7"},
    {"{\"a\":{\"shape\":[2],\"data_offsets\":[0,8]}}", "a: want a dtype"},
    {"{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,8]}}", "found nothing"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", "found nothing"},
    {"{" TENSOR("a", "\"F32\"", "[1,1,1,1,2]", "[0,8]") "}", "a: want a shape of at most 4"},
    {"{" TENSOR("a", "\"F32\"", "2", "[0,8]") "}", "a: want a shape of at most 4"},
    {"{" TENSOR("a", "\"F32\"", "[-2]", "[0,8]") "}", "a: want a shape of sizes that fit"},
    {"{" TENSOR("a", "\"U8\"", "[0,-5]", "[0,0]") "," TENSOR("b", "\"F32\"", "[2]", "[0,8]") "}",
     "a: want a shape of sizes that fit"},
    {"{" TENSOR("a", "\"F32\"", "[2.0]", "[0,8]") "}", "a: want a shape of sizes that fit"},
    {"{" TENSOR("a", "\"F32\"", "[\"2\"]", "[0,8]") "}", "a: want a shape of sizes that fit"},
    {"{" TENSOR("a", "\"F32\"", "[4294967296,4294967296]", "[0,8]") "}", "sizes that fit"},
    {"{" TENSOR("a", "\"F32\"", "[4611686018427387906]", "[0,8]") "}", "sizes that fit"},
    {"{" TENSOR("a", "\"F32\"", "[99999999999999999999]", "[0,8]") "}", "want JSON"},
    {"{" TENSOR("a", "\"F32\"", "[3]", "[0,8]") "}", "a: want 12 bytes for its dtype and shape"},
    {"{" TENSOR("a", "\"F32\"", "[3]", "[0,12]") "}", "a: want data_offsets within 8 bytes"},
    {"{" TENSOR("a", "\"F32\"", "[2]", "[8,0]") "}", "a: want data_offsets of a begin and an end"},
    {"{" TENSOR("a", "\"F32\"", "[2]", "[-8,0]") "}", "a: want data_offsets of a begin and an end"},
    {"{" TENSOR("a", "\"F32\"", "[2]", "[0,8,8]") "}", "a: want data_offsets of a begin"},
    {"{" TENSOR("a", "\"F32\"", "[2]", "[0.0,8]") "}", "a: want data_offsets of a begin"},
    {"{" TENSOR("a", "\"F32\"", "[2]", "8") "}", "a: want data_offsets of a begin"},
    {"{" TENSOR("a", "\"F32\"", "[2]", "[9223372036854775799,9223372036854775807]") "}", "within"},
    {"{" TENSOR("a", "\"F32\"", "[1]", "[0,4]") "}", "want 4 bytes of data for its tensors"},
    {"{" TENSOR("a", "\"F32\"", "[1]", "[4,8]") "}", "a: want it to begin at data byte 0, found 4"},
    {"{" TENSOR("a", "\"F32\"", "[2]", "[0,8]") "," TENSOR("b", "\"F32\"", "[1]", "[4,8]") "}",
     "b: want it to begin at data byte 8, found 4"},
    {"{" TENSOR("a", "\"U8\"", "[3]", "[0,3]") "," TENSOR("b", "\"F32\"", "[1]", "[4,8]") "}",
     "b: want it to begin at data byte 3, found 4"},
    {"{" TENSOR("line\\nbreak", "\"F64\"", "[1]", "[0,8]") "}", "line?break: want a dtype"},
    {"{" TENSOR("nul\\u0000", "\"F32\"", "[2]", "[0,8]") "}", "want JSON"},
};

static void test_bad_headers_are_refused(void **state) {
  for (size_t i = 0; i < sizeof BAD_HEADERS / sizeof *BAD_HEADERS; i++) {
    write_shard(*state, SINGLE, BAD_HEADERS[i].header, 8);
    assert_refused(*state, BAD_HEADERS[i].want);
  }
}

static void test_deep_json_is_refused(void **state) {
  enum { DEPTH = 100000 };
  char *header = malloc(DEPTH + 1);
  assert_non_null(header);
  memset(header, '[', DEPTH);
  header[DEPTH] = 0;
  write_shard(*state, SINGLE, header, 0);
  free(header);
  assert_refused(*state, "want JSON in its header");
}

static void test_header_lengths_are_checked(void **state) {
  static const uint64_t lengths[] = {UINT64_MAX,     UINT64_C(1) << 63, (UINT64_C(1) << 63) - 1,
                                     UINT64_MAX - 7, 100000001,         3};
  for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
    size_t bytes;
    uint8_t *file = build_file(lengths[i], "{}", NULL, 0, &bytes);
    write_file(*state, SINGLE, file, bytes);
    free(file);
    char want[128];
    snprintf(want, sizeof want, "want a header of at most 2 bytes, found a length of %" PRIu64,
             lengths[i]);
    assert_refused(*state, want);
  }
}

// A file that is large enough, but no header is that long; the file is a hole.
static void test_long_headers_are_refused(void **state) {
  size_t bytes;
  char path[256];
  uint8_t *file = build_file(100000001, "", NULL, 0, &bytes);
  write_file(*state, SINGLE, file, bytes);
  free(file);
  path_in(path, *state, SINGLE);
  assert_int_equal(truncate(path, 100000100), 0);
  assert_refused(*state, "want a header of at most 100000000 bytes, found a length of 100000001");
}

static void test_folders_without_files_are_refused(void **state) {
  char path[256];
  assert_refused(*state, "want model.safetensors or model.safetensors.index.json");
  assert_refused("no/such/folder", "no/such/folder: want model.safetensors");
  path_in(path, *state, SINGLE);
  assert_int_equal(mkdir(path, 0700), 0);
  assert_refused(*state, SINGLE ": want a regular file");
  assert_int_equal(rmdir(path), 0);
  assert_int_equal(mkfifo(path, 0600), 0);
  assert_refused(*state, SINGLE ": want a regular file");
}

#define ONE "{" TENSOR("a", "\"U8\"", "[3]", "[0,3]") "," TENSOR("b", "\"U8\"", "[1]", "[3,4]") "}"
#define TWO "{" TENSOR("c", "\"F32\"", "[1]", "[0,4]") "}"
#define WEIGHT_MAP(map) "{\"metadata\":{\"total_size\":8},\"weight_map\":" map "}"

static void write_index(const char *folder, const char *text) {
  write_file(folder, INDEX, text, strlen(text));
}

static const char GOOD_INDEX[] =
    WEIGHT_MAP("{\"c\":\"two.safetensors\",\"a\":\"one.safetensors\",\"b\":\"one.safetensors\"}");

static void test_reads_shards(void **state) {
  write_shard(*state, "one.safetensors", ONE, 4);
  write_shard(*state, "two.safetensors", TWO, 4);
  write_index(*state, GOOD_INDEX);
  struct safetensors *checkpoint = open_good(*state);
  assert_int_equal(safetensors_find(checkpoint, "a")->bytes, 3);
  assert_int_equal(*safetensors_find(checkpoint, "b")->data, GOOD_DATA[3]);
  assert_int_equal(safetensors_find(checkpoint, "c")->dtype, DTYPE_F32);
  safetensors_close(checkpoint);

  write_shard(*state, SINGLE, GOOD_HEADER, GOOD_DATA_BYTES); // goes before the index
  checkpoint = open_good(*state);
  assert_int_equal(safetensors_find(checkpoint, "b")->bytes, 12);
  safetensors_close(checkpoint);
}

static const struct bad_header BAD_INDEXES[] = {
    {"", "index.json:1: want JSON"},
    {"[]", "want a JSON object"},
    {"{}", "weight_map: want an object of tensor and file names, found nothing"},
    {WEIGHT_MAP("[]"), "weight_map: want an object"},
    {WEIGHT_MAP("{}"), "weight_map: want an object"},
    {WEIGHT_MAP("{\"a\":1}"), "a: want the name of a file in the folder, found 1"},
    {WEIGHT_MAP("{\"a\":\"\"}"), "a: want the name of a file in the folder"},
    {WEIGHT_MAP("{\"a\":\"..\"}"), "a: want the name of a file in the folder"},
    {WEIGHT_MAP("{\"a\":\"../one.safetensors\"}"), "a: want the name of a file in the folder"},
    {WEIGHT_MAP("{\"a\":\"/etc/passwd\"}"), "a: want the name of a file in the folder"},
    {WEIGHT_MAP("{\"a\":\"three.safetensors\"}"), "three.safetensors: No such file"},
    {WEIGHT_MAP("{\"a\":\"one.safetensors\",\"a\":\"one.safetensors\"}"), "duplicate"},
    {WEIGHT_MAP("{\"a\":\"one.safetensors\"}"), "b: want it to be in no file by the index"},
    {WEIGHT_MAP("{\"a\":\"one.safetensors\",\"b\":\"two.safetensors\",\"c\":\"two.safetensors\"}"),
     "one.safetensors: b: want it to be in two.safetensors by the index"},
    {WEIGHT_MAP("{\"c\":\"two.safetensors\",\"d\":\"two.safetensors\"}"),
     "index.json: d: want it in two.safetensors, found no such tensor there"},
};

static void test_bad_indexes_are_refused(void **state) {
  write_shard(*state, "one.safetensors", ONE, 4);
  write_shard(*state, "two.safetensors", TWO, 4);
  for (size_t i = 0; i < sizeof BAD_INDEXES / sizeof *BAD_INDEXES; i++) {
    write_index(*state, BAD_INDEXES[i].header);
    assert_refused(*state, BAD_INDEXES[i].want);
  }
  write_index(*state, GOOD_INDEX);
  write_shard(*state, "two.safetensors", ONE, 4); // the same names again
  assert_refused(*state, "two.safetensors: a: want it to be in one.safetensors");
}

static void test_reads_a_real_sharded_checkpoint(void **state) {
  (void)state;
  struct safetensors *checkpoint = open_good(MODELS "rand_mxfp4");
  struct error err = {{0}};
  const int64_t blocks[] = {5, 192, 4, 16}, embedding[] = {515, 128};
  const struct tensor *tensor = safetensors_require(
      checkpoint, "model.layers.2.mlp.experts.gate_up_proj_blocks", 4, blocks, &err);
  assert_non_null(tensor);
  assert_int_equal(tensor->dtype, DTYPE_U8);
  assert_int_equal(tensor->bytes, 61440);
  assert_non_null(safetensors_require(checkpoint, "model.embed_tokens.weight", 2, embedding, &err));
  safetensors_close(checkpoint);
}

static void test_released_tensors_read_the_same(void **state) {
  (void)state;
  struct safetensors *checkpoint = open_good(MODELS "abacus");
  const struct tensor *tensor = safetensors_find(checkpoint, "lm_head.weight");
  uint8_t *copy = malloc(tensor->bytes);
  assert_non_null(copy);
  memcpy(copy, tensor->data, tensor->bytes);
  safetensors_release(tensor);
  safetensors_release(safetensors_find(checkpoint, "model.norm.weight")); // less than a page
  assert_memory_equal(copy, tensor->data, tensor->bytes);
  free(copy);
  safetensors_close(checkpoint);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

int main(void) {
  const struct CMUnitTest tests[] = {
      IN_FOLDER(test_reads_a_file),
      IN_FOLDER(test_want_names_both_shapes),
      cmocka_unit_test(test_widens_exactly),
      cmocka_unit_test(test_dtypes),
      IN_FOLDER(test_every_truncation_is_refused),
      IN_FOLDER(test_trailing_bytes_are_refused),
      IN_FOLDER(test_every_bit_flip_is_refused_or_consistent),
      IN_FOLDER(test_bad_headers_are_refused),
      IN_FOLDER(test_deep_json_is_refused),
      IN_FOLDER(test_header_lengths_are_checked),
      IN_FOLDER(test_long_headers_are_refused),
      IN_FOLDER(test_folders_without_files_are_refused),
      IN_FOLDER(test_reads_shards),
      IN_FOLDER(test_bad_indexes_are_refused),
      cmocka_unit_test(test_reads_a_real_sharded_checkpoint),
      cmocka_unit_test(test_released_tensors_read_the_same),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
