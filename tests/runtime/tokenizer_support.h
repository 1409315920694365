// Helpers of the tests of tokenizers: encoding, decoding, and small tokenizer.json files to change.
#ifndef GETP_TESTS_TOKENIZER_SUPPORT_H
#define GETP_TESTS_TOKENIZER_SUPPORT_H

#include "support.h"
#include "tokenizer/tokenizer.h"

#define O200K "tests/vectors/o200k_harmony"
#define ABACUS MODELS "abacus"

// Open a tokenizer.json or fail the test. must_open_json writes it to the folder first.
struct tokenizer *must_open(const char *path);
struct tokenizer *must_open_json(const char *folder, const json_t *root);

// Write a tokenizer.json to the folder and open it; tokenizer_path is its path.
void tokenizer_path(char path[static PATH_BYTES], const char *folder);
bool open_bytes(const char *folder, const char *json, size_t bytes, struct tokenizer **tokenizer,
                struct error *err);
bool open_json(const char *folder, const json_t *root, struct tokenizer **tokenizer,
               struct error *err);

// Assert that a text becomes these ids and the ids become the text again; or the latter alone.
void assert_encodes(const struct tokenizer *tokenizer, const char *text, size_t bytes,
                    const int32_t *ids, size_t n);
void assert_round_trip(const struct tokenizer *tokenizer, const char *text, size_t bytes);

// A small tokenizer.json that has something of everything: ids 0 to 255 are the bytes, 256 and 257
// are "ab" and "abc", 258 is "é", 300 and 301 are special.
json_t *small_json(void);

// Opens small_json with another split pattern.
struct tokenizer *open_with_pattern(const char *folder, const char *regex);

// Adds a token to the vocabulary of a tokenizer.json.
void add_token(const json_t *root, const char *token, size_t bytes, int32_t id);

// A token in the alphabet of ByteLevel, as a key of model.vocab. The caller frees it.
char *alphabet_key(const char *token, size_t bytes);

// Sets the value at a path such as "model.merges.0". Steals the value; NULL deletes the member.
void set_at(json_t *root, const char *path, json_t *value);

#endif
