// BPE against its definition in quadratic time, on random vocabularies.
#include "tokenizer_support.h"

#include <stdlib.h>
#include <string.h>

enum { RULES = 60, TOKENS = 256 + RULES };

// Random tokens and merges. Token i has the bytes text[i], rule r merges left[r] and right[r].
struct grammar {
  char text[TOKENS][64];
  size_t bytes[TOKENS];
  int32_t n_tokens;
  int32_t left[RULES], right[RULES], merged[RULES];
  int n_rules;
};

static int find_rule(const struct grammar *g, int32_t left, int32_t right) {
  for (int r = 0; r < g->n_rules; r++)
    if (g->left[r] == left && g->right[r] == right)
      return r;
  return -1;
}

static int32_t find_or_add_token(struct grammar *g, const char *text, size_t bytes) {
  for (int32_t i = 0; i < g->n_tokens; i++)
    if (g->bytes[i] == bytes && memcmp(g->text[i], text, bytes) == 0)
      return i;
  memcpy(g->text[g->n_tokens], text, bytes);
  g->bytes[g->n_tokens] = bytes;
  return g->n_tokens++;
}

static int32_t random_token(const struct grammar *g, uint64_t *seed) {
  static const unsigned char letters[] = {'a', 'b', ' ', 0, 0xc3, 0xa9};
  unsigned made = (unsigned)g->n_tokens - 256;
  unsigned pick = random_below(seed, 6 + made);
  return pick < 6 ? letters[pick] : (int32_t)(256 + pick - 6);
}

static void add_random_rule(struct grammar *g, uint64_t *seed) {
  int32_t left = random_token(g, seed), right = random_token(g, seed);
  size_t bytes = g->bytes[left] + g->bytes[right];
  char text[64];
  if (bytes > 8 || find_rule(g, left, right) >= 0)
    return;
  memcpy(text, g->text[left], g->bytes[left]);
  memcpy(text + g->bytes[left], g->text[right], g->bytes[right]);
  g->left[g->n_rules] = left;
  g->right[g->n_rules] = right;
  g->merged[g->n_rules++] = find_or_add_token(g, text, bytes);
}

static struct tokenizer *open_grammar(const char *folder, const struct grammar *g) {
  json_t *root = small_json(), *merges = json_array();
  set_at(root, "pre_tokenizer.pretokenizers.0.pattern.Regex", json_string("(?!)"));
  set_at(root, "added_tokens", json_array());
  set_at(root, "model.vocab", json_object());
  for (int32_t i = 0; i < g->n_tokens; i++)
    add_token(root, g->text[i], g->bytes[i], i);
  for (int r = 0; r < g->n_rules; r++) {
    char *left = alphabet_key(g->text[g->left[r]], g->bytes[g->left[r]]);
    char *right = alphabet_key(g->text[g->right[r]], g->bytes[g->right[r]]);
    json_array_append_new(merges, json_pack("[s,s]", left, right));
    free(left);
    free(right);
  }
  set_at(root, "model.merges", merges);
  struct tokenizer *tokenizer = must_open_json(folder, root);
  json_decref(root);
  return tokenizer;
}

// The definition of BPE, literally: look at all pairs, merge the leftmost of the lowest rank, start
// again.
static size_t merge_all(const struct grammar *g, int32_t *ids, size_t n) {
  for (;;) {
    int best = RULES;
    size_t at = 0;
    for (size_t i = 0; i + 1 < n; i++) {
      int rule = find_rule(g, ids[i], ids[i + 1]);
      if (rule >= 0 && rule < best) {
        best = rule;
        at = i;
      }
    }
    if (best == RULES)
      return n;
    ids[at] = g->merged[best];
    memmove(ids + at + 1, ids + at + 2, (n - at - 2) * sizeof *ids);
    n--;
  }
}

static void check_grammar(const char *folder, const struct grammar *g, uint64_t *seed) {
  static const char *const repeated[] = {"a", "b", " ", "\0", "é", "aaaaa"};
  struct tokenizer *tokenizer = open_grammar(folder, g);
  for (int trial = 0; trial < 20; trial++) {
    char text[64 * 5];
    int32_t ids[64 * 5];
    size_t bytes = 0;
    for (unsigned k = random_below(seed, 64); k > 0; k--) {
      const char *next = repeated[random_below(seed, 6)];
      size_t n = *next ? strlen(next) : 1;
      memcpy(text + bytes, next, n);
      bytes += n;
    }
    for (size_t i = 0; i < bytes; i++)
      ids[i] = (unsigned char)text[i];
    assert_encodes(tokenizer, text, bytes, ids, merge_all(g, ids, bytes));
  }
  tokenizer_close(tokenizer);
}

static void merging_follows_the_definition(void **state) {
  uint64_t seed = 2;
  for (int trial = 0; trial < 40; trial++) {
    struct grammar *g = calloc(1, sizeof *g);
    for (int b = 0; b < 256; b++)
      find_or_add_token(g, &(char){(char)b}, 1);
    for (int tries = 0; tries < 200 && g->n_rules < RULES; tries++)
      add_random_rule(g, &seed);
    check_grammar(*state, g, &seed);
    free(g);
  }
}

static void ignore_merges_takes_whole_pieces(void **state) {
  const char *folder = *state;
  json_t *root = small_json();
  set_at(root, "pre_tokenizer.pretokenizers.0.pattern.Regex", json_string("[^x]+"));
  add_token(root, "bcd", 3, 260); // no merge makes it
  struct tokenizer *merging = must_open_json(folder, root);
  set_at(root, "model.ignore_merges", json_true());
  struct tokenizer *whole = must_open_json(folder, root);
  assert_encodes(merging, "bcd", 3, (int32_t[]){'b', 'c', 'd'}, 3);
  assert_encodes(whole, "bcd", 3, (int32_t[]){260}, 1);
  assert_encodes(whole, "abcd", 4, (int32_t[]){257, 'd'}, 2);
  assert_encodes(whole, "<|end|>", 7, (int32_t[]){'<', '|', 'e', 'n', 'd', '|', '>'}, 7);
  tokenizer_close(merging);
  tokenizer_close(whole);
  json_decref(root);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      IN_FOLDER(merging_follows_the_definition),
      IN_FOLDER(ignore_merges_takes_whole_pieces),
  };
  return cmocka_run_group_tests_name("bpe", tests, NULL, NULL);
}
