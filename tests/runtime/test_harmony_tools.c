// Lists of functions: what the model is shown, and what is refused.
#include "harmony/tools.h"

#include "support.h"

#include <stdlib.h>
#include <string.h>

// A list of functions with ' for each ".
static json_t *list_of(const char *quoted) {
  char *text = strdup(quoted);
  for (char *c = text; *c; c++)
    *c = *c == '\'' ? '"' : *c;
  json_error_t error;
  json_t *list = json_loads(text, JSON_DECODE_ANY, &error);
  if (!list)
    fail_msg("%s: %s", quoted, error.text);
  free(text);
  return list;
}

static void assert_text(const char *quoted, const char *want) {
  json_t *list = list_of(quoted);
  struct tools tools;
  struct error err;
  if (!tools_from_json(&tools, "tools.json", list, &err))
    fail_msg("%s", err.text);
  assert_string_equal(tools.text, want);
  assert_int_equal(tools.bytes, strlen(want));
  tools_free(&tools);
  json_decref(list);
}

// Asserts the type of the parameters of a function.
static void assert_type(const char *schema, const char *want) {
  char list[2048], text[2048];
  snprintf(list, sizeof list, "[{'name': 'f', 'parameters': %s}]", schema);
  snprintf(text, sizeof text,
           "namespace functions {\n\ntype f = (_: %s) => any;\n\n} // namespace functions", want);
  assert_text(list, text);
}

static void assert_property(const char *schema, const char *want) {
  char object[1024], text[1024];
  snprintf(object, sizeof object, "{'type': 'object', 'properties': {'p': %s}}", schema);
  snprintf(text, sizeof text, "{\n%s\n}", want);
  assert_type(object, text);
}

static void functions_become_a_namespace(void **state) {
  (void)state;
  static const char WANT[] = "namespace functions {\n\n"
                             "// Adds.\n// \n// Twice.\ntype add-2_b = () => any;\n\n"
                             "type C = () => any;\n\n"
                             "type d = (_: {\n}) => any;\n\n"
                             "} // namespace functions";
  assert_text("[{'name': 'add-2_b', 'description': 'Adds.\\n\\nTwice.\\n', 'strict': true},"
              "{'name': 'C', 'description': '', 'parameters': {}},"
              "{'name': 'd', 'description': null,"
              " 'parameters': {'type': 'object', 'properties': {}}}]",
              WANT);
  assert_text("[{'type': 'function', 'function': {'name': 'add-2_b', 'parameters': null,"
              " 'description': 'Adds.\\r\\n\\r\\nTwice.'}},"
              "{'type': 'function', 'name': 'C'},"
              "{'function': {'name': 'd', 'parameters': {'properties': {}}}}]",
              WANT);
}

static void schemas_become_types(void **state) {
  (void)state;
  assert_property("{'type': 'string'}", "p?: string,");
  assert_property("{'type': 'integer'}", "p?: number,");
  assert_property("{'type': 'number'}", "p?: number,");
  assert_property("{'type': 'boolean'}", "p?: boolean,");
  assert_property("{'type': 'null'}", "p?: any,");
  assert_property("{'$ref': '#/x'}", "p?: any,");
  assert_property("{}", "p?: any,");
  assert_property("{'type': 'string', 'enum': ['a', 'b \\\\ c']}", "p?: \"a\" | \"b \\\\ c\",");
  assert_property("{'type': 'string', 'enum': [1, 'b']}", "p?: \"b\",");
  assert_property("{'type': 'string', 'enum': []}", "p?: string,");
  assert_property("{'type': 'array'}", "p?: Array<any>,");
  assert_property("{'type': 'array', 'items': {'type': 'integer'}}", "p?: number[],");
  assert_property("{'type': 'array', 'items': {'type': 'array', 'items': {}}}", "p?: any[][],");
  assert_property("{'type': ['string', 'integer']}", "p?: string | number,");
  assert_property("{'type': []}", "p?: any,");
  assert_property("{'type': 'string', 'nullable': true}", "p?: string | null,");
  assert_property("{'type': 'string', 'nullable': false}", "p?: string,");
  assert_property("{'type': ['string', 'null'], 'nullable': true}", "p?: string | null,");
  assert_property("{'type': 'string', 'description': 'One.\\nTwo.'}",
                  "// One.\n// Two.\np?: string,");
}

static void defaults_become_comments(void **state) {
  (void)state;
  assert_property("{'type': 'string', 'default': 'a'}", "p?: string, // default: \"a\"");
  assert_property("{'type': 'string', 'default': 'a\\nb'}", "p?: string, // default: \"a\\nb\"");
  assert_property("{'type': 'string', 'enum': ['a'], 'default': 'a'}", "p?: \"a\", // default: a");
  assert_property("{'type': 'integer', 'default': 5}", "p?: number, // default: 5");
  assert_property("{'type': 'number', 'default': 0.1}", "p?: number, // default: 0.1");
  assert_property("{'type': 'number', 'default': 0.30000000000000004}",
                  "p?: number, // default: 0.30000000000000004");
  assert_property("{'type': 'number', 'default': 2.0}", "p?: number, // default: 2.0");
  assert_property("{'type': 'boolean', 'default': false}", "p?: boolean, // default: false");
  assert_property("{'type': 'string', 'default': null}", "p?: string, // default: null");
  assert_property("{'type': 'array', 'default': [1, {'a': 2}]}",
                  "p?: Array<any>, // default: [1,{\"a\":2}]");
}

static void objects_keep_their_order_and_are_indented(void **state) {
  (void)state;
  assert_type("{'type': 'object', 'required': ['z', 'y'], 'properties': {"
              "'z': {'type': 'object', 'description': 'Z.', 'required': ['b'], 'properties': {"
              "  'b': {'type': 'string', 'description': 'B.'},"
              "  'a': {'type': 'object'}}},"
              "'y': {'type': 'array', 'items': {'type': 'object', 'properties': {"
              "  'c': {'type': 'number'}}}, 'nullable': true},"
              "'x': {'type': 'boolean'}}}",
              "{\n"
              "// Z.\n"
              "z: {\n"
              "    // B.\n"
              "    b: string,\n"
              "    a?: {\n"
              "        },\n"
              "    },\n"
              "y: {\n"
              "    c?: number,\n"
              "    }[] | null,\n"
              "x?: boolean,\n"
              "}");
}

static void bad_lists_are_refused(void **state) {
  (void)state;
  static const struct {
    const char *list, *want;
  } BAD[] = {
      {"{'name': 'f'}", "want a list of functions, found an object"},
      {"'f'", "want a list of functions, found something else"},
      {"[1]", "[0]: want a function, found 1"},
      {"[{'type': 'function', 'function': 1}]", "[0].function: want a function, found 1"},
      {"[{'type': 'web_search'}]",
       "[0]: want a tool of type function, found {\"type\":\"web_search\"}"},
      {"[{'name': 'a'}, {}]",
       "[1].name: want a name of 1 to 64 letters, digits, _ and -, found nothing"},
      {"[{'function': {'name': 'a b'}}]",
       "[0].function.name: want a name of 1 to 64 letters, digits, _ and -, found \"a b\""},
      {"[{'name': ''}]", "[0].name: want a name of 1 to 64 letters, digits, _ and -, found \"\""},
      {"[{'name': 3}]", "[0].name: want a name of 1 to 64 letters, digits, _ and -, found 3"},
      {"[{'name': 'a'}, {'function': {'name': 'a'}}]",
       "[1].function.name: want a name that no function before it has, found \"a\""},
      {"[{'name': 'a', 'description': 1}]", "[0].description: want a string, found 1"},
      {"[{'name': 'a', 'parameters': []}]",
       "[0].parameters: want a schema of type object, found []"},
      {"[{'name': 'a', 'parameters': {'type': 'string'}}]",
       "[0].parameters: want a schema of type object, found {\"type\":\"string\"}"},
      {"[{'name': 'a', 'parameters': {'type': ['object']}}]",
       "[0].parameters: want a schema of type object, found {\"type\":[\"object\"]}"},
      {"[{'name': 'a', 'parameters': {'type': 'object', 'properties': [1]}}]",
       "[0].parameters.properties: want an object of schemas, found [1]"},
      {"[{'name': 'a', 'parameters': {'type': 'object', 'properties': {'p': 'q'}}}]",
       "[0].parameters.properties.p: want a schema, found \"q\""},
      {"[{'name': 'a', 'parameters': {'type': 'object', 'properties': {'p': {'type': 1}}}}]",
       "[0].parameters.properties.p.type: want a type or a list of types, found 1"},
      {"[{'name': 'a', 'parameters': {'type': 'object', 'properties': {'p': {'type': [1]}}}}]",
       "[0].parameters.properties.p.type: want a type or a list of types, found [1]"},
      {"[{'name': 'a', 'parameters': {'type': 'object', 'properties': {'p': {'type': 'array',"
       " 'items': 1}}}}]",
       "[0].parameters.properties.p.items: want a schema, found 1"},
      {"[{'name': 'a', 'parameters': {'type': 'object', 'properties': {'p': {"
       "'description': {}}}}}]",
       "[0].parameters.properties.p.description: want a string, found {}"},
  };
  for (size_t i = 0; i < COUNT(BAD); i++) {
    json_t *list = list_of(BAD[i].list);
    struct tools tools;
    struct error err;
    char want[512];
    snprintf(want, sizeof want, "tools.json: %s", BAD[i].want);
    assert_false(tools_from_json(&tools, "tools.json", list, &err));
    assert_string_equal(err.text, want);
    assert_int_equal(tools.n, 0);
    assert_null(tools.text);
    json_decref(list);
  }
}

// A list of one function whose parameter is an array of arrays.
static json_t *nested(int depth) {
  json_t *schema = json_pack("{s:s}", "type", "string");
  for (int i = 1; i < depth; i++)
    schema = json_pack("{s:s, s:o}", "type", "array", "items", schema);
  return json_pack("[{s:s, s:{s:s, s:{s:o}}}]", "name", "f", "parameters", "type", "object",
                   "properties", "p", schema);
}

static void deep_schemas_are_refused(void **state) {
  (void)state;
  struct tools tools;
  struct error err;
  json_t *deep = nested(32);
  assert_true(tools_from_json(&tools, "tools.json", deep, &err));
  tools_free(&tools);
  json_decref(deep);
  deep = nested(33);
  assert_false(tools_from_json(&tools, "tools.json", deep, &err));
  assert_contains(err.text, "tools.json: [0].parameters.properties.p.items.items.");
  assert_contains(err.text, ": want schemas nested at most 32 deep, found more");
  json_decref(deep);
  deep = nested(2000);
  assert_false(tools_from_json(&tools, "tools.json", deep, &err));
  json_decref(deep);
}

static void a_file_is_read(void **state) {
  const char *folder = *state;
  char path[PATH_BYTES], want[PATH_BYTES + 64];
  struct tools tools;
  struct error err;
  path_in(path, folder, "tools.json");
  write_quoted(folder, "tools.json", "[{'name': 'f'}, {'name': 'g'}]");
  assert_true(tools_read(&tools, path, &err));
  assert_int_equal(tools.n, 2);
  assert_string_equal(tools.name[1], "g");
  assert_true(tools_have(&tools, "functions.f") && tools_have(&tools, "functions.g"));
  assert_false(tools_have(&tools, "f") || tools_have(&tools, "functions.") ||
               tools_have(&tools, "functions.fg"));
  tools_free(&tools);
  write_quoted(folder, "tools.json", "[]");
  assert_true(tools_read(&tools, path, &err));
  assert_int_equal(tools.n, 0);
  assert_null(tools.text);
  write_quoted(folder, "tools.json", "\n[{'name': 'f',}]");
  assert_false(tools_read(&tools, path, &err));
  snprintf(want, sizeof want, "%s:2: want JSON, found an error: string or '}' expected near '}'",
           path);
  assert_string_equal(err.text, want);
  write_quoted(folder, "tools.json", "[{'name': 'f', 'name': 'g'}]");
  assert_false(tools_read(&tools, path, &err));
  assert_contains(err.text, ":1: want JSON, found an error: duplicate object key");
  path_in(path, folder, "none.json");
  assert_false(tools_read(&tools, path, &err));
  snprintf(want, sizeof want, "%s: No such file or directory", path);
  assert_string_equal(err.text, want);
  assert_false(tools_read(&tools, folder, &err));
  assert_contains(err.text, ": Is a directory");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(functions_become_a_namespace),
      cmocka_unit_test(schemas_become_types),
      cmocka_unit_test(defaults_become_comments),
      cmocka_unit_test(objects_keep_their_order_and_are_indented),
      cmocka_unit_test(bad_lists_are_refused),
      cmocka_unit_test(deep_schemas_are_refused),
      IN_FOLDER(a_file_is_read),
  };
  return cmocka_run_group_tests_name("tools", tests, NULL, NULL);
}
