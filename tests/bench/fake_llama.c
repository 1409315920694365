// A libllama.so for the test of llama.c: it prints what it is given, one line per call.
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct parameters {
  uint32_t field[40];
};

struct batch {
  int32_t n_tokens;
  int32_t *token;
  float *embd;
  int32_t *pos, *n_seq_id, **seq_id;
  int8_t *logits;
};

void ggml_backend_load_all_from_path(const char *path);
void llama_log_set(void (*log)(int level, const char *text, void *data), void *data);
void llama_backend_init(void);
struct parameters llama_model_default_params(void);
void *llama_model_load_from_file(const char *path, struct parameters parameters);
struct parameters llama_context_default_params(void);
void *llama_init_from_model(void *model, struct parameters parameters);
void llama_set_n_threads(void *context, int32_t threads, int32_t threads_of_batch);
void *llama_get_memory(const void *context);
void llama_memory_clear(void *memory, bool data);
int32_t llama_decode(void *context, struct batch batch);
float *llama_get_logits_ith(void *context, int32_t i);

static int model, context, memory;
static float logit = 1;

void ggml_backend_load_all_from_path(const char *path) {
  (void)path;
}

void llama_log_set(void (*log)(int level, const char *text, void *data), void *data) {
  log(0, "nothing", data);
}

void llama_backend_init(void) {}

struct parameters llama_model_default_params(void) {
  return (struct parameters){{7, 8, 9}};
}

void *llama_model_load_from_file(const char *path, struct parameters parameters) {
  const bool passed = parameters.field[0] == 7 && parameters.field[2] == 9;
  return passed && !strcmp(path, "model.gguf") ? &model : NULL;
}

struct parameters llama_context_default_params(void) {
  return (struct parameters){{getenv("FAKE_OTHER") ? 4096 : 512, 2048, 512, 1, 4, 4}};
}

void *llama_init_from_model(void *of, struct parameters parameters) {
  const uint32_t *field = parameters.field;
  fprintf(stderr, "context %u %u %u %u %u\n", field[0], field[1], field[2], field[3], field[4]);
  return of == &model ? &context : NULL;
}

void llama_set_n_threads(void *of, int32_t threads, int32_t threads_of_batch) {
  fprintf(stderr, "threads %d %d %d\n", of == &context, threads, threads_of_batch);
}

void *llama_get_memory(const void *of) {
  return of == &context ? &memory : NULL;
}

void llama_memory_clear(void *of, bool data) {
  fprintf(stderr, "clear %d %d\n", of == &memory, data);
}

int32_t llama_decode(void *of, struct batch batch) {
  fprintf(stderr, "decode %d", of == &context && !batch.embd);
  for (int i = 0; i < batch.n_tokens; i++)
    fprintf(stderr, " %d:%d%s", *batch.seq_id[i], batch.pos[i], batch.logits[i] ? "*" : "");
  fprintf(stderr, "\n");
  return getenv("FAKE_FAIL") ? 1 : 0;
}

float *llama_get_logits_ith(void *of, int32_t i) {
  return of == &context && i == -1 ? &logit : NULL;
}
