// An open tokenizer never changes, so that several threads can use it: all that encoding writes
// belongs to the call. Only split.c keeps memory from one call to the next.
#include "tokenizer/tokenizer.h"

#include "base/file.h"
#include "base/utf8.h"
#include "tokenizer/tokenizer_json.h"

#include <stdlib.h>
#include <string.h>

bool tokenizer_open(struct tokenizer **out, const char *path, struct error *err) {
  struct text text;
  *out = NULL;
  if (!text_read_regular(&text, path, TOKENIZER_MAX_BYTES, err))
    return false;
  const bool ok = tokenizer_open_text(out, path, text.bytes, text.n, err);
  free(text.bytes);
  return ok;
}

bool tokenizer_open_text(struct tokenizer **out, const char *path, const char *text, size_t bytes,
                         struct error *err) {
  *out = NULL;
  if (bytes > TOKENIZER_MAX_BYTES)
    return fail(err, "%s: want a tokenizer.json of at most %d bytes, found %zu", path,
                TOKENIZER_MAX_BYTES, bytes);
  struct tokenizer *tokenizer = calloc(1, sizeof *tokenizer);
  if (!tokenizer)
    return fail(err, "%s: out of memory for a tokenizer", path);
  if (!tokenizer_json_read(tokenizer, text, bytes, path, err)) {
    tokenizer_close(tokenizer);
    return false;
  }
  *out = tokenizer;
  return true;
}

void tokenizer_close(struct tokenizer *tokenizer) {
  if (!tokenizer)
    return;
  vocabulary_free(&tokenizer->vocabulary);
  for (int step = 0; step < SPECIAL_STEPS; step++)
    specials_free(&tokenizer->specials[step]);
  bpe_free(&tokenizer->bpe);
  split_free(&tokenizer->split);
  free(tokenizer);
}

// The context of one call of tokenizer_encode or tokenizer_encode_special.
struct encoding {
  const struct tokenizer *tokenizer;
  struct bpe_scratch bpe;
  struct id_list *list;
  int32_t first; // special token, or -1
};

static bool encode_piece(void *context, const char *piece, size_t bytes, struct error *err) {
  struct encoding *e = context;
  int32_t whole = -1;
  if (e->tokenizer->ignore_merges)
    whole = vocabulary_find(&e->tokenizer->vocabulary, piece, bytes);
  if (whole >= 0 ? id_list_add(e->list, whole)
                 : bpe_encode(&e->tokenizer->bpe, &e->bpe, piece, bytes, e->list))
    return true;
  return fail(err, "text: out of memory for a piece of %zu bytes", bytes);
}

static bool encode_text(struct encoding *e, const char *text, size_t bytes, struct error *err) {
  return bytes == 0 || split_text(&e->tokenizer->split, text, bytes, encode_piece, e, err);
}

static bool add_special(struct encoding *e, int32_t id, struct error *err) {
  if (e->first < 0)
    e->first = id;
  return id_list_add(e->list, id) ? true : fail(err, "text: out of memory for its special tokens");
}

// Encodes a text with the special tokens of a step and of the steps after it.
static bool encode_step(struct encoding *e, int step, const char *text, size_t bytes,
                        struct error *err) {
  if (step == SPECIAL_STEPS)
    return encode_text(e, text, bytes, err);
  struct special_list found = {0};
  bool ok = specials_locate(&e->tokenizer->specials[step], text, bytes, &found) ||
            fail(err, "text: out of memory for its special tokens");
  size_t done = 0;
  for (size_t i = found.n; ok && i-- > 0;) {
    const struct special_at at = found.at[i];
    size_t length = 0;
    if (at.start < done)
      continue;
    tokenizer_bytes(e->tokenizer, at.id, &length);
    ok = encode_step(e, step + 1, text + done, at.start - done, err) && add_special(e, at.id, err);
    done = at.start + length;
  }
  free(found.at);
  return ok && encode_step(e, step + 1, text + done, bytes - done, err);
}

// Checks a text, encodes it and frees the working memory.
static bool encode(struct encoding *e, int step, const char *text, size_t bytes,
                   struct error *err) {
  if (bytes > INT32_MAX)
    return fail(err, "text: want at most %d bytes, found %zu", INT32_MAX, bytes);
  size_t bad = utf8_check(text, bytes);
  if (bad < bytes)
    return fail(err, "text: byte %zu: want UTF-8, found 0x%02x", bad, (unsigned char)text[bad]);
  const size_t before = e->list->n;
  const bool ok = encode_step(e, step, text, bytes, err);
  if (!ok)
    e->list->n = before;
  bpe_scratch_free(&e->bpe);
  return ok;
}

bool tokenizer_encode(const struct tokenizer *tokenizer, const char *text, size_t bytes,
                      struct id_list *list, struct error *err) {
  struct encoding e = {.tokenizer = tokenizer, .list = list};
  return encode(&e, SPECIAL_STEPS, text, bytes, err);
}

bool tokenizer_encode_special(const struct tokenizer *tokenizer, const char *text, size_t bytes,
                              struct id_list *list, int32_t *first, struct error *err) {
  struct encoding e = {.tokenizer = tokenizer, .list = list, .first = -1};
  const bool ok = encode(&e, 0, text, bytes, err);
  *first = e.first;
  return ok;
}

int32_t tokenizer_special(const struct tokenizer *tokenizer, const char *text) {
  int32_t id = -1;
  for (int step = 0; id < 0 && step < SPECIAL_STEPS; step++)
    id = specials_find(&tokenizer->specials[step], text, strlen(text));
  return id;
}

const char *tokenizer_bytes(const struct tokenizer *tokenizer, int32_t id, size_t *bytes) {
  return vocabulary_bytes(&tokenizer->vocabulary, id, bytes);
}

int32_t tokenizer_size(const struct tokenizer *tokenizer) {
  return tokenizer->vocabulary.size;
}
