// A JSON file of a checkpoint folder, and refusals that name the file, the key and what stands
// there.
#ifndef GETP_BASE_JSON_H
#define GETP_BASE_JSON_H

#include "base/error.h"

#include <jansson.h>

// One file whose root is an object; zeroed is closed.
struct json_file {
  char *path; // DIRECTORY/NAME, for messages
  json_t *root;
};

// Reads DIRECTORY/NAME. Refuses what is not a regular file, not JSON, not an object, or names a key
// twice. On failure nothing is left open.
bool json_file_open(struct json_file *file, const char *directory, const char *name,
                    struct error *err);
void json_file_close(struct json_file *file);

// True if DIRECTORY/NAME exists, be it readable or not.
bool json_file_exists(const char *directory, const char *name);

// "PATH: KEY: want WANT, found FOUND", FOUND as JSON cut to a readable length; NULL is "nothing".
bool json_refuse(const char *path, const char *key, const char *want, const json_t *found,
                 struct error *err);

#endif
