// Writes a packed file as a seed for the target `packed`: `seed_packed FILE`.
#include "fuzz.h"
#include "packed_table.h"

static bool watch(void *context, size_t done, size_t total, struct error *err) {
  (void)context;
  (void)done;
  (void)total;
  (void)err;
  return true;
}

int main(int argc, char **argv) {
  static const char MODEL[] = "tests/models/abacus";
  struct model_config config;
  struct checkpoint *checkpoint;
  struct error err;
  must(argc == 2, "the name of a file");
  must(checkpoint_config(&config, MODEL, &err), err.text);
  must(checkpoint_open(&checkpoint, MODEL, &config, &err), err.text);
  const struct stop_ids stop = {.n = 2, .id = {7, 1016}};
  const struct packed_content content = {.table = TABLE,
                                         .config = &config,
                                         .checkpoint = checkpoint,
                                         .stop = &stop,
                                         .tokenizer = {"{\"version\":1}", 13}};
  must(packed_write(argv[1], &content, watch, NULL, &err), err.text);
  checkpoint_close(checkpoint);
  return 0;
}
