// The rules below list all keys that a file may have and the values that are implemented. Any other
// key or value might change the result and is refused by name. `truncation` and `padding` are what
// a training left of its batches: they are ignored, since a prompt is whole or refused.
#include "tokenizer/tokenizer_json.h"

#include "base/json.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
  LAST_ID = 4194303,          // far above that of any vocabulary; needs 32 MB of struct token
  MAX_TEXT_BYTES = INT32_MAX, // struct token has 32-bit offsets
  ALPHABET = 256 + 68,        // one more than the last code point of the byte alphabet
  MAX_KEY = 96,
  MOST_VALUES = 4 << 20,
};

// A key of an object and the JSON values that it may have, joined by " or ". "nothing" means that
// the key may be missing, NULL that another function reads the value or that it is ignored.
struct rule {
  const char *key, *accepted;
};

static const struct rule file_rules[] = {
    {"version", "\"1.0\""},
    {"truncation", NULL},
    {"padding", NULL},
    {"added_tokens", NULL},
    {"normalizer", "null or nothing"},
    {"pre_tokenizer", NULL},
    {"post_processor", NULL},
    {"decoder", NULL},
    {"model", NULL},
    {0},
};
static const struct rule added_token_rules[] = {
    {"id", NULL},
    {"content", NULL},
    {"single_word", "false or nothing"},
    {"lstrip", "false or nothing"},
    {"rstrip", "false or nothing"},
    {"normalized", "false or true or nothing"},
    {"special", "true"},
    {0},
};
static const struct rule sequence_rules[] = {
    {"type", "\"Sequence\""},
    {"pretokenizers", NULL},
    {0},
};
static const struct rule split_rules[] = {
    {"type", "\"Split\""},
    {"pattern", NULL},
    {"behavior", "\"Isolated\""},
    {"invert", "false"},
    {0},
};
static const struct rule pattern_rules[] = {{"Regex", NULL}, {0}};
static const struct rule byte_level_rules[] = {
    {"type", "\"ByteLevel\""},
    {"add_prefix_space", "false"},
    {"trim_offsets", "false or true or nothing"},
    {"use_regex", "false"},
    {0},
};
// As a decoder or a post-processor, ByteLevel ignores its options or uses them for offsets alone.
static const struct rule byte_level_any_rules[] = {
    {"type", "\"ByteLevel\""},
    {"add_prefix_space", "false or true or nothing"},
    {"trim_offsets", "false or true or nothing"},
    {"use_regex", "false or true or nothing"},
    {0},
};
static const struct rule model_rules[] = {
    {"type", "\"BPE\""},
    {"dropout", "null or nothing"},
    {"unk_token", "null or nothing"},
    {"continuing_subword_prefix", "null or \"\" or nothing"},
    {"end_of_word_suffix", "null or \"\" or nothing"},
    {"fuse_unk", "false or true or nothing"},
    {"byte_fallback", "false or nothing"},
    {"ignore_merges", "false or true or nothing"},
    {"vocab", NULL},
    {"merges", NULL},
    {0},
};

// The state of reading one file.
struct reader {
  const char *path;
  struct error *err;
  struct tokenizer *out;
  const json_t *vocab, *added; // model.vocab; added_tokens or NULL
  int32_t size;                // one more than the largest id
  size_t text_bytes;           // of all keys of vocab and all contents of added
  size_t special_bytes;        // of all contents of added
  size_t longest;              // bytes of the longest key of vocab
  char *bytes;                 // (2 * longest) for one or two decoded tokens
  int16_t byte[ALPHABET];      // by code point of the byte alphabet: the byte, or -1
};

static bool refuse(const struct reader *r, const char *key, const char *want, const json_t *found) {
  return json_refuse(r->path, key, want, found, r->err);
}

static bool refuse_memory(const struct reader *r) {
  return fail(r->err, "%s: out of memory for its tokens", r->path);
}

static bool is_accepted(const char *accepted, const json_t *value) {
  if (json_is_object(value) || json_is_array(value))
    return false;
  char *text = value ? json_dumps(value, JSON_ENCODE_ANY) : NULL;
  const char *shown = value ? text : "nothing";
  bool found = false;
  while (accepted && shown && !found) {
    const char *end = strstr(accepted, " or ");
    size_t n = end ? (size_t)(end - accepted) : strlen(accepted);
    found = strlen(shown) == n && memcmp(shown, accepted, n) == 0;
    accepted = end ? end + strlen(" or ") : NULL;
  }
  free(text);
  return found;
}

// The name of a member in messages: WHERE.NAME, or NAME in the root object.
static const char *member(char key[MAX_KEY], const char *where, const char *name) {
  snprintf(key, MAX_KEY, "%s%s%s", where, *where ? "." : "", name);
  return key;
}

static bool has_rule(const struct rule *rules, const char *key) {
  for (; rules->key; rules++)
    if (strcmp(rules->key, key) == 0)
      return true;
  return false;
}

static bool check_object(const struct reader *r, const char *where, const json_t *object,
                         const struct rule *rules) {
  char key[MAX_KEY];
  if (!json_is_object(object))
    return refuse(r, where, "an object", object);
  for (const struct rule *rule = rules; rule->key; rule++) {
    const json_t *value = json_object_get(object, rule->key);
    if (rule->accepted && !is_accepted(rule->accepted, value))
      return refuse(r, member(key, where, rule->key), rule->accepted, value);
  }
  const char *name;
  json_t *value;
  json_object_foreach((json_t *)object, name, value) {
    if (!has_rule(rules, name))
      return refuse(r, member(key, where, name), "no such key", value);
  }
  return true;
}

// A JSON value takes up to some 250 bytes of memory, even if it is `{}`, and a comma or a bracket
// in the file. The vocabulary and merges of o200k have 1.6 million of these.
static bool check_values(const struct reader *r, const char *text, size_t bytes) {
  size_t n = 0;
  for (size_t i = 0; i < bytes; i++)
    n += text[i] == ',' || text[i] == '[' || text[i] == '{';
  return n <= MOST_VALUES
             ? true
             : fail(r->err, "%s: want at most %d values, found %zu", r->path, MOST_VALUES, n);
}

// The root object, or NULL with a message.
static json_t *parse(const struct reader *r, const char *text, size_t bytes) {
  json_error_t error;
  if (!check_values(r, text, bytes))
    return NULL;
  const bool has_nul = bytes > 0 && memchr(text, 0, bytes); // jansson overlooks one after a number
  json_t *root = has_nul ? NULL : json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &error);
  if (has_nul)
    fail(r->err, "%s: want JSON, found a byte 0", r->path);
  else if (root && !json_is_object(root))
    fail(r->err, "%s: want a JSON object, found an array", r->path);
  else if (root)
    return root;
  else if (json_error_code(&error) == json_error_premature_end_of_input)
    fail(r->err, "%s:%d: want the rest of the JSON, found the end of the file: fetch it again",
         r->path, error.line);
  else
    fail(r->err, "%s:%d: want JSON, found an error: %s", r->path, error.line, error.text);
  json_decref(root);
  return NULL;
}

// --- pre_tokenizer, post_processor, decoder ---

static bool read_split(const struct reader *r, const json_t *split) {
  static const char key[] = "pre_tokenizer.pretokenizers[0].pattern.Regex";
  const json_t *pattern = json_object_get(split, "pattern");
  if (!check_object(r, "pre_tokenizer.pretokenizers[0]", split, split_rules) ||
      !check_object(r, "pre_tokenizer.pretokenizers[0].pattern", pattern, pattern_rules))
    return false;
  const json_t *regex = json_object_get(pattern, "Regex");
  if (!json_is_string(regex))
    return refuse(r, key, "a string", regex);
  struct error why;
  if (split_compile(&r->out->split, json_string_value(regex), &why))
    return true;
  return fail(r->err, "%s: %s: %s", r->path, key, why.text);
}

static bool read_pre_tokenizer(const struct reader *r, const json_t *sequence) {
  if (!check_object(r, "pre_tokenizer", sequence, sequence_rules))
    return false;
  const json_t *list = json_object_get(sequence, "pretokenizers");
  if (json_array_size(list) != 2)
    return refuse(r, "pre_tokenizer.pretokenizers", "an array of Split and ByteLevel", list);
  return read_split(r, json_array_get(list, 0)) &&
         check_object(r, "pre_tokenizer.pretokenizers[1]", json_array_get(list, 1),
                      byte_level_rules);
}

static bool check_output_side(const struct reader *r, const json_t *root) {
  const json_t *post_processor = json_object_get(root, "post_processor");
  if (post_processor && !json_is_null(post_processor) &&
      !check_object(r, "post_processor", post_processor, byte_level_any_rules))
    return false;
  return check_object(r, "decoder", json_object_get(root, "decoder"), byte_level_any_rules);
}

// --- tokens ---

// The names of tokens in messages.
static const char *vocab_key(char key[MAX_KEY], const char *token) {
  snprintf(key, MAX_KEY, "model.vocab[\"%s\"]", strlen(token) < 64 ? token : "...");
  return key;
}

static const char *added_key(char key[MAX_KEY], size_t index) {
  snprintf(key, MAX_KEY, "added_tokens[%zu]", index);
  return key;
}

static const char *added_field(char key[MAX_KEY], size_t index, const char *field) {
  snprintf(key, MAX_KEY, "added_tokens[%zu].%s", index, field);
  return key;
}

// Counts a token in. Returns NULL, or a text for "want" if it is refused.
static const char *count_token(struct reader *r, const json_t *id, const char *text) {
  json_int_t value = json_integer_value(id);
  if (!json_is_integer(id) || value < 0 || value > LAST_ID)
    return "an id from 0 to 4194303";
  if (!*text)
    return "a token of 1 or more bytes";
  r->text_bytes += strlen(text);
  if (r->text_bytes > MAX_TEXT_BYTES)
    return "tokens of at most 2147483647 bytes in all";
  if (r->size <= value)
    r->size = (int32_t)value + 1;
  return NULL;
}

static bool count_vocab(struct reader *r) {
  const char *text;
  json_t *id;
  if (!json_is_object(r->vocab))
    return refuse(r, "model.vocab", "an object", r->vocab);
  json_object_foreach((json_t *)r->vocab, text, id) {
    char key[MAX_KEY];
    const char *want = count_token(r, id, text);
    if (want)
      return refuse(r, vocab_key(key, text), want, id);
    if (r->longest < strlen(text))
      r->longest = strlen(text);
  }
  return true;
}

static bool count_added(struct reader *r) {
  if (r->added && !json_is_array(r->added))
    return refuse(r, "added_tokens", "an array", r->added);
  for (size_t i = 0; i < json_array_size(r->added); i++) {
    const json_t *token = json_array_get(r->added, i);
    char key[MAX_KEY];
    if (!check_object(r, added_key(key, i), token, added_token_rules))
      return false;
    const json_t *content = json_object_get(token, "content");
    if (!json_is_string(content))
      return refuse(r, added_field(key, i, "content"), "a string", content);
    const char *want = count_token(r, json_object_get(token, "id"), json_string_value(content));
    if (want)
      return refuse(r, added_key(key, i), want, token);
    r->special_bytes += json_string_length(content);
  }
  return true;
}

// The id of the special token with this text, or -1.
static int32_t find_special(const struct reader *r, const char *text) {
  int32_t id = -1;
  for (int step = 0; id < 0 && step < SPECIAL_STEPS; step++)
    id = specials_find(&r->out->specials[step], text, strlen(text));
  return id;
}

// Adds the special tokens. model.vocab may have the same token, with the same id.
static bool add_specials(const struct reader *r) {
  struct vocabulary *v = &r->out->vocabulary;
  for (size_t i = 0; i < json_array_size(r->added); i++) {
    const json_t *token = json_array_get(r->added, i), *id = json_object_get(token, "id");
    const json_t *content = json_object_get(token, "content");
    const char *text = json_string_value(content);
    const int step = json_is_true(json_object_get(token, "normalized"));
    const json_t *other = json_object_get(r->vocab, text);
    char key[MAX_KEY];
    size_t bytes;
    if (other && !json_equal(other, id))
      return refuse(r, added_field(key, i, "id"), "the id of the same token in model.vocab", id);
    if (vocabulary_bytes(v, (int32_t)json_integer_value(id), &bytes))
      return refuse(r, added_field(key, i, "id"), "an id that no other token has", id);
    if (find_special(r, text) >= 0)
      return refuse(r, added_field(key, i, "content"), "a text that no other token has", content);
    vocabulary_add(v, (int32_t)json_integer_value(id), text, strlen(text), true);
    specials_add(&r->out->specials[step], (int32_t)json_integer_value(id), text, strlen(text));
  }
  for (int step = 0; step < SPECIAL_STEPS; step++)
    if (!specials_link(&r->out->specials[step]))
      return refuse_memory(r);
  return true;
}

// The alphabet of HF's ByteLevel: bytes that are printable in Latin-1 are written as the character
// of that code, the others, in order, as U+0100 and up.
static void fill_alphabet(int16_t byte[ALPHABET]) {
  memset(byte, 0xff, ALPHABET * sizeof *byte);
  int next = 256;
  for (int b = 0; b < 256; b++) {
    bool printable = ('!' <= b && b <= '~') || (0xa1 <= b && b <= 0xac) || 0xae <= b;
    byte[printable ? b : next++] = (int16_t)b;
  }
}

// Decodes a token of `length` bytes from the byte alphabet to `out`, which has as many. Returns the
// number of decoded bytes, or 0 if the token has a character outside of the alphabet. The token is
// UTF-8, as all JSON strings are.
static size_t decode_token(const struct reader *r, const char *token, size_t length, char *out) {
  const unsigned char *end = (const unsigned char *)token + length;
  size_t n = 0;
  for (const unsigned char *c = (const unsigned char *)token; c < end; c++) {
    unsigned code_point = *c;
    if (code_point >= 0xe0)
      return 0;
    if (code_point >= 0x80)
      code_point = (code_point & 0x1f) << 6 | (*++c & 0x3f);
    if (code_point >= ALPHABET || r->byte[code_point] < 0)
      return 0;
    out[n++] = (char)r->byte[code_point];
  }
  return n;
}

// Adds the tokens of model.vocab.
static bool add_ordinary(const struct reader *r) {
  struct vocabulary *v = &r->out->vocabulary;
  const char *text;
  json_t *value;
  json_object_foreach((json_t *)r->vocab, text, value) {
    int32_t id = (int32_t)json_integer_value(value);
    char key[MAX_KEY];
    size_t bytes;
    bool taken = vocabulary_bytes(v, id, &bytes) != NULL;
    if (taken && find_special(r, text) == id)
      continue;
    if (taken)
      return refuse(r, vocab_key(key, text), "an id that no other token has", value);
    bytes = decode_token(r, text, strlen(text), r->bytes);
    if (bytes == 0)
      return fail(r->err, "%s: %s: want characters of ByteLevel's alphabet, found others", r->path,
                  vocab_key(key, text));
    vocabulary_add(v, id, r->bytes, bytes, false);
  }
  return true;
}

// Finds the token of each single byte.
static bool find_bytes(const struct reader *r) {
  for (int b = 0; b < 256; b++) {
    char text = (char)b;
    int32_t id = vocabulary_find(&r->out->vocabulary, &text, 1);
    if (id < 0)
      return fail(r->err, "%s: model.vocab: want all 256 byte symbols, found none for 0x%02x",
                  r->path, b);
    r->out->bpe.byte_id[b] = id;
  }
  return true;
}

static bool read_tokens(struct reader *r) {
  if (!count_vocab(r) || !count_added(r))
    return false;
  r->bytes = malloc(2 * r->longest + 1);
  bool ok = r->bytes && vocabulary_init(&r->out->vocabulary, r->size, json_object_size(r->vocab),
                                        r->text_bytes);
  for (int step = 0; ok && step < SPECIAL_STEPS; step++)
    ok = specials_init(&r->out->specials[step], r->special_bytes);
  if (!ok)
    return refuse_memory(r);
  fill_alphabet(r->byte);
  return add_specials(r) && add_ordinary(r) && find_bytes(r);
}

// --- merges ---

// Appends a symbol of `length` bytes to the *n bytes in r->bytes. Returns its id, or -1 if it is
// not a token.
static int32_t append_symbol(const struct reader *r, const char *symbol, size_t length, size_t *n) {
  if (length > r->longest)
    return -1;
  const size_t bytes = decode_token(r, symbol, length, r->bytes + *n);
  const int32_t id = vocabulary_find(&r->out->vocabulary, r->bytes + *n, bytes);
  *n += bytes;
  return id;
}

// Adds the merge of two symbols. Returns NULL, or a text for "want" if it is refused.
static const char *add_merge(const struct reader *r, const char *left, size_t left_length,
                             const char *right) {
  size_t n = 0;
  const int32_t left_id = append_symbol(r, left, left_length, &n);
  const int32_t right_id = left_id < 0 ? -1 : append_symbol(r, right, strlen(right), &n);
  if (right_id < 0)
    return "two tokens of model.vocab";
  const int32_t merged = vocabulary_find(&r->out->vocabulary, r->bytes, n);
  if (merged < 0)
    return "two tokens that make a token of model.vocab";
  bpe_add(&r->out->bpe, left_id, right_id, merged);
  return NULL;
}

// A merge is ["left","right"] or "left right": in the byte alphabet, no token has a space.
static const char *read_merge(const struct reader *r, const json_t *merge) {
  if (json_is_string(merge)) {
    const char *text = json_string_value(merge), *space = strchr(text, ' ');
    return space ? add_merge(r, text, (size_t)(space - text), space + 1)
                 : add_merge(r, text, strlen(text), "");
  }
  const char *left = json_string_value(json_array_get(merge, 0));
  const char *right = json_string_value(json_array_get(merge, 1));
  if (json_array_size(merge) != 2 || !left || !right)
    return "[\"left\",\"right\"] or \"left right\"";
  return add_merge(r, left, strlen(left), right);
}

static bool read_merges(const struct reader *r, const json_t *merges) {
  if (!json_is_array(merges))
    return refuse(r, "model.merges", "an array", merges);
  for (size_t i = 0; i < json_array_size(merges); i++) {
    const json_t *merge = json_array_get(merges, i);
    const char *want = read_merge(r, merge);
    if (want) {
      char key[MAX_KEY];
      snprintf(key, sizeof key, "model.merges[%zu]", i);
      return refuse(r, key, want, merge);
    }
  }
  return true;
}

static bool read_model(struct reader *r, const json_t *model) {
  if (!check_object(r, "model", model, model_rules))
    return false;
  const json_t *merges = json_object_get(model, "merges");
  if (!bpe_init(&r->out->bpe, json_array_size(merges)))
    return refuse_memory(r);
  r->vocab = json_object_get(model, "vocab");
  r->out->ignore_merges = json_is_true(json_object_get(model, "ignore_merges"));
  bool ok = read_tokens(r) && read_merges(r, merges);
  free(r->bytes);
  return ok;
}

bool tokenizer_json_read(struct tokenizer *tokenizer, const char *text, size_t bytes,
                         const char *path, struct error *err) {
  struct reader r = {.path = path, .err = err, .out = tokenizer};
  json_t *root = parse(&r, text, bytes);
  if (!root)
    return false;
  r.added = json_object_get(root, "added_tokens");
  bool ok = check_object(&r, "", root, file_rules) &&
            read_pre_tokenizer(&r, json_object_get(root, "pre_tokenizer")) &&
            check_output_side(&r, root) && read_model(&r, json_object_get(root, "model"));
  json_decref(root);
  // Otherwise the freed JSON values, 80 MB in small blocks, would stay with the process.
  malloc_trim(0);
  return ok;
}
