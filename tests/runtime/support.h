// Helpers of the C unit tests: files in a scratch folder, reference models, comparisons. Includes
// cmocka.h and what it needs. Tests run in the root of the repository.
#ifndef GETP_TESTS_SUPPORT_H
#define GETP_TESTS_SUPPORT_H

#include "base/error.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/config.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

// cmocka's macro `fail` would hide the function of error.h.
#undef fail
#undef fail_msg
#define fail_msg(...) (print_error(__VA_ARGS__), print_error("\n"), _fail(__FILE__, __LINE__))

#define COUNT(array) (sizeof(array) / sizeof *(array))

// ---- files ----

// A new scratch folder. The caller frees its name.
char *new_folder(void);

// A setup that makes *state a new scratch folder, and its teardown, which removes it with its
// files.
int make_folder(void **state);
int remove_folder(void **state);
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

// FOLDER/NAME.
enum { PATH_BYTES = 256 };
void path_in(char path[static PATH_BYTES], const char *folder, const char *name);

void write_file(const char *folder, const char *name, const void *bytes, size_t n);
void write_text(const char *folder, const char *name, const char *text);

// Writes a text with " for each '.
void write_quoted(const char *folder, const char *name, const char *text);

// Writes a safetensors file: the length of the header in 8 bytes, the header, the data.
// write_lying_safetensors writes another length.
void write_safetensors(const char *folder, const char *name, const char *header, const void *data,
                       size_t data_bytes);
void write_lying_safetensors(const char *folder, const char *name, uint64_t length,
                             const char *header, const void *data, size_t data_bytes);

// Asserts that a file has exactly this text, or that there is none.
void assert_file(const char *folder, const char *name, const char *text);
void assert_no_file(const char *folder, const char *name);

// ---- models ----

#define MODELS "tests/models/"

// Read the config of a checkpoint, open the checkpoint, read a JSON file, a file of floats, the ids
// in a JSON array. They fail the test where they cannot. The caller frees what they return.
struct model_config read_config(const char *folder);
struct checkpoint *open_checkpoint(const char *folder);
json_t *read_json(const char *path);
float *read_floats(const char *path, size_t *n);
int32_t *read_ids(const json_t *array, size_t *n);

// ---- texts and numbers ----

// Asserts that a text contains another.
void assert_contains(const char *text, const char *want);

// The next number in [0, n) of a fixed sequence (Knuth's MMIX generator).
unsigned random_below(uint64_t *seed, unsigned n);

#endif
