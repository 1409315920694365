// Reads the config.json of each folder whose name is a line of stdin, and prints a line: "refused:
// " and the message, or the numbers of the config. tests/gen/test_readers.lua compares them with
// what the generator makes of the same file.
#include "checkpoint/config.h"

#include <stdio.h>
#include <string.h>

static void print_config(const struct model_config *c) {
  const struct rope_config *r = &c->rope;
  printf("%d %d %d %d %d %d %d %d %d %d %s", c->vocab, c->d_model, c->d_ff, c->n_layers, c->n_heads,
         c->n_kv_heads, c->d_head, c->n_experts, c->top_k, c->window, c->layer_types);
  printf(" %.12g %.12g %.12g %d %d %d", c->eps, c->limit, c->alpha, c->attention_bias, c->tied,
         c->mxfp4);
  printf(" %d %d %.12g %.12g %.12g %.12g %.12g %.12g\n", r->yarn, r->truncate, r->theta, r->factor,
         r->beta_fast, r->beta_slow, r->original_max_positions, r->attention_factor);
}

int main(void) {
  char folder[256];
  while (fgets(folder, sizeof folder, stdin)) {
    struct model_config config;
    struct error err;
    folder[strcspn(folder, "\n")] = 0;
    if (model_config_read(&config, folder, &err))
      print_config(&config);
    else
      printf("refused: %s\n", err.text);
  }
  return 0;
}
