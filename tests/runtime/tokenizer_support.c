#include "tokenizer_support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct tokenizer *must_open(const char *path) {
  struct tokenizer *tokenizer;
  struct error err;
  if (!tokenizer_open(&tokenizer, path, &err))
    fail_msg("%s", err.text);
  return tokenizer;
}

static struct id_list must_encode(const struct tokenizer *tokenizer, const char *text,
                                  size_t bytes) {
  struct id_list list = {0};
  struct error err;
  if (!tokenizer_encode(tokenizer, text, bytes, &list, &err))
    fail_msg("%s", err.text);
  return list;
}

static void assert_decodes(const struct tokenizer *tokenizer, const struct id_list *list,
                           const char *text, size_t bytes) {
  size_t at = 0;
  for (size_t i = 0; i < list->n; i++) {
    size_t n;
    const char *token = tokenizer_bytes(tokenizer, list->id[i], &n);
    assert_non_null(token);
    assert_true(n <= bytes - at);
    assert_memory_equal(token, text + at, n);
    at += n;
  }
  assert_int_equal(at, bytes);
}

void assert_encodes(const struct tokenizer *tokenizer, const char *text, size_t bytes,
                    const int32_t *ids, size_t n) {
  struct id_list list = must_encode(tokenizer, text, bytes);
  if (list.n != n || (n > 0 && memcmp(list.id, ids, n * sizeof *ids)))
    fail_msg("other ids for \"%s\"", text);
  assert_decodes(tokenizer, &list, text, bytes);
  free(list.id);
}

void assert_round_trip(const struct tokenizer *tokenizer, const char *text, size_t bytes) {
  struct id_list list = must_encode(tokenizer, text, bytes);
  assert_decodes(tokenizer, &list, text, bytes);
  free(list.id);
}

char *alphabet_key(const char *token, size_t bytes) {
  char *key = malloc(2 * bytes + 1), *end = key;
  for (size_t i = 0; i < bytes; i++) {
    unsigned b = (unsigned char)token[i];
    unsigned code_point = b;
    if (b <= 32)
      code_point = 256 + b;
    else if (127 <= b && b <= 160)
      code_point = 256 + 33 + b - 127;
    else if (b == 173)
      code_point = 256 + 67;
    if (code_point >= 0x80)
      *end++ = (char)(0xc0 | code_point >> 6);
    *end++ = (char)(code_point < 0x80 ? code_point : 0x80 | (code_point & 0x3f));
  }
  *end = '\0';
  return key;
}

void add_token(const json_t *root, const char *token, size_t bytes, int32_t id) {
  char *key = alphabet_key(token, bytes);
  json_object_set_new(json_object_get(json_object_get(root, "model"), "vocab"), key,
                      json_integer(id));
  free(key);
}

json_t *small_json(void) {
  json_t *root = json_loads(
      "{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,\"added_tokens\":["
      "{\"id\":300,\"content\":\"<|end|>\",\"single_word\":false,\"lstrip\":false,"
      "\"rstrip\":false,\"normalized\":false,\"special\":true},"
      "{\"id\":301,\"content\":\"<|b c|>\",\"special\":true}],"
      "\"normalizer\":null,\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":["
      "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"x+\"},\"behavior\":\"Isolated\","
      "\"invert\":false},{\"type\":\"ByteLevel\",\"add_prefix_space\":false,"
      "\"trim_offsets\":true,\"use_regex\":false}]},\"post_processor\":null,"
      "\"decoder\":{\"type\":\"ByteLevel\"},\"model\":{\"type\":\"BPE\",\"dropout\":null,"
      "\"ignore_merges\":false,\"vocab\":{},\"merges\":[[\"a\",\"b\"],\"ab c\","
      "\"Ã ©\"]}}",
      0, NULL);
  assert_non_null(root);
  for (int b = 0; b < 256; b++)
    add_token(root, &(char){(char)b}, 1, b);
  add_token(root, "ab", 2, 256);
  add_token(root, "abc", 3, 257);
  add_token(root, "é", 2, 258);
  return root;
}

void set_at(json_t *root, const char *path, json_t *value) {
  const char *dot = strchr(path, '.');
  char name[64];
  snprintf(name, sizeof name, "%.*s", dot ? (int)(dot - path) : (int)strlen(path), path);
  if (dot)
    set_at(json_is_array(root) ? json_array_get(root, (size_t)atoi(name))
                               : json_object_get(root, name),
           dot + 1, value);
  else if (json_is_array(root))
    json_array_set_new(root, (size_t)atoi(name), value);
  else if (value)
    json_object_set_new(root, name, value);
  else
    json_object_del(root, name);
}

void tokenizer_path(char path[static PATH_BYTES], const char *folder) {
  path_in(path, folder, "tokenizer.json");
}

bool open_bytes(const char *folder, const char *json, size_t bytes, struct tokenizer **tokenizer,
                struct error *err) {
  char path[PATH_BYTES];
  tokenizer_path(path, folder);
  write_file(folder, "tokenizer.json", json, bytes);
  return tokenizer_open(tokenizer, path, err);
}

bool open_json(const char *folder, const json_t *root, struct tokenizer **tokenizer,
               struct error *err) {
  char *text = json_dumps(root, JSON_COMPACT);
  assert_non_null(text);
  bool ok = open_bytes(folder, text, strlen(text), tokenizer, err);
  free(text);
  return ok;
}

struct tokenizer *must_open_json(const char *folder, const json_t *root) {
  struct tokenizer *tokenizer;
  struct error err;
  if (!open_json(folder, root, &tokenizer, &err))
    fail_msg("%s", err.text);
  return tokenizer;
}

struct tokenizer *open_with_pattern(const char *folder, const char *regex) {
  json_t *root = small_json();
  set_at(root, "pre_tokenizer.pretokenizers.0.pattern.Regex", json_string(regex));
  struct tokenizer *tokenizer = must_open_json(folder, root);
  json_decref(root);
  return tokenizer;
}
