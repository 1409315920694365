// The reader of safetensors files on small files, most of them damaged, and on a real sharded
// checkpoint.
#include "base/pages.h"
#include "checkpoint/safetensors.h"
#include "support.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SINGLE "model.safetensors"
#define INDEX "model.safetensors.index.json"

// Three bytes of "a" come first, so that nothing after them is aligned.
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

static struct safetensors *open_safetensors(const char *folder) {
  struct safetensors *checkpoint;
  struct error err;
  if (!safetensors_open(&checkpoint, folder, &err))
    fail_msg("%s", err.text);
  return checkpoint;
}

// Asserts that the folder is refused with one line that contains `want`.
static void assert_refused(const char *folder, const char *want) {
  struct safetensors *checkpoint;
  struct error err;
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

static void a_file_is_read(void **state) {
  write_safetensors(*state, SINGLE, GOOD_HEADER, GOOD_DATA, GOOD_DATA_BYTES);
  struct safetensors *checkpoint = open_safetensors(*state);
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

static void another_shape_is_refused(void **state) {
  write_safetensors(*state, SINGLE, GOOD_HEADER, GOOD_DATA, GOOD_DATA_BYTES);
  struct safetensors *checkpoint = open_safetensors(*state);
  struct error err;
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

static void every_truncation_is_refused(void **state) {
  size_t bytes = 8 + strlen(GOOD_HEADER) + GOOD_DATA_BYTES;
  char path[PATH_BYTES];
  write_safetensors(*state, SINGLE, GOOD_HEADER, GOOD_DATA, GOOD_DATA_BYTES);
  path_in(path, *state, SINGLE);
  while (bytes-- > 0) {
    assert_int_equal(truncate(path, (off_t)bytes), 0);
    assert_refused(*state, SINGLE ": ");
  }
}

static void trailing_bytes_are_refused(void **state) {
  const uint8_t data[GOOD_DATA_BYTES + 1] = {0};
  write_safetensors(*state, SINGLE, GOOD_HEADER, data, sizeof data);
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

// Asserts that a tensor has the bytes of its shape and that they are the written ones. Returns
// their number, or 0 if there is no such tensor.
static size_t check_tensor(const struct safetensors *checkpoint, const char *name) {
  const struct tensor *tensor = safetensors_find(checkpoint, name);
  if (!tensor)
    return 0;
  if (tensor->dtype == DTYPE_OTHER) // a changed dtype has the bytes that it had
    return tensor->bytes;
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

// True if the checkpoint could be opened and every dtype is one of a weight.
static bool check_damaged(const char *folder) {
  static const char *const names[] = {"a", "b", "c", "d", "e"};
  struct safetensors *checkpoint;
  struct error err;
  if (!safetensors_open(&checkpoint, folder, &err)) {
    assert_null(checkpoint);
    assert_non_null(strstr(err.text, SINGLE));
    return false;
  }
  size_t total = 0;
  bool known = true;
  for (size_t i = 0; i < COUNT(names); i++) {
    const struct tensor *tensor = safetensors_find(checkpoint, names[i]);
    total += check_tensor(checkpoint, names[i]);
    known = known && (!tensor || tensor->dtype != DTYPE_OTHER);
  }
  assert_in_range(total, GOOD_DATA_BYTES - 12, GOOD_DATA_BYTES); // one name may have changed
  safetensors_close(checkpoint);
  return known;
}

static void every_flipped_bit_is_refused_or_consistent(void **state) {
  size_t header_bits = 8 * (8 + strlen(GOOD_HEADER)), survivors = 0;
  char path[PATH_BYTES];
  path_in(path, *state, SINGLE);
  write_safetensors(*state, SINGLE, GOOD_HEADER, GOOD_DATA, GOOD_DATA_BYTES);
  for (size_t bit = 0; bit < header_bits; bit++) {
    flip_bit(path, bit);
    survivors += check_damaged(*state);
    flip_bit(path, bit);
  }
  // Changes in names, in __metadata__, to a dtype of the same size and to the 7 of 0 x 7 survive.
  assert_in_range(survivors, 1, header_bits / 10);
}

struct bad_header {
  const char *header;
  const char *want;
};

#define TENSOR(name, dtype, shape, offsets)                                                        \
  "\"" name "\":{\"dtype\":" dtype ",\"shape\":" shape ",\"data_offsets\":" offsets "}"

// 8 bytes of data come after each.
static const struct bad_header BAD_HEADERS[] = {
    {"", "want a header that begins with {, found none"},
    {"[]", "want a header that begins with {, found 0x5b"},
    {" {}", "want a header that begins with {, found 0x20"},
    {"\xef\xbb\xbf{}", "want a header that begins with {, found 0xef"},
    {"{", "want a header that ends in } and spaces, found 0x7b"},
    {"{} x", "want a header that ends in } and spaces, found 0x78"},
    {"{}\n", "want a header that ends in } and spaces, found 0x0a"},
    {"{}\t ", "want a header that ends in } and spaces, found 0x09"},
    {"{} }", "want JSON in its header"},
    {"{{}", "want JSON in its header"},
    {"{\"__metadata__\":3}", "__metadata__: want an object of strings, found 3"},
    {"{\"__metadata__\":null}", "__metadata__: want an object of strings, found null"},
    {"{\"__metadata__\":[\"a\"]}", "__metadata__: want an object of strings, found [\"a\"]"},
    {"{\"__metadata__\":{\"a\":\"b\",\"c\":1}}",
     "__metadata__: want an object of strings, found {\"a\":\"b\",\"c\":1}"},
    {"{\"__metadata__\":{\"a\":{\"b\":\"c\"}}}", "__metadata__: want an object of strings"},
    {"{\"__metadata__\":{\"a\":\"b\",\"a\":\"c\"}}", "duplicate"},
    {"{}", "want 0 bytes of data for its tensors, found 8"},
    {"{\"a\":1}", "a: want an object, found 1"},
    {"{" TENSOR("a", "\"F32\"", "[2]", "[0,8]") "," TENSOR("a", "\"F32\"", "[2]", "[0,8]") "}",
     "duplicate"},
    {"{" TENSOR("a", "7", "[1]", "[0,8]") "}", "a: want the name of a dtype, found 7"},
    {"{\"a\":{\"shape\":[2],\"data_offsets\":[0,8]}}",
     "a: want the name of a dtype, found nothing"},
    {"{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,8]}}", "found nothing"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", "found nothing"},
    {"{" TENSOR("a", "\"F32\"", "[1,1,1,1,3]", "[0,8]") "}",
     "a: want 12 bytes for its dtype and shape, found 8 in its data_offsets"},
    {"{" TENSOR("a", "\"F32\"", "[1,1,1,1,2,-1]", "[0,8]") "}",
     "a: want a shape of sizes that fit"},
    {"{" TENSOR("a", "\"F32\"", "2", "[0,8]") "}", "a: want a shape of numbers, found 2"},
    {"{" TENSOR("a", "\"F32\"", "{}", "[0,8]") "}", "a: want a shape of numbers, found {}"},
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
    {"{" TENSOR("line\\nbreak", "7", "[1]", "[0,8]") "}", "line?break: want the name of a dtype"},
    {"{" TENSOR("a", "\"F4\"", "[17]", "[0,8]") "}",
     "a: want a shape of whole bytes, found 68 bits"},
    {"{" TENSOR("a", "\"F6_E2M3\"", "[11]", "[0,8]") "}",
     "a: want a shape of whole bytes, found 66 bits"},
    {"{" TENSOR("a", "\"F6_E3M2\"", "[12]", "[0,8]") "}",
     "a: want 9 bytes for its dtype and shape, found 8 in its data_offsets"},
    {"{" TENSOR("a", "\"I64\"", "[2]", "[0,8]") "}", "a: want 16 bytes for its dtype and shape"},
    {"{" TENSOR("a", "\"C64\"", "[2]", "[0,8]") "}", "a: want 16 bytes for its dtype and shape"},
    {"{" TENSOR("a", "\"F4\"", "[4611686018427387904]", "[0,8]") "}", "sizes that fit in memory"},
    {"{" TENSOR("a", "\"F99\"", "[4294967296,4294967296]", "[0,8]") "}", "sizes that fit"},
    {"{" TENSOR("a", "\"F99\"", "[1]", "[0,9]") "}", "a: want data_offsets within 8 bytes"},
    {"{" TENSOR("a", "\"F99\"", "[1]", "[0,5]") "," TENSOR("b", "\"F32\"", "[1]", "[4,8]") "}",
     "b: want it to begin at data byte 5, found 4"},
    {"{" TENSOR("a", "\"F99\"", "[1]", "[0,5]") "}",
     "want 5 bytes of data for its tensors, found 8"},
    {"{" TENSOR("nul\\u0000", "\"F32\"", "[2]", "[0,8]") "}", "want JSON"},
};

static void bad_headers_are_refused(void **state) {
  for (size_t i = 0; i < COUNT(BAD_HEADERS); i++) {
    write_safetensors(*state, SINGLE, BAD_HEADERS[i].header, GOOD_DATA, 8);
    assert_refused(*state, BAD_HEADERS[i].want);
  }
}

static void deep_json_is_refused(void **state) {
  enum { DEPTH = 100000 };
  char *header = malloc(DEPTH + 6);
  assert_non_null(header);
  memset(header, '[', DEPTH + 5);
  memcpy(header, "{\"a\":", 5);
  strcpy(header + DEPTH + 4, "}");
  write_safetensors(*state, SINGLE, header, GOOD_DATA, 0);
  free(header);
  assert_refused(*state, "want JSON in its header");
}

static void wrong_lengths_of_a_header_are_refused(void **state) {
  static const uint64_t lengths[] = {UINT64_MAX,     UINT64_C(1) << 63, (UINT64_C(1) << 63) - 1,
                                     UINT64_MAX - 7, 8388609,           3};
  for (size_t i = 0; i < COUNT(lengths); i++) {
    write_lying_safetensors(*state, SINGLE, lengths[i], "{}", NULL, 0);
    char want[128];
    snprintf(want, sizeof want, "want a header of at most 2 bytes, found a length of %" PRIu64,
             lengths[i]);
    assert_refused(*state, want);
  }
}

// The file is large enough, as a hole, but no header may be that long.
static void a_long_header_is_refused(void **state) {
  char path[PATH_BYTES];
  write_lying_safetensors(*state, SINGLE, 8388609, "", NULL, 0);
  path_in(path, *state, SINGLE);
  assert_int_equal(truncate(path, 100000100), 0);
  assert_refused(*state, "want a header of at most 8388608 bytes, found a length of 8388609");
}

static void folders_without_files_are_refused(void **state) {
  char path[PATH_BYTES];
  assert_refused(*state, "want model.safetensors or model.safetensors.index.json");
  assert_refused("no/such/folder", "no/such/folder: No such file or directory");
  path_in(path, *state, SINGLE);
  assert_int_equal(mkdir(path, 0700), 0);
  assert_refused(*state, SINGLE ": want a regular file");
  assert_int_equal(rmdir(path), 0);
  assert_int_equal(mkfifo(path, 0600), 0);
  assert_refused(*state, SINGLE ": want a regular file");
}

// Every type of version 0.6 of the safetensors library, with a shape of 24 bytes; and types that
// only a later one could have.
static const struct {
  const char *dtype, *shape;
} OTHERS[] = {
    {"BOOL", "[24]"},         {"F4", "[48]"},
    {"F6_E2M3", "[32]"},      {"F6_E3M2", "[4,8]"},
    {"U8", "[24]"},           {"I8", "[2,12]"},
    {"F8_E5M2", "[24]"},      {"F8_E4M3", "[24]"},
    {"F8_E8M0", "[24]"},      {"I16", "[12]"},
    {"U16", "[12]"},          {"F16", "[12]"},
    {"BF16", "[12]"},         {"I32", "[6]"},
    {"U32", "[6]"},           {"F32", "[6]"},
    {"C64", "[3]"},           {"F64", "[3]"},
    {"I64", "[3]"},           {"U64", "[3]"},
    {"F64", "[1,1,1,3]"},     {"I64", "[1,1,1,1,3]"},
    {"F32", "[1,2,1,3,1,1]"}, {"F7_NEW", "[5]"},
    {"INT4", "[7,7,7,7,7]"},  {"", "[]"},
};

// The tensors of no weight change nothing in those around them.
static void every_dtype_and_rank_is_read(void **state) {
  uint8_t data[32] = {1, 2, 3, 4};
  data[28] = 7;
  for (size_t i = 0; i < COUNT(OTHERS); i++) {
    char header[512];
    snprintf(
        header, sizeof header,
        "{" TENSOR("a", "\"F32\"", "[1]",
                   "[0,4]") ","
                            "\"o\":{\"dtype\":\"%s\",\"shape\":%s,\"data_offsets\":[4,28]}," TENSOR(
                                "z", "\"F32\"", "[1]", "[28,32]") "}",
        OTHERS[i].dtype, OTHERS[i].shape);
    write_safetensors(*state, SINGLE, header, data, sizeof data);
    struct safetensors *checkpoint = open_safetensors(*state);
    const struct tensor *other = safetensors_find(checkpoint, "o");
    assert_string_equal(tensor_dtype_name(other), OTHERS[i].dtype);
    assert_int_equal(other->bytes, 24);
    assert_memory_equal(safetensors_find(checkpoint, "a")->data, data, 4);
    assert_int_equal(*safetensors_find(checkpoint, "z")->data, 7);
    safetensors_close(checkpoint);
  }
}

static void empty_tensors_are_read(void **state) {
  write_safetensors(*state, SINGLE,
                    "{" TENSOR("a", "\"F32\"", "[0]", "[0,0]") "," TENSOR(
                        "b", "\"I64\"", "[5,0,7,1,1]",
                        "[0,0]") "," TENSOR("c", "\"F32\"", "[]",
                                            "[0,4]") "," TENSOR("d", "\"F4\"", "[0]", "[4,4]") "}",
                    GOOD_DATA, 4);
  struct safetensors *checkpoint = open_safetensors(*state);
  assert_int_equal(safetensors_find(checkpoint, "b")->bytes, 0);
  assert_int_equal(safetensors_find(checkpoint, "b")->rank, 5);
  assert_int_equal(safetensors_find(checkpoint, "c")->bytes, 4);
  safetensors_close(checkpoint);
}

static void a_header_may_have_no_tensors(void **state) {
  write_safetensors(*state, SINGLE, "{\"__metadata__\":{\"format\":\"pt\",\"\":\"\"}}     ", NULL,
                    0);
  safetensors_close(open_safetensors(*state));
}

// A tensor that is looked up must have the shape and a dtype of a weight.
static void a_dtype_of_no_weight_is_named(void **state) {
  char want[PATH_BYTES + 64];
  write_safetensors(
      *state, SINGLE,
      "{" TENSOR("a", "\"F8_E4M3\"", "[4]", "[0,4]") "," TENSOR(
          "b", "\"U8\"", "[1,1,1,1,4]", "[4,8]") "," TENSOR("c", "\"BF16\"", "[2]", "[8,12]") "}",
      GOOD_DATA, 12);
  struct safetensors *checkpoint = open_safetensors(*state);
  const struct tensor *a = safetensors_find(checkpoint, "a"),
                      *b = safetensors_find(checkpoint, "b");
  const struct tensor *c = safetensors_find(checkpoint, "c");
  struct error err;
  const char *const folder = *state;
  assert_false(tensor_check_dtype(a, false, &err));
  snprintf(want, sizeof want, "%s/%s: a: want dtype BF16, F16 or F32, found F8_E4M3", folder,
           SINGLE);
  assert_string_equal(err.text, want);
  assert_false(tensor_check_dtype(a, true, &err));
  assert_contains(err.text, ": a: want dtype U8, found F8_E4M3");
  assert_false(tensor_check_dtype(b, false, &err));
  assert_contains(err.text, ": b: want dtype BF16, F16 or F32, found U8");
  assert_false(tensor_check_dtype(c, true, &err));
  assert_contains(err.text, ": c: want dtype U8, found BF16");
  assert_true(tensor_check_dtype(b, true, &err) && tensor_check_dtype(c, false, &err));
  assert_null(safetensors_require(checkpoint, "b", 4, (int64_t[]){1, 1, 1, 1}, &err));
  assert_contains(err.text, ": b: want shape [1, 1, 1, 1], found [1, 1, 1, 1, ...]");
  safetensors_close(checkpoint);
}

#define ONE "{" TENSOR("a", "\"U8\"", "[3]", "[0,3]") "," TENSOR("b", "\"U8\"", "[1]", "[3,4]") "}"
#define TWO "{" TENSOR("c", "\"F32\"", "[1]", "[0,4]") "}"
#define WEIGHT_MAP(map) "{\"metadata\":{\"total_size\":8},\"weight_map\":" map "}"

static const char GOOD_INDEX[] =
    WEIGHT_MAP("{\"c\":\"two.safetensors\",\"a\":\"one.safetensors\",\"b\":\"one.safetensors\"}");

static void shards_are_read(void **state) {
  write_safetensors(*state, "one.safetensors", ONE, GOOD_DATA, 4);
  write_safetensors(*state, "two.safetensors", TWO, GOOD_DATA, 4);
  write_text(*state, INDEX, GOOD_INDEX);
  struct safetensors *checkpoint = open_safetensors(*state);
  assert_int_equal(safetensors_find(checkpoint, "a")->bytes, 3);
  assert_int_equal(*safetensors_find(checkpoint, "b")->data, GOOD_DATA[3]);
  assert_int_equal(safetensors_find(checkpoint, "c")->dtype, DTYPE_F32);
  safetensors_close(checkpoint);

  write_safetensors(*state, SINGLE, GOOD_HEADER, GOOD_DATA,
                    GOOD_DATA_BYTES); // is used before the index
  checkpoint = open_safetensors(*state);
  assert_int_equal(safetensors_find(checkpoint, "b")->bytes, 12);
  safetensors_close(checkpoint);
}

// ---- shards that no index lists ----

static void write_shard(const char *folder, const char *name, const char *tensor) {
  char header[128], file[128];
  snprintf(header, sizeof header,
           "{\"%s\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}}", tensor);
  snprintf(file, sizeof file, "%s.safetensors", name);
  write_safetensors(folder, file, header, GOOD_DATA, 4);
}

static void remove_files(const char *folder) {
  void *again = strdup(folder);
  assert_int_equal(remove_folder(&again), 0);
  assert_int_equal(mkdir(folder, 0700), 0);
}

// Files with one tensor each, "0", "1", ...; all tensors must be found.
static const char *const SETS[][4] = {
    {"model-00001-of-00001"},
    {"model-00000-of-00000"},
    {"model-00001-of-00002", "model-00002-of-00002"},
    {"model-00000-of-00002", "model-00001-of-00002", "model-00002-of-00002"},
    {"model--00001-of-00002", "model--00002-of-00002"},
    {"model-1-of-3", "model-2-of-3", "model-3-of-3"},
    {"pytorch_model-00001-of-00002", "pytorch_model-00002-of-00002"},
    {"a-1-of-b-00001-of-00002", "a-1-of-b-00002-of-00002"},
    {"pytorch_model"},
    {"model-of-mine"},
    {"model-00001-of-"},
};

static void shards_are_found_by_their_names(void **state) {
  for (size_t i = 0; i < COUNT(SETS); i++) {
    char tensor[2] = "0";
    for (size_t f = 0; f < COUNT(SETS[i]) && SETS[i][f]; f++, tensor[0]++)
      write_shard(*state, SETS[i][f], tensor);
    struct safetensors *checkpoint = open_safetensors(*state);
    while (tensor[0]-- > '0')
      assert_non_null(safetensors_find(checkpoint, tensor));
    safetensors_close(checkpoint);
    remove_files(*state);
  }
}

static void shards_of_a_model_are_preferred(void **state) {
  write_shard(*state, "model-00001-of-00002", "0");
  write_shard(*state, "model-00002-of-00002", "1");
  write_shard(*state, "adapter_model", "x");
  write_shard(*state, "extra-00001-of-00009", "x");
  write_shard(*state, "._model-00001-of-00002", "x");
  write_text(*state, "model-00003-of-00002.txt", "");
  struct safetensors *checkpoint = open_safetensors(*state);
  assert_non_null(safetensors_find(checkpoint, "1"));
  assert_null(safetensors_find(checkpoint, "x"));
  safetensors_close(checkpoint);
}

#define ASKED ": want model.safetensors or model.safetensors.index.json in it, found "
#define END(name) name ".safetensors"

static const struct {
  const char *names[8], *want;
} BAD_SETS[] = {
    {{NULL}, ASKED "neither"},
    {{"model-00001-of-00002"},
     ": want 2 shards in it, found 1 of them, without " END("model-00002-of-00002")},
    {{"model-00002-of-00002"},
     ": want 2 shards in it, found 1 of them, without " END("model-00001-of-00002")},
    {{"model-00000-of-00002", "model-00002-of-00002"},
     ": want 3 shards in it, found 2 of them, without " END("model-00001-of-00002")},
    {{"model--00003-of-00003"},
     ": want 3 shards in it, found 1 of them, without " END("model--00001-of-00003") ", " END(
         "model--00002-of-00003")},
    {{"model-00007-of-00010"},
     ": want 10 shards in it, found 1 of them, without " END("model-00001-of-00010") ", " END(
         "model-00002-of-00010") ", " END("model-00003-of-00010") ", " END("model-00004-of-"
                                                                           "00010") " and 5 "
                                                                                    "more"},
    {{"model-00001-of-99999999"}, "want 99999999 shards in it, found 1 of them, without "},
    {{"model-00001-of-00001", "model-00002-of-00001"},
     "/model-00002-of-00001.safetensors: want a shard with a number up to 1, found one above "
     "it"},
    {{"model-00001-of-00002", "model-2-of-2"},
     ASKED END("model-2-of-2") ", " END("model-00001-of-00002")},
    {{"model-00001-of-00002", "model-00002-of-2"},
     ASKED END("model-00001-of-00002") ", " END("model-00002-of-2")},
    {{"model-00001-of-00001", "model--00001-of-00001"},
     ASKED END("model-00001-of-00001") ", " END("model--00001-of-00001")},
    {{"a", "b"}, ASKED END("a") ", " END("b")},
    {{"a", "b", "c", "d", "e", "f"},
     ASKED END("a") ", " END("b") ", " END("c") ", " END("d") " and 2 more"},
};

static void other_sets_are_refused(void **state) {
  for (size_t i = 0; i < COUNT(BAD_SETS); i++) {
    char tensor[2] = "0";
    for (const char *const *name = BAD_SETS[i].names; *name; name++, tensor[0]++)
      write_shard(*state, *name, tensor);
    assert_refused(*state, BAD_SETS[i].want);
    remove_files(*state);
  }
}

static void a_tensor_in_two_shards_is_refused(void **state) {
  write_shard(*state, "model-00001-of-00002", "same");
  write_shard(*state, "model-00002-of-00002", "same");
  assert_refused(*state, ".safetensors: same: want it in one file, found it in model-0000");
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

static void bad_indexes_are_refused(void **state) {
  write_safetensors(*state, "one.safetensors", ONE, GOOD_DATA, 4);
  write_safetensors(*state, "two.safetensors", TWO, GOOD_DATA, 4);
  for (size_t i = 0; i < COUNT(BAD_INDEXES); i++) {
    write_text(*state, INDEX, BAD_INDEXES[i].header);
    assert_refused(*state, BAD_INDEXES[i].want);
  }
  write_text(*state, INDEX, GOOD_INDEX);
  write_safetensors(*state, "two.safetensors", ONE, GOOD_DATA,
                    4); // has the same names as the first shard
  assert_refused(*state, "two.safetensors: a: want it to be in one.safetensors");
}

static void a_real_sharded_checkpoint_is_read(void **state) {
  (void)state;
  struct safetensors *checkpoint = open_safetensors(MODELS "rand_mxfp4");
  struct error err;
  const int64_t blocks[] = {5, 192, 4, 16}, embedding[] = {515, 128};
  const struct tensor *tensor = safetensors_require(
      checkpoint, "model.layers.2.mlp.experts.gate_up_proj_blocks", 4, blocks, &err);
  assert_non_null(tensor);
  assert_int_equal(tensor->dtype, DTYPE_U8);
  assert_int_equal(tensor->bytes, 61440);
  assert_non_null(safetensors_require(checkpoint, "model.embed_tokens.weight", 2, embedding, &err));
  safetensors_close(checkpoint);
}

// Also a piece of memory that is no map.
static void pieces_are_read_from_the_file(void **state) {
  (void)state;
  struct safetensors *checkpoint = open_safetensors(MODELS "abacus");
  const struct tensor *tensor = safetensors_find(checkpoint, "lm_head.weight");
  uint8_t *copy = malloc(tensor->bytes);
  assert_non_null(copy);
  pages_read(copy, tensor->data + 1, tensor->bytes - 1);
  assert_memory_equal(copy, tensor->data + 1, tensor->bytes - 1);
  pages_copy(copy, tensor->data, tensor->bytes);
  assert_memory_equal(copy, tensor->data, tensor->bytes);
  pages_read(copy, copy + 100, 100);
  assert_memory_equal(copy, tensor->data + 100, 100);
  free(copy);
  safetensors_close(checkpoint);
}

static void released_tensors_read_the_same(void **state) {
  (void)state;
  struct safetensors *checkpoint = open_safetensors(MODELS "abacus");
  const struct tensor *tensor = safetensors_find(checkpoint, "lm_head.weight");
  uint8_t *copy = malloc(tensor->bytes);
  assert_non_null(copy);
  memcpy(copy, tensor->data, tensor->bytes);
  pages_release(tensor->data, tensor->bytes);
  tensor = safetensors_find(checkpoint, "model.norm.weight");
  pages_release(tensor->data, tensor->bytes); // less than a page
  tensor = safetensors_find(checkpoint, "lm_head.weight");
  assert_memory_equal(copy, tensor->data, tensor->bytes);
  pages_release(copy, tensor->bytes); // no map, so it stays
  assert_memory_equal(copy, tensor->data, tensor->bytes);
  free(copy);
  safetensors_close(checkpoint);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      IN_FOLDER(a_file_is_read),
      IN_FOLDER(another_shape_is_refused),
      IN_FOLDER(every_truncation_is_refused),
      IN_FOLDER(trailing_bytes_are_refused),
      IN_FOLDER(every_flipped_bit_is_refused_or_consistent),
      IN_FOLDER(bad_headers_are_refused),
      IN_FOLDER(every_dtype_and_rank_is_read),
      IN_FOLDER(empty_tensors_are_read),
      IN_FOLDER(a_header_may_have_no_tensors),
      IN_FOLDER(a_dtype_of_no_weight_is_named),
      IN_FOLDER(deep_json_is_refused),
      IN_FOLDER(wrong_lengths_of_a_header_are_refused),
      IN_FOLDER(a_long_header_is_refused),
      IN_FOLDER(folders_without_files_are_refused),
      IN_FOLDER(shards_are_read),
      IN_FOLDER(bad_indexes_are_refused),
      IN_FOLDER(shards_are_found_by_their_names),
      IN_FOLDER(shards_of_a_model_are_preferred),
      IN_FOLDER(other_sets_are_refused),
      IN_FOLDER(a_tensor_in_two_shards_is_refused),
      cmocka_unit_test(a_real_sharded_checkpoint_is_read),
      cmocka_unit_test(pieces_are_read_from_the_file),
      cmocka_unit_test(released_tensors_read_the_same),
  };
  return cmocka_run_group_tests_name("safetensors", tests, NULL, NULL);
}
