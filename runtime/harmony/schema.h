// Writes the parameters of a function, a JSON schema, as a TypeScript type.
#ifndef GETP_HARMONY_SCHEMA_H
#define GETP_HARMONY_SCHEMA_H

#include "base/error.h"
#include "harmony/buffer.h"

#include <jansson.h>

// A text that is being written from a JSON value. Messages name `path` and the key, such as
// "[0].parameters.properties.city".
struct schema_writer {
  const char *path;
  struct buffer key;
  struct buffer text;
  struct error *err;
};

// Add a part to the key, and remove it again: schema_enter returns what schema_leave needs.
size_t schema_enter(struct schema_writer *writer, const char *part);
void schema_leave(struct schema_writer *writer, size_t key_bytes);

// Fails with a message about the value at the key.
bool schema_refuse(const struct schema_writer *writer, const char *want, const json_t *found);

// Adds text. As everywhere here, false comes with a message.
bool schema_write(struct schema_writer *writer, const char *text);

// Adds each line of a description as a comment. `description` may be NULL or null, but else must be
// a string.
bool schema_write_description(struct schema_writer *writer, const json_t *description,
                              size_t indent);

// Adds the type of an object. Its properties stand on lines of their own, in the order of the
// schema; those of an object within an object are indented by 4 more spaces. Refuses properties
// that are no schemas, and objects and arrays nested more than 32 deep.
bool schema_write_object(struct schema_writer *writer, const json_t *schema);

#endif
