// Reads JSON files, and writes messages that name the file, the key and the value found.
#ifndef GETP_BASE_JSON_H
#define GETP_BASE_JSON_H

#include "base/error.h"

#include <jansson.h>

// Reads a file or a pipe whose root is an object or an array. Returns NULL with a message if it is
// not JSON, or if an object has a key twice. The caller calls json_decref.
json_t *json_read(const char *path, struct error *err);

// An open file of a checkpoint folder, whose root is an object. A zeroed one is closed.
struct json_file {
  char *path; // DIRECTORY/NAME, for messages
  json_t *root;
};

// Reads DIRECTORY/NAME. Refuses a file that is not regular, is not JSON, whose root is no object,
// or in which an object has a key twice. After a failure *file is closed.
bool json_file_open(struct json_file *file, const char *directory, const char *name,
                    struct error *err);
void json_file_close(struct json_file *file);

// True if DIRECTORY/NAME exists, even if it cannot be read.
bool json_file_exists(const char *directory, const char *name);

// Fails with "PATH: KEY: want WANT, found FOUND". FOUND is the value as JSON, cut to a readable
// length, or "nothing" if `found` is NULL.
bool json_refuse(const char *path, const char *key, const char *want, const json_t *found,
                 struct error *err);

#endif
