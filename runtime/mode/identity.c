#include "mode/identity.h"

#include "base/pages.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
  WHOLE_BYTES = 16 << 20, // a file of at most this size is hashed as a whole
  SAMPLES = 256,          // of a larger one
  SAMPLE_BYTES = 4096,
};

static const uint64_t EMPTY_HASH = 0xcbf29ce484222325;

// Continues the 64-bit FNV-1a hash `hash`.
static uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t n) {
  const uint8_t *byte = bytes;
  for (size_t i = 0; i < n; i++)
    hash = (hash ^ byte[i]) * 0x100000001b3;
  return hash;
}

static uint64_t hash_text(uint64_t hash, const char *text) {
  return hash_bytes(hash, text, strlen(text) + 1);
}

// Hashes the name of a file without its folder, its size, and its bytes or samples of them.
static void hash_map(void *context, const void *map, size_t bytes, const char *path) {
  uint64_t *hash = context;
  const char *slash = strrchr(path, '/');
  const uint64_t size = bytes;
  *hash = hash_text(*hash, slash ? slash + 1 : path);
  *hash = hash_bytes(*hash, &size, sizeof size);
  if (bytes <= WHOLE_BYTES)
    *hash = hash_bytes(*hash, map, bytes);
  for (size_t i = 0; bytes > WHOLE_BYTES && i < SAMPLES; i++)
    *hash = hash_bytes(*hash, (const uint8_t *)map + bytes / SAMPLES * i, SAMPLE_BYTES);
}

static uint64_t hash_model(const struct model_config *c) {
  char text[1024];
  const struct rope_config *rope = &c->rope;
  snprintf(
      text, sizeof text,
      "%d %d %d %d %d %d %d %d %d %d %s %.9g %.9g %.9g %d %d %d %d %d %.9g %.9g %.9g %.9g %.9g "
      "%.9g",
      c->vocab, c->d_model, c->d_ff, c->n_layers, c->n_heads, c->n_kv_heads, c->d_head,
      c->n_experts, c->top_k, c->window, c->layer_types, c->eps, c->limit, c->alpha,
      c->attention_bias, c->tied, c->mxfp4, rope->yarn, rope->truncate, rope->theta, rope->factor,
      rope->beta_fast, rope->beta_slow, rope->original_max_positions, rope->attention_factor);
  return hash_text(EMPTY_HASH, text);
}

static uint64_t hash_tokenizer(const struct tokenizer *tokenizer) {
  uint64_t hash = EMPTY_HASH;
  for (int32_t id = 0; id < tokenizer_size(tokenizer); id++) {
    size_t n = 0;
    const char *bytes = tokenizer_bytes(tokenizer, id, &n);
    hash = hash_bytes(hash, &n, sizeof n);
    hash = bytes ? hash_bytes(hash, bytes, n) : hash;
  }
  return hash;
}

static void print_sampling(FILE *out, const struct options *options) {
  fprintf(out, "; -t=%.9g", (double)options->temperature);
  if (options->temperature > 0)
    fprintf(out, "; -p=%.9g; --top-k=%d; --min-p=%.9g", (double)options->top_p, options->top_k,
            (double)options->min_p);
}

char *identity_of(const struct session *session, struct text text, int n, struct error *err) {
  struct model_config model;
  uint64_t weights = EMPTY_HASH;
  char *identity = NULL;
  size_t bytes;
  FILE *out = open_memstream(&identity, &bytes);
  if (!out) {
    fail(err, "journal: out of memory for its first line");
    return NULL;
  }
  engine_model(&model);
  pages_visit(hash_map, &weights);
  fprintf(out, "tree=%s; model=%016" PRIx64 "; checkpoint=%016" PRIx64, engine_weights().tree,
          hash_model(&model), weights);
  for (int i = 0; i < session->stop.n; i++)
    fprintf(out, i ? ",%" PRId32 : "; stop ids=%" PRId32, session->stop.id[i]);
  fprintf(out, "; tokenizer=%016" PRIx64 "; prompts=%d,%016" PRIx64,
          hash_tokenizer(session->tokenizer), n, hash_bytes(EMPTY_HASH, text.bytes, text.n));
  fprintf(out, "; -n=%d", session->max_tokens);
  fprintf(out, "; --special=%s", session->options->special ? "yes" : "no");
  print_sampling(out, session->options);
  const bool whole = fflush(out) == 0 && !ferror(out);
  fclose(out);
  if (whole)
    return identity;
  free(identity);
  fail(err, "journal: out of memory for its first line");
  return NULL;
}
