// Reads JSON files, and writes messages that name the file, the key and the value found.
#ifndef GETP_BASE_JSON_H
#define GETP_BASE_JSON_H

#include "base/error.h"

#include <jansson.h>

// JSON takes up to 45 times its size in memory: `[[],[],...`. The largest of these files is the
// index of a checkpoint with one file per tensor.
enum { JSON_MAX_BYTES = 8 << 20 };

// Reads a file or a pipe of at most JSON_MAX_BYTES whose root is an object or an array. Returns
// NULL with a message if it is not JSON, or if an object has a key twice. The caller calls
// json_decref.
json_t *json_read(const char *path, struct error *err);

// An open file of a checkpoint folder, whose root is an object. A zeroed one is closed.
struct json_file {
  char *path; // DIRECTORY/NAME, for messages
  json_t *root;
};

// Reads DIRECTORY/NAME. Refuses a file that is not regular, is too large, is not JSON, whose root
// is no object, or in which an object has a key twice. After a failure *file is closed.
bool json_file_open(struct json_file *file, const char *directory, const char *name,
                    struct error *err);
void json_file_close(struct json_file *file);

// Finds out if there is a DIRECTORY/NAME, as file_exists does.
bool json_file_exists(bool *exists, const char *directory, const char *name, struct error *err);

// Fails with "PATH: KEY: want WANT, found FOUND". FOUND is the value as JSON, cut to a readable
// length, or "nothing" if `found` is NULL.
bool json_refuse(const char *path, const char *key, const char *want, const json_t *found,
                 struct error *err);

#endif
