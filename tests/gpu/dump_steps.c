// dump_steps MODEL IDS LAST FILE: runs one pass and writes what each step leaves, by the table of
// step_values.h. Compiled against the headers of a tree and linked with its objects in place of
// getp's main.
//
// The pass has the last LAST tokens of each sequence of IDS, all of them if LAST is 0; the tokens
// before them run first, in passes that are not recorded. Every row is an output.
//
// FILE has a line "tree NAME halves" or "tree NAME floats", then for each quantity a line "LAYER
// ROLE QUANTITY ROWS COLUMNS" and its ROWS * COLUMNS float32.
//
// This file defines what engine/timing.h declares, so that the linker leaves the library's timing
// out: a timed engine launches its passes step by step and reports each step to timing_step. The
// addresses of the engine's memory are those of engine/state.h.
#include "../runtime/warm_up.h"
#include "base/lines.h"
#include "engine/state.h"
#include "step_values.h"

#include <omp.h>
#include <stdio.h>
#include <stdlib.h>

enum { O_BIAS_BYTES = MODEL_D_MODEL * sizeof(float), SINKS_BYTES = MODEL_N_HEADS * sizeof(float) };

struct timing {
  struct engine *engine;
  struct engine_rows rows;                // of the pass
  FILE *out;                              // NULL: the pass is not recorded
  struct memory arena, kv, o_bias, sinks; // copies on the host
  float *x;                               // (LIMIT_ROWS, MODEL_D_MODEL) the last one recorded
  float *values;                          // of the quantity that is read
  bool failed;
  struct error error; // why
};

static int least(int a, int b) {
  return a < b ? a : b;
}

// ---- what a step leaves ----

// Where the KV cache of a layer is: kv.h counts layers by their kind.
struct kv_layer {
  size_t offset, bytes; // from the cache's beginning
  int positions;
};

static struct kv_layer kv_layer(int layer) {
  const size_t element = HALF_ACTIVATIONS ? sizeof(uint16_t) : sizeof(float);
  const bool full = MODEL_LAYER_TYPES[layer] == 'f';
  int n_full = 0;
  for (int i = 0; i < layer; i++)
    n_full += MODEL_LAYER_TYPES[i] == 'f';
  const size_t first = KV_AT(layer - n_full, n_full);
  const size_t end = KV_AT(layer - n_full + !full, n_full + full);
  return (struct kv_layer){first * element, (end - first) * element,
                           full ? KV_FULL_POSITIONS : KV_SLIDING_POSITIONS};
}

// A weight of a layer's attention, on the device; NULL if the tree has none of that name.
static const void *find_weight(const struct engine *engine, int layer, const char *what) {
  const struct weight_table table = engine_weights();
  char name[128];
  snprintf(name, sizeof name, "model.layers.%d.self_attn.%s", layer, what);
  for (int i = 0; i < table.n; i++)
    if (strcmp(table.specs[i].name, name) == 0)
      return engine->weight[i];
  return NULL;
}

// What the host finds at `from` of the device after device_wait. Nothing is found at NULL.
static bool get(struct timing *dump, const void *from, size_t bytes, const struct memory *to,
                const void **found, struct error *err) {
  *found = from ? device_download(dump->engine->device, from, bytes, to->at, err) : NULL;
  return !from || *found;
}

// Copies what the readings of a step may read to the host.
static bool fetch(struct timing *dump, int layer, struct step_memory *memory, struct error *err) {
  const struct engine *engine = dump->engine;
  const struct kv_layer kv = kv_layer(layer < 0 ? 0 : layer);
  const char *cache = engine->kv.at;
  const void *arena, *o_bias, *sinks;
  *memory = (struct step_memory){.rows = &dump->rows, .x = dump->x, .positions = kv.positions};
  if (!get(dump, engine->arena.at, ARENA_BYTES, &dump->arena, &arena, err) ||
      !get(dump, cache + kv.offset, kv.bytes, &dump->kv, &memory->kv, err) ||
      !get(dump, find_weight(engine, layer, "o_proj.bias"), O_BIAS_BYTES, &dump->o_bias, &o_bias,
           err) ||
      !get(dump, find_weight(engine, layer, "sinks"), SINKS_BYTES, &dump->sinks, &sinks, err))
    return false;
  memory->arena = arena;
  memory->o_bias = o_bias;
  memory->sinks = sinks;
  return device_wait(engine->device, err);
}

// Flushes the file: a later step may end the program.
static bool write_values(const struct timing *dump, const struct schedule_step *step,
                         const struct reading *reading, struct error *err) {
  const int rows = dump->rows.rows;
  const size_t n = (size_t)rows * (size_t)reading->columns;
  fprintf(dump->out, "%d %s %s %d %d\n", step->layer, step->role, reading->quantity, rows,
          reading->columns);
  return (fwrite(dump->values, sizeof *dump->values, n, dump->out) == n &&
          fflush(dump->out) == 0) ||
         fail(err, "write of %s failed", reading->quantity);
}

// Records all quantities that a step leaves.
static bool record(struct timing *dump, const struct schedule_step *step, struct error *err) {
  struct step_memory memory;
  bool fetched = false;
  for (int i = 0; i < READING_COUNT; i++) {
    const struct reading *reading = &READINGS[i];
    if (strcmp(reading->role, step->role) != 0)
      continue;
    if (!fetched && !fetch(dump, step->layer, &memory, err))
      return false;
    fetched = true;
    reading->read(&memory, reading, dump->values);
    if (!write_values(dump, step, reading, err))
      return false;
    if (strcmp(reading->quantity, "x") == 0)
      memcpy(dump->x, dump->values, (size_t)dump->rows.rows * MODEL_D_MODEL * sizeof *dump->x);
  }
  return true;
}

// ---- engine/timing.h ----

static size_t largest_kv_layer(void) {
  size_t most = 0;
  for (int layer = 0; layer < MODEL_N_LAYERS; layer++)
    most = kv_layer(layer).bytes > most ? kv_layer(layer).bytes : most;
  return most;
}

static int most_columns(void) {
  int most = 0;
  for (int i = 0; i < READING_COUNT; i++)
    most = READINGS[i].columns > most ? READINGS[i].columns : most;
  return most;
}

bool timing_open(struct timing **out, struct device *device, int most, double began,
                 engine_timer timer, void *context, struct error *err) {
  struct timing *dump = context;
  (void)most, (void)began, (void)timer;
  *out = dump;
  dump->x = calloc((size_t)LIMIT_ROWS * MODEL_D_MODEL, sizeof *dump->x);
  dump->values = calloc((size_t)LIMIT_ROWS * (size_t)most_columns(), sizeof *dump->values);
  if (!dump->x || !dump->values)
    return fail(err, "out of memory");
  return device_alloc_host(device, &dump->arena, ARENA_BYTES, "the arena", err) &&
         device_alloc_host(device, &dump->kv, largest_kv_layer(), "keys and values", err) &&
         device_alloc_host(device, &dump->o_bias, O_BIAS_BYTES, "a bias", err) &&
         device_alloc_host(device, &dump->sinks, SINKS_BYTES, "sinks", err);
}

void timing_close(struct timing *dump) {
  if (!dump)
    return;
  device_free_host(dump->engine->device, &dump->arena);
  device_free_host(dump->engine->device, &dump->kv);
  device_free_host(dump->engine->device, &dump->o_bias);
  device_free_host(dump->engine->device, &dump->sinks);
  free(dump->x);
  free(dump->values);
}

void timing_step(void *context, int step) {
  struct timing *dump = context;
  const struct schedule_step what = schedule_step(step);
  if (dump->out && !dump->failed)
    dump->failed = !record(dump, &what, &dump->error);
}

bool timing_report(struct timing *dump, struct error *err) {
  return !dump->failed || fail(err, "%s", dump->error.text);
}

void timing_begin(struct timing *dump) {
  (void)dump;
}

void timing_load(struct timing *dump, const struct schedule_load *load) {
  (void)dump, (void)load;
}

bool timing_enter(struct timing *dump, struct error *err) {
  (void)dump, (void)err;
  return true;
}

bool timing_leave(struct timing *dump, const char *what, struct error *err) {
  (void)dump, (void)what, (void)err;
  return true;
}

// ---- passes ----

// The n tokens of a sequence from `first` on become rows of the next pass.
static void add_rows(struct timing *dump, const struct id_lines *lines, int sequence, int first,
                     int n) {
  struct engine_rows *rows = &dump->rows;
  for (int i = first; i < first + n; i++) {
    const int r = rows->rows++;
    rows->token[r] = lines->ids[lines->start[sequence] + (size_t)i];
    rows->position[r] = i;
    rows->slot[r] = (int)((int64_t)(sequence + 1) * LIMIT_SLOTS / (int64_t)lines->n) - 1;
    rows->output_row[r] = r;
  }
}

static bool run(struct timing *dump, int outputs, struct error *err) {
  struct engine_results results;
  dump->rows.outputs = outputs;
  return engine_submit(dump->engine, &dump->rows, ENGINE_LOGITS, err) &&
         engine_collect(dump->engine, &results, err);
}

// Runs the first n tokens of a sequence.
static bool run_before(struct timing *dump, const struct id_lines *lines, int sequence, int n,
                       struct error *err) {
  for (int first = 0; first < n; first += dump->rows.rows) {
    dump->rows.rows = 0;
    add_rows(dump, lines, sequence, first, least(n - first, LIMIT_CHUNK));
    if (!run(dump, 1, err))
      return false;
  }
  return true;
}

static bool check_rows(const struct id_lines *lines, int last, struct error *err) {
  const int most = least(LIMIT_ROWS, LOGITS_ROWS);
  int sum = 0;
  if (lines->n > LIMIT_SLOTS)
    return fail(err, "want at most %d sequences, found %zu", LIMIT_SLOTS, lines->n);
  for (size_t i = 0; i < lines->n; i++) {
    const int n = (int)(lines->start[i + 1] - lines->start[i]);
    const int rows = last > 0 ? least(n, last) : n;
    if (n > LIMIT_CONTEXT || rows > LIMIT_CHUNK)
      return fail(err, "sequence %zu: want at most %d tokens, %d in the pass, found %d and %d", i,
                  LIMIT_CONTEXT, LIMIT_CHUNK, n, rows);
    sum += rows;
  }
  return (sum > 0 && sum <= most) ||
         fail(err, "want 1 to %d rows in the pass, found %d", most, sum);
}

static bool run_all(struct timing *dump, const struct id_lines *lines, int last, FILE *out,
                    struct error *err) {
  for (int pass = 0; pass < 2; pass++) {
    dump->rows.rows = 0;
    for (int i = 0; i < (int)lines->n; i++) {
      const int n = (int)(lines->start[i + 1] - lines->start[i]);
      const int rows = last > 0 ? least(n, last) : n;
      if (pass == 1)
        add_rows(dump, lines, i, n - rows, rows);
      else if (!run_before(dump, lines, i, n - rows, err))
        return false;
    }
  }
  dump->out = out;
  fprintf(out, "tree %s %s\n", MODEL_NAME, HALF_ACTIVATIONS ? "halves" : "floats");
  return run(dump, dump->rows.rows, err);
}

// ---- the program ----

// An engine_timer of a timed engine.
static bool ignore_spans(void *context, bool host, const struct engine_span *spans, int n,
                         struct error *err) {
  (void)context, (void)host, (void)spans, (void)n, (void)err;
  return true;
}

static bool dump_pass(const char *folder, const struct id_lines *lines, int last, const char *path,
                      struct error *err) {
  static int32_t token[LIMIT_ROWS], position[LIMIT_ROWS], slot[LIMIT_ROWS], output_row[LIMIT_ROWS];
  struct timing dump = {.engine = engine_create(),
                        .rows = {0, 0, token, position, slot, output_row, NULL}};
  struct checkpoint *checkpoint = NULL;
  struct model_config config;
  FILE *out = fopen(path, "wb");
  bool ok = (out || fail(err, "%s: cannot be written", path)) &&
            (dump.engine || fail(err, "out of memory"));
  if (ok)
    engine_set_timer(dump.engine, ignore_spans, &dump);
  ok = ok && check_rows(lines, last, err) && checkpoint_config(&config, folder, err) &&
       checkpoint_open(&checkpoint, folder, &config, err) &&
       warm_up(dump.engine, checkpoint, err) && run_all(&dump, lines, last, out, err);
  engine_destroy(dump.engine);
  checkpoint_close(checkpoint);
  if (out)
    fclose(out);
  return ok;
}

int main(int argc, char **argv) {
  struct id_lines lines = {0};
  struct error err;
  if (argc != 5) {
    fprintf(stderr, "usage: dump_steps MODEL IDS LAST FILE\n");
    return 1;
  }
  omp_set_num_threads(1); // no thread goes on to the next step while this one is read
  const bool ok = id_lines_read(&lines, argv[2], MODEL_VOCAB, &err) &&
                  dump_pass(argv[1], &lines, atoi(argv[3]), argv[4], &err);
  id_lines_free(&lines);
  if (!ok)
    fprintf(stderr, "dump_steps: %s\n", err.text);
  return !ok;
}
