// An open tokenizer never changes, so that several threads can use it: all that encoding writes
// belongs to the call.
#include "tokenizer/tokenizer.h"

#include "base/utf8.h"
#include "tokenizer/tokenizer_json.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool read_file(struct tokenizer **out, FILE *file, const char *path, struct error *err) {
  struct tokenizer *tokenizer = calloc(1, sizeof *tokenizer);
  if (!tokenizer)
    return fail(err, "%s: out of memory for a tokenizer", path);
  if (!tokenizer_json_read(tokenizer, file, path, err)) {
    tokenizer_close(tokenizer);
    return false;
  }
  *out = tokenizer;
  return true;
}

bool tokenizer_open(struct tokenizer **out, const char *path, struct error *err) {
  *out = NULL;
  FILE *file = fopen(path, "rb");
  if (!file)
    return fail(err, "%s: %s", path, strerror(errno));
  const bool ok = read_file(out, file, path, err);
  fclose(file);
  return ok;
}

bool tokenizer_open_text(struct tokenizer **out, const char *path, const char *text, size_t bytes,
                         struct error *err) {
  *out = NULL;
  FILE *file = fmemopen((void *)(uintptr_t)text, bytes, "rb");
  if (!file)
    return fail(err, "%s: out of memory for reading it", path);
  const bool ok = read_file(out, file, path, err);
  fclose(file);
  return ok;
}

void tokenizer_close(struct tokenizer *tokenizer) {
  if (!tokenizer)
    return;
  vocabulary_free(&tokenizer->vocabulary);
  bpe_free(&tokenizer->bpe);
  split_free(&tokenizer->split);
  free(tokenizer);
}

// The context of one call of tokenizer_encode.
struct encoding {
  const struct tokenizer *tokenizer;
  struct bpe_scratch scratch;
  struct id_list *list;
};

static bool encode_piece(void *context, const char *piece, size_t bytes, struct error *err) {
  struct encoding *e = context;
  int32_t whole = -1;
  if (e->tokenizer->ignore_merges)
    whole = vocabulary_find(&e->tokenizer->vocabulary, piece, bytes);
  if (whole >= 0 ? id_list_add(e->list, whole)
                 : bpe_encode(&e->tokenizer->bpe, &e->scratch, piece, bytes, e->list))
    return true;
  return fail(err, "text: out of memory for a piece of %zu bytes", bytes);
}

bool tokenizer_encode(const struct tokenizer *tokenizer, const char *text, size_t bytes,
                      struct id_list *list, struct error *err) {
  if (bytes > INT32_MAX)
    return fail(err, "text: want at most %d bytes, found %zu", INT32_MAX, bytes);
  size_t bad = utf8_check(text, bytes);
  if (bad < bytes)
    return fail(err, "text: byte %zu: want UTF-8, found 0x%02x", bad, (unsigned char)text[bad]);
  size_t before = list->n;
  struct encoding encoding = {.tokenizer = tokenizer, .list = list};
  bool ok = split_text(&tokenizer->split, text, bytes, encode_piece, &encoding, err);
  if (!ok)
    list->n = before;
  bpe_scratch_free(&encoding.scratch);
  return ok;
}

int32_t tokenizer_special(const struct tokenizer *tokenizer, const char *text) {
  return vocabulary_find_special(&tokenizer->vocabulary, text, strlen(text));
}

const char *tokenizer_bytes(const struct tokenizer *tokenizer, int32_t id, size_t *bytes) {
  return vocabulary_bytes(&tokenizer->vocabulary, id, bytes);
}

int32_t tokenizer_size(const struct tokenizer *tokenizer) {
  return tokenizer->vocabulary.size;
}
