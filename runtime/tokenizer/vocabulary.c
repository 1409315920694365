#include "tokenizer/vocabulary.h"

#include <stdlib.h>
#include <string.h>

// The smallest power of two that leaves the table at most half full.
static uint32_t table_size(size_t n) {
  uint32_t size = 16;
  while (size / 2 < n)
    size *= 2;
  return size;
}

bool vocabulary_init(struct vocabulary *v, int32_t size, size_t n_ordinary, size_t text_bytes) {
  uint32_t entries = table_size(n_ordinary);
  *v = (struct vocabulary){.size = size, .mask = entries - 1};
  v->token = calloc((size_t)size + 1, sizeof *v->token);
  v->text = malloc(text_bytes + 1);
  v->entry = malloc(entries * sizeof *v->entry);
  if (!v->token || !v->text || !v->entry)
    return false;
  memset(v->entry, 0xff, entries * sizeof *v->entry);
  return true;
}

void vocabulary_free(struct vocabulary *v) {
  free(v->token);
  free(v->text);
  free(v->entry);
  *v = (struct vocabulary){0};
}

static bool token_is(const struct vocabulary *v, int32_t id, const char *text, size_t bytes) {
  const struct token *token = &v->token[id];
  return token->bytes == bytes && memcmp(v->text + token->start, text, bytes) == 0;
}

// 64-bit FNV-1a, folded to 32 bits.
static uint32_t hash_bytes(const char *text, size_t bytes) {
  uint64_t hash = 0xcbf29ce484222325;
  for (size_t i = 0; i < bytes; i++)
    hash = (hash ^ (unsigned char)text[i]) * 0x100000001b3;
  return (uint32_t)(hash ^ hash >> 32);
}

// The entry of the token with these bytes, or the free one where it would be added.
static int32_t *find_entry(const struct vocabulary *v, const char *text, size_t bytes) {
  uint32_t i = hash_bytes(text, bytes) & v->mask;
  while (v->entry[i] >= 0 && !token_is(v, v->entry[i], text, bytes))
    i = (i + 1) & v->mask;
  return &v->entry[i];
}

void vocabulary_add(struct vocabulary *v, int32_t id, const char *text, size_t bytes,
                    bool special) {
  memcpy(v->text + v->text_bytes, text, bytes);
  v->token[id] = (struct token){v->text_bytes, (uint32_t)bytes};
  v->text_bytes += (uint32_t)bytes;
  if (special)
    return;
  *find_entry(v, text, bytes) = id;
  if (v->longest < bytes)
    v->longest = (uint32_t)bytes;
}

int32_t vocabulary_find(const struct vocabulary *v, const char *text, size_t bytes) {
  return bytes > v->longest ? -1 : *find_entry(v, text, bytes);
}

const char *vocabulary_bytes(const struct vocabulary *v, int32_t id, size_t *bytes) {
  if (id < 0 || id >= v->size || v->token[id].bytes == 0)
    return NULL;
  *bytes = v->token[id].bytes;
  return v->text + v->token[id].start;
}
