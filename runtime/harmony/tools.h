// The functions that a model may call. They are read from OpenAI's JSON list of functions and
// described to the model as a TypeScript namespace.
#ifndef GETP_HARMONY_TOOLS_H
#define GETP_HARMONY_TOOLS_H

#include "base/error.h"

#include <jansson.h>
#include <stddef.h>

// A zeroed struct has no functions. Free with tools_free.
struct tools {
  char **name; // (n) of the functions, without `functions.`
  size_t n;
  char *text; // the namespace block from `namespace functions {` to its last line; NULL if n is 0
  size_t bytes;
};

// Reads a JSON file. Its root is a list; each element is {"type": "function", "function": F} or F
// itself, and F is {"name": ..., "description": ..., "parameters": ...}, of which the last two may
// be missing or null. Unknown keys are ignored. Refuses, with one line that names the file and the
// key, a root that is no list, a function without a name, a name that is not [a-zA-Z0-9_-]{1,64} or
// that occurs twice, a description that is no string, parameters that are no schema of an object,
// and schemas nested more than 32 deep. After a failure *tools is empty.
bool tools_read(struct tools *tools, const char *path, struct error *err);

// The same for a list that is a JSON value already. Messages begin with `path`.
bool tools_from_json(struct tools *tools, const char *path, const json_t *list, struct error *err);

void tools_free(struct tools *tools);

// True if a recipient is `functions.NAME` of one of the functions.
bool tools_have(const struct tools *tools, const char *recipient);

#endif
