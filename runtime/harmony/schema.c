#include "harmony/schema.h"

#include "base/json.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_NESTED = 32 };

// How deep an object or array is nested, and the indentation of its properties.
struct nesting {
  int depth;
  size_t indent;
};

static bool out_of_memory(const struct schema_writer *writer) {
  return fail(writer->err, "%s: out of memory for a list of functions", writer->path);
}

// A message with a part missing is better than none, so memory that runs out is ignored here.
size_t schema_enter(struct schema_writer *writer, const char *part) {
  const size_t bytes = writer->key.n;
  if (bytes > 0 && part[0] != '[')
    buffer_add_text(&writer->key, ".");
  buffer_add_text(&writer->key, part);
  return bytes;
}

void schema_leave(struct schema_writer *writer, size_t key_bytes) {
  writer->key.n = key_bytes;
  if (writer->key.bytes)
    writer->key.bytes[key_bytes] = 0;
}

bool schema_refuse(const struct schema_writer *writer, const char *want, const json_t *found) {
  return json_refuse(writer->path, writer->key.bytes ? writer->key.bytes : "", want, found,
                     writer->err);
}

static bool write_bytes(struct schema_writer *writer, const char *bytes, size_t n) {
  return buffer_add(&writer->text, bytes, n) ? true : out_of_memory(writer);
}

bool schema_write(struct schema_writer *writer, const char *text) {
  return write_bytes(writer, text, strlen(text));
}

static bool write_indent(struct schema_writer *writer, size_t indent) {
  for (size_t i = 0; i < indent; i++)
    if (!schema_write(writer, " "))
      return false;
  return true;
}

bool schema_write_description(struct schema_writer *writer, const json_t *description,
                              size_t indent) {
  if (!description || json_is_null(description))
    return true;
  if (!json_is_string(description)) {
    const size_t key = schema_enter(writer, "description");
    schema_refuse(writer, "a string", description);
    schema_leave(writer, key);
    return false;
  }
  for (const char *line = json_string_value(description); *line;) {
    const size_t n = strcspn(line, "\n");
    const size_t shown = n > 0 && line[n - 1] == '\r' ? n - 1 : n;
    if (!write_indent(writer, indent) || !schema_write(writer, "// ") ||
        !write_bytes(writer, line, shown) || !schema_write(writer, "\n"))
      return false;
    line += line[n] ? n + 1 : n;
  }
  return true;
}

// ---- values ----

// A value as JSON, with as few digits as a number needs. NULL when memory runs out. The caller
// frees it.
static char *dump(const json_t *value) {
  char *text = NULL;
  bool same = false;
  for (size_t digits = 15; digits <= 17 && !same; digits++) {
    free(text);
    text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(digits));
    json_t *back = text ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;
    same = back && json_equal(back, value);
    json_decref(back);
  }
  return text;
}

static bool write_value(struct schema_writer *writer, const json_t *value) {
  char *text = dump(value);
  const bool ok = text ? schema_write(writer, text) : out_of_memory(writer);
  free(text);
  return ok;
}

static bool has_enum(const json_t *schema) {
  return json_array_size(json_object_get(schema, "enum")) > 0;
}

static bool write_default(struct schema_writer *writer, const json_t *schema) {
  const json_t *value = json_object_get(schema, "default");
  if (!value)
    return true;
  if (!schema_write(writer, " // default: "))
    return false;
  return json_is_string(value) && has_enum(schema) ? schema_write(writer, json_string_value(value))
                                                   : write_value(writer, value);
}

// ---- types ----

static bool write_type(struct schema_writer *writer, const json_t *schema, struct nesting nesting);

static bool is_required(const json_t *schema, const char *name) {
  const json_t *required = json_object_get(schema, "required");
  for (size_t i = 0; i < json_array_size(required); i++) {
    const char *each = json_string_value(json_array_get(required, i));
    if (each && strcmp(each, name) == 0)
      return true;
  }
  return false;
}

static bool write_property(struct schema_writer *writer, const json_t *schema, const char *name,
                           const json_t *property, struct nesting nesting) {
  return schema_write_description(writer, json_object_get(property, "description"),
                                  nesting.indent) &&
         write_indent(writer, nesting.indent) && schema_write(writer, name) &&
         schema_write(writer, is_required(schema, name) ? ": " : "?: ") &&
         write_type(writer, property, (struct nesting){nesting.depth + 1, nesting.indent + 4}) &&
         schema_write(writer, ",") && write_default(writer, property) && schema_write(writer, "\n");
}

static bool write_properties(struct schema_writer *writer, const json_t *schema,
                             struct nesting nesting) {
  json_t *properties = json_object_get(schema, "properties"), *property;
  const char *name;
  bool ok = true;
  const size_t key = schema_enter(writer, "properties");
  if (properties && !json_is_object(properties))
    ok = schema_refuse(writer, "an object of schemas", properties);
  if (ok)
    json_object_foreach(properties, name, property) {
      const size_t own = schema_enter(writer, name);
      ok = write_property(writer, schema, name, property, nesting);
      schema_leave(writer, own);
      if (!ok)
        break;
    }
  schema_leave(writer, key);
  return ok;
}

static bool write_object(struct schema_writer *writer, const json_t *schema,
                         struct nesting nesting) {
  return schema_write(writer, "{\n") && write_properties(writer, schema, nesting) &&
         write_indent(writer, nesting.indent) && schema_write(writer, "}");
}

static bool write_array(struct schema_writer *writer, const json_t *schema,
                        struct nesting nesting) {
  const json_t *items = json_object_get(schema, "items");
  if (!items)
    return schema_write(writer, "Array<any>");
  const size_t key = schema_enter(writer, "items");
  const bool ok = write_type(writer, items, (struct nesting){nesting.depth + 1, nesting.indent});
  schema_leave(writer, key);
  return ok && schema_write(writer, "[]");
}

// A string, or the strings that it may be.
static bool write_string(struct schema_writer *writer, const json_t *schema) {
  const json_t *values = json_object_get(schema, "enum");
  bool any = false;
  for (size_t i = 0; i < json_array_size(values); i++) {
    const json_t *value = json_array_get(values, i);
    if (!json_is_string(value))
      continue;
    if ((any && !schema_write(writer, " | ")) || !write_value(writer, value))
      return false;
    any = true;
  }
  return any ? true : schema_write(writer, "string");
}

static bool refuse_type(struct schema_writer *writer, const json_t *type) {
  const size_t key = schema_enter(writer, "type");
  schema_refuse(writer, "a type or a list of types", type);
  schema_leave(writer, key);
  return false;
}

static bool write_list_of_types(struct schema_writer *writer, const json_t *types) {
  for (size_t i = 0; i < json_array_size(types); i++) {
    const char *type = json_string_value(json_array_get(types, i));
    if (!type)
      return refuse_type(writer, types);
    if ((i > 0 && !schema_write(writer, " | ")) ||
        !schema_write(writer, strcmp(type, "integer") == 0 ? "number" : type))
      return false;
  }
  return json_array_size(types) > 0 ? true : schema_write(writer, "any");
}

static bool write_named_type(struct schema_writer *writer, const json_t *schema, const char *type,
                             struct nesting nesting) {
  if (strcmp(type, "object") == 0)
    return write_object(writer, schema, nesting);
  if (strcmp(type, "array") == 0)
    return write_array(writer, schema, nesting);
  if (strcmp(type, "string") == 0)
    return write_string(writer, schema);
  if (strcmp(type, "number") == 0 || strcmp(type, "integer") == 0)
    return schema_write(writer, "number");
  return schema_write(writer, strcmp(type, "boolean") == 0 ? "boolean" : "any");
}

static bool lists_null(const json_t *types) {
  for (size_t i = 0; i < json_array_size(types); i++) {
    const char *type = json_string_value(json_array_get(types, i));
    if (type && strcmp(type, "null") == 0)
      return true;
  }
  return false;
}

static bool write_type(struct schema_writer *writer, const json_t *schema, struct nesting nesting) {
  const json_t *type = json_object_get(schema, "type");
  if (!json_is_object(schema))
    return schema_refuse(writer, "a schema", schema);
  if (nesting.depth > MOST_NESTED)
    return fail(writer->err, "%s: %.200s: want schemas nested at most %d deep, found more",
                writer->path, writer->key.bytes ? writer->key.bytes : "", MOST_NESTED);
  bool ok;
  if (json_is_string(type))
    ok = write_named_type(writer, schema, json_string_value(type), nesting);
  else if (json_is_array(type))
    ok = write_list_of_types(writer, type);
  else
    ok = type ? refuse_type(writer, type) : schema_write(writer, "any");
  const bool nullable = json_is_true(json_object_get(schema, "nullable")) && !lists_null(type);
  return ok && (!nullable || schema_write(writer, " | null"));
}

bool schema_write_object(struct schema_writer *writer, const json_t *schema) {
  return write_object(writer, schema, (struct nesting){0});
}
