#include "harmony/tools.h"

#include "base/json.h"
#include "harmony/schema.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_NAME_BYTES = 64 };

static const char NAMESPACE[] = "functions.";

static bool is_name(const char *name) {
  const size_t n = strlen(name);
  return 0 < n && n <= MOST_NAME_BYTES &&
         strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == n;
}

static bool has_name(const struct tools *tools, const char *name) {
  for (size_t i = 0; i < tools->n; i++)
    if (strcmp(tools->name[i], name) == 0)
      return true;
  return false;
}

static bool read_name(struct tools *tools, struct schema_writer *writer, const json_t *function) {
  const json_t *value = json_object_get(function, "name");
  const char *name = json_string_value(value);
  const size_t key = schema_enter(writer, "name");
  bool ok = true;
  if (!name || !is_name(name))
    ok = schema_refuse(writer, "a name of 1 to 64 letters, digits, _ and -", value);
  else if (has_name(tools, name))
    ok = schema_refuse(writer, "a name that no function before it has", value);
  schema_leave(writer, key);
  if (!ok)
    return false;
  tools->name[tools->n] = strdup(name);
  if (!tools->name[tools->n])
    return fail(writer->err, "%s: out of memory for a list of functions", writer->path);
  tools->n++;
  return true;
}

// Parameters without a type are those of an object: {} is a function without parameters.
static bool is_object_schema(const json_t *parameters) {
  const json_t *type = json_object_get(parameters, "type");
  const char *name = json_string_value(type);
  return json_is_object(parameters) && (name ? strcmp(name, "object") == 0 : !type);
}

static bool write_parameters(struct schema_writer *writer, const json_t *parameters) {
  if (!parameters || json_is_null(parameters) ||
      (json_is_object(parameters) && json_object_size(parameters) == 0))
    return schema_write(writer, " = () => any;\n\n");
  const size_t key = schema_enter(writer, "parameters");
  bool ok = is_object_schema(parameters)
                ? true
                : schema_refuse(writer, "a schema of type object", parameters);
  ok = ok && schema_write(writer, " = (_: ") && schema_write_object(writer, parameters) &&
       schema_write(writer, ") => any;\n\n");
  schema_leave(writer, key);
  return ok;
}

static bool read_function(struct tools *tools, struct schema_writer *writer,
                          const json_t *function) {
  return read_name(tools, writer, function) &&
         schema_write_description(writer, json_object_get(function, "description"), 0) &&
         schema_write(writer, "type ") && schema_write(writer, tools->name[tools->n - 1]) &&
         write_parameters(writer, json_object_get(function, "parameters"));
}

// Reads {"type": "function", "function": {...}}, or the inner object itself.
static bool read_element(struct tools *tools, struct schema_writer *writer, const json_t *element) {
  if (!json_is_object(element))
    return schema_refuse(writer, "a function", element);
  const json_t *function = json_object_get(element, "function");
  const json_t *type = json_object_get(element, "type");
  const char *name = json_string_value(type);
  if (type && (!name || strcmp(name, "function") != 0))
    return schema_refuse(writer, "a tool of type function", element);
  if (!function)
    return read_function(tools, writer, element);
  const size_t key = schema_enter(writer, "function");
  const bool ok = json_is_object(function) ? read_function(tools, writer, function)
                                           : schema_refuse(writer, "a function", function);
  schema_leave(writer, key);
  return ok;
}

static bool read_list(struct tools *tools, struct schema_writer *writer, const json_t *list) {
  bool ok = schema_write(writer, "namespace functions {\n\n");
  for (size_t i = 0; ok && i < json_array_size(list); i++) {
    char index[32];
    snprintf(index, sizeof index, "[%zu]", i);
    const size_t key = schema_enter(writer, index);
    ok = read_element(tools, writer, json_array_get(list, i));
    schema_leave(writer, key);
  }
  return ok && schema_write(writer, "} // namespace functions");
}

bool tools_from_json(struct tools *tools, const char *path, const json_t *list, struct error *err) {
  struct schema_writer writer = {.path = path, .err = err};
  *tools = (struct tools){0};
  if (!json_is_array(list))
    return fail(err, "%s: want a list of functions, found %s", path,
                json_is_object(list) ? "an object" : "something else");
  if (json_array_size(list) == 0)
    return true;
  tools->name = calloc(json_array_size(list), sizeof *tools->name);
  const bool ok = tools->name ? read_list(tools, &writer, list)
                              : fail(err, "%s: out of memory for a list of functions", path);
  free(writer.key.bytes);
  tools->text = writer.text.bytes;
  tools->bytes = writer.text.n;
  if (!ok)
    tools_free(tools);
  return ok;
}

bool tools_read(struct tools *tools, const char *path, struct error *err) {
  *tools = (struct tools){0};
  json_t *root = json_read(path, err);
  const bool ok = root && tools_from_json(tools, path, root, err);
  json_decref(root);
  return ok;
}

void tools_free(struct tools *tools) {
  for (size_t i = 0; i < tools->n; i++)
    free(tools->name[i]);
  free(tools->name);
  free(tools->text);
  *tools = (struct tools){0};
}

bool tools_have(const struct tools *tools, const char *recipient) {
  const size_t prefix = sizeof NAMESPACE - 1;
  return strncmp(recipient, NAMESPACE, prefix) == 0 && has_name(tools, recipient + prefix);
}
