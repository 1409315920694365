// llama LIBRARIES MODEL.gguf THREADS ROUNDS JOB...: times llama.cpp's CPU library with the jobs of
// drive.c, and prints lines like its own, without bytes and flops. LIBRARIES is the folder of the
// shared libraries, of any version: it needs no header of theirs. Parameter structs are passed with
// room to spare; the few fields that are set are found by their defaults.
#include "base/clock.h"
#include "base/error.h"

#include <dirent.h>
#include <dlfcn.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { POSITIONS = 2048, MOST_SEQUENCES = 64, MOST_TOKENS = 2048, IDS = 40000 };

struct parameters {
  uint32_t field[256];
};

// The batch of llama.h.
struct batch {
  int32_t n_tokens;
  int32_t *token;
  float *embd;
  int32_t *pos, *n_seq_id, **seq_id;
  int8_t *logits;
};

// The functions of llama.h that are called here.
struct library {
  void (*log_set)(void (*log)(int level, const char *text, void *data), void *data);
  void (*backend_init)(void);
  struct parameters (*model_default_params)(void);
  void *(*model_load_from_file)(const char *path, struct parameters parameters);
  struct parameters (*context_default_params)(void);
  void *(*init_from_model)(void *model, struct parameters parameters);
  void (*set_n_threads)(void *context, int32_t threads, int32_t threads_of_batch);
  void *(*get_memory)(const void *context);
  void (*memory_clear)(void *memory, bool data);
  int32_t (*decode)(void *context, struct batch batch);
  float *(*get_logits_ith)(void *context, int32_t i);
};

struct job {
  int sequences, prompt, steps;
};

struct llama {
  struct library library;
  void *context;
  struct batch batch;
  int32_t sequence[MOST_SEQUENCES], fed[MOST_SEQUENCES];
};

// ---- the library ----

// Opens the first shared library in a folder whose name begins with `prefix`.
static void *open_library(const char *folder, const char *prefix, struct error *err) {
  char path[4096] = "";
  DIR *directory = opendir(folder);
  for (struct dirent *entry; directory && !path[0] && (entry = readdir(directory));)
    if (!strncmp(entry->d_name, prefix, strlen(prefix)) && strstr(entry->d_name, ".so"))
      snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
  if (directory)
    closedir(directory);
  if (!path[0]) {
    fail(err, "%s: want %s*.so, found none", folder, prefix);
    return NULL;
  }
  void *library = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
  if (!library)
    fail(err, "%s: cannot load: %s", path, dlerror());
  return library;
}

// Sets *function to the function of that name.
static bool find(void *function, const char *name, struct error *err) {
  void *found = dlsym(RTLD_DEFAULT, name);
  memcpy(function, &found, sizeof found);
  return found || fail(err, "%s: want this function in the libraries, found none", name);
}

static bool find_functions(struct library *library, struct error *err) {
  return find(&library->log_set, "llama_log_set", err) &&
         find(&library->backend_init, "llama_backend_init", err) &&
         find(&library->model_default_params, "llama_model_default_params", err) &&
         find(&library->model_load_from_file, "llama_model_load_from_file", err) &&
         find(&library->context_default_params, "llama_context_default_params", err) &&
         find(&library->init_from_model, "llama_init_from_model", err) &&
         find(&library->set_n_threads, "llama_set_n_threads", err) &&
         find(&library->get_memory, "llama_get_memory", err) &&
         find(&library->memory_clear, "llama_memory_clear", err) &&
         find(&library->decode, "llama_decode", err) &&
         find(&library->get_logits_ith, "llama_get_logits_ith", err);
}

static void say_nothing(int level, const char *text, void *data) {
  (void)level, (void)text, (void)data;
}

// Opens the libraries, which then choose the one for this machine's instructions.
static bool open_libraries(struct library *library, const char *folder, struct error *err) {
  void (*load_backends)(const char *path);
  if (!open_library(folder, "libggml-base", err) || !open_library(folder, "libggml.", err) ||
      !open_library(folder, "libllama.", err) || !find_functions(library, err) ||
      !find(&load_backends, "ggml_backend_load_all_from_path", err))
    return false;
  library->log_set(say_nothing, NULL);
  load_backends(folder);
  library->backend_init();
  return true;
}

// Fields 0 to 3 are n_ctx, n_batch, n_ubatch and n_seq_max. Positions are for each sequence.
static bool open_context(struct llama *llama, const char *path, int threads, int sequences,
                         struct error *err) {
  const struct library *library = &llama->library;
  void *model = library->model_load_from_file(path, library->model_default_params());
  if (!model)
    return fail(err, "%s: llama.cpp cannot load it", path);
  struct parameters parameters = library->context_default_params();
  uint32_t *field = parameters.field;
  if (field[0] != 512 || field[1] != 2048 || field[2] != 512 || field[3] != 1)
    return fail(
        err, "llama.cpp: want 512 2048 512 1 in front of its context parameters, found %u %u %u %u",
        field[0], field[1], field[2], field[3]);
  field[0] = (uint32_t)(POSITIONS * sequences);
  field[3] = (uint32_t)sequences;
  llama->context = library->init_from_model(model, parameters);
  if (!llama->context)
    return fail(err, "%s: llama.cpp cannot run it", path);
  library->set_n_threads(llama->context, threads, threads);
  return true;
}

// ---- jobs ----

static void add_row(struct llama *llama, int sequence, bool wanted) {
  struct batch *batch = &llama->batch;
  const int position = llama->fed[sequence]++, row = batch->n_tokens++;
  batch->token[row] = (int32_t)((sequence * 7919LL + position * 104729LL + 5) % IDS);
  batch->pos[row] = position;
  batch->n_seq_id[row] = 1;
  batch->seq_id[row] = &llama->sequence[sequence];
  batch->logits[row] = wanted;
}

// Runs the batch and adds its time. Reading a logit waits for it.
static bool run_batch(struct llama *llama, double *seconds, struct error *err) {
  const double began = seconds_now();
  const int32_t failed = llama->library.decode(llama->context, llama->batch);
  const float *logits = failed ? NULL : llama->library.get_logits_ith(llama->context, -1);
  *seconds += seconds_now() - began;
  llama->batch.n_tokens = 0;
  if (!logits || !isfinite(logits[0]))
    return fail(err, "llama.cpp: want finite logits, found %s", logits ? "others" : "none");
  return true;
}

static void report(const char *what, const struct job *job, double seconds, int tokens) {
  printf("%s %d:%d:%d %.9f %d 0 0\n", what, job->sequences, job->prompt, job->steps, seconds,
         tokens);
  fflush(stdout);
}

static bool run_job(struct llama *llama, const struct job *job, struct error *err) {
  const struct library *library = &llama->library;
  double seconds = 0;
  library->memory_clear(library->get_memory(llama->context), true);
  for (int s = 0; s < job->sequences; s++) {
    llama->fed[s] = 0;
    for (int i = 0; i < job->prompt; i++)
      add_row(llama, s, i == job->prompt - 1);
  }
  if (!run_batch(llama, &seconds, err))
    return false;
  report("prompt", job, seconds, job->sequences * job->prompt);
  seconds = 0;
  for (int i = 0; i < job->steps; i++) {
    for (int s = 0; s < job->sequences; s++)
      add_row(llama, s, true);
    if (!run_batch(llama, &seconds, err))
      return false;
  }
  if (job->steps > 0)
    report("decode", job, seconds, job->sequences * job->steps);
  return true;
}

// ---- the command line ----

static bool parse_job(struct job *job, const char *text, struct error *err) {
  char after;
  if (sscanf(text, "%4d:%4d:%4d%c", &job->sequences, &job->prompt, &job->steps, &after) != 3 ||
      job->sequences < 1 || job->sequences > MOST_SEQUENCES || job->prompt < 1 || job->steps < 0 ||
      job->prompt + job->steps > POSITIONS || job->sequences * job->prompt > MOST_TOKENS)
    return fail(
        err,
        "%.80s: want SEQUENCES:PROMPT:STEPS, at most %d sequences of %d positions and prompts "
        "of %d ids together",
        text, MOST_SEQUENCES, POSITIONS, MOST_TOKENS);
  return true;
}

static bool open_batch(struct llama *llama, struct error *err) {
  struct batch *batch = &llama->batch;
  batch->token = calloc(MOST_TOKENS, sizeof *batch->token);
  batch->pos = calloc(MOST_TOKENS, sizeof *batch->pos);
  batch->n_seq_id = calloc(MOST_TOKENS, sizeof *batch->n_seq_id);
  batch->seq_id = calloc(MOST_TOKENS, sizeof(int32_t *));
  batch->logits = calloc(MOST_TOKENS, sizeof *batch->logits);
  for (int s = 0; s < MOST_SEQUENCES; s++)
    llama->sequence[s] = s;
  return (batch->token && batch->pos && batch->n_seq_id && batch->seq_id && batch->logits) ||
         fail(err, "llama: out of memory for a batch");
}

static bool run(struct llama *llama, int argc, char **argv, struct error *err) {
  const int threads = argc > 5 ? atoi(argv[3]) : 0, rounds = argc > 5 ? atoi(argv[4]) : 0;
  int sequences = 1;
  struct job job;
  if (threads < 1 || rounds < 1)
    return fail(err, "want LIBRARIES MODEL.gguf THREADS ROUNDS JOB...");
  for (int i = 5; i < argc; i++) {
    if (!parse_job(&job, argv[i], err))
      return false;
    sequences = job.sequences > sequences ? job.sequences : sequences;
  }
  if (!open_libraries(&llama->library, argv[1], err) ||
      !open_context(llama, argv[2], threads, sequences, err) || !open_batch(llama, err))
    return false;
  printf("threads %d\n", threads);
  for (int round = 0; round < rounds; round++)
    for (int i = 5; i < argc; i++)
      if (!parse_job(&job, argv[i], err) || !run_job(llama, &job, err))
        return false;
  return true;
}

// It ends without freeing anything: the libraries' own cleanup would take longer.
int main(int argc, char **argv) {
  static struct llama llama;
  struct error err;
  const bool ok = run(&llama, argc, argv, &err);
  if (!ok)
    fprintf(stderr, "llama: %s\n", err.text);
  fflush(stdout);
  _exit(ok ? EXIT_SUCCESS : EXIT_FAILURE);
}
