// pass ROWS CONTEXT SKEW FILE [ROLE...]: runs the greedy pass of a tree on the emulator, each of
// its kinds of layers once, and writes what was launched to FILE. Compiled against the headers of a
// tree and linked with its objects in place of getp's main.
//
// Every row is the only one of its sequence, at position CONTEXT - 1, and is an output. Weights,
// cache and activations have no content: the time of a kernel does not depend on it. The experts
// are drawn: each row uses MODEL_TOP_K different ones. SKEW 0: all are equally popular; else it is
// the standard deviation of the logarithm of their popularity.
//
// The emulator appends a line to FILE (EMULATOR_TIME_FILE) for each kernel. After the kernels of a
// step comes a line "step ROLE TIMES": how often a pass runs this step with these costs. With ROLEs
// only their steps run.
#include "engine/pass.h"
#include "device/device.h"
#include "engine/description.h"

#include "arena.h"
#include "kernels.h"
#include "kv.h"
#include "model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// ---- the schedule: all steps of a greedy pass ----

struct step {
  int layer; // -1: none
  const char *role;
};

static const struct step STEPS[] = {
#define STEP(layer, role, ...) {layer, #role},
#define GREEDY STEP
#define LOGITS(...)
#define SAMPLED(...)
#include "schedule.inc"
#undef STEP
#undef GREEDY
};
enum { STEP_COUNT = sizeof STEPS / sizeof *STEPS };

static void launch(const struct pass *pass, int wanted) {
  int step = 0;
#define STEP(layer, role, ...)                                                                     \
  if (step++ == wanted)                                                                            \
    launch_##role(pass, __VA_ARGS__);
#define GREEDY STEP
#include "schedule.inc"
#undef STEP
#undef GREEDY
}

// Whether two layers have the same roles.
static bool are_alike(int layer, int other) {
  int a = 0, b = 0;
  for (;;) {
    while (a < STEP_COUNT && STEPS[a].layer != layer)
      a++;
    while (b < STEP_COUNT && STEPS[b].layer != other)
      b++;
    if (a == STEP_COUNT || b == STEP_COUNT)
      return a == b;
    if (strcmp(STEPS[a++].role, STEPS[b++].role))
      return false;
  }
}

// How often a pass runs a step like this one: once for each layer like its own. 0: an earlier layer
// is like its own, so the step need not run again.
static int times_of(int step) {
  const int layer = STEPS[step].layer;
  int times = 0;
  if (layer < 0)
    return 1;
  for (int other = 0; other < MODEL_N_LAYERS; other++) {
    if (!are_alike(layer, other))
      continue;
    if (other < layer)
      return 0;
    times++;
  }
  return times;
}

// ---- the rows ----

struct rows {
  int32_t counts[PASS_COUNTS];
  int32_t token[LIMIT_ROWS], position[LIMIT_ROWS], slot[LIMIT_ROWS], output_row[LIMIT_ROWS];
  int32_t group[LIMIT_ROWS + 1];
};

static uint64_t random_state = 88172645463325252u;

static uint32_t random_number(void) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return (uint32_t)(random_state >> 16);
}

static double random_fraction(void) {
  return (random_number() & 0xffffff) / 16777216.0;
}

static void fill_rows(struct rows *rows, int count, int context) {
  rows->counts[PASS_ROWS] = rows->counts[PASS_OUTPUTS] = rows->counts[PASS_GROUPS] = count;
  for (int r = 0; r < count; r++) {
    rows->token[r] = (int32_t)(random_number() % MODEL_VOCAB);
    rows->position[r] = context - 1;
    rows->slot[r] = rows->output_row[r] = rows->group[r] = r;
  }
  rows->group[count] = count;
}

// ---- the experts ----

// Fills in the sum of the popularity of all experts up to each one; the last is 1.
static void fill_popularity(double *sum, double skew) {
  enum { UNIFORMS = 12 }; // whose sum is normal, with variance 1
  double all = 0;
  for (int e = 0; e < MODEL_N_EXPERTS; e++) {
    double normal = -UNIFORMS / 2.0;
    for (int i = 0; i < UNIFORMS; i++)
      normal += random_fraction();
    sum[e] = all += exp(skew * normal);
  }
  for (int e = 0; e < MODEL_N_EXPERTS; e++)
    sum[e] /= all;
}

static int draw_expert(const double *sum) {
  const double at = random_fraction();
  int e = 0;
  while (e < MODEL_N_EXPERTS - 1 && sum[e] < at)
    e++;
  return e;
}

static bool has(const int32_t *experts, int n, int expert) {
  for (int k = 0; k < n; k++)
    if (experts[k] == expert)
      return true;
  return false;
}

// (rows, MODEL_TOP_K) different experts of each row.
static void fill_experts(int32_t *experts, int rows, double skew) {
  double sum[MODEL_N_EXPERTS];
  fill_popularity(sum, skew);
  for (int r = 0; r < rows; r++, experts += MODEL_TOP_K)
    for (int k = 0; k < MODEL_TOP_K; k++)
      do
        experts[k] = draw_expert(sum);
      while (has(experts, k, experts[k]));
}

// ---- memory ----

struct timed {
  struct device *device;
  struct memory packed, kv, arena, rope, rows, picked; // on the device
  struct memory host_rows, host_experts;
  const uint8_t *weight[WEIGHT_COUNT];
  struct pass pass;
};

static bool alloc_all(struct timed *timed, struct error *err) {
  struct device *device = timed->device;
  const size_t experts = sizeof(int32_t) * LIMIT_ROWS * MODEL_TOP_K;
  return device_alloc(device, &timed->packed, engine_weights().packed_bytes, "weights", err) &&
         device_alloc(device, &timed->kv, KV_BYTES, "the KV cache", err) &&
         device_alloc(device, &timed->arena, ARENA_BYTES, "activations", err) &&
         device_alloc(device, &timed->rope, ROPE_BYTES, "the RoPE table", err) &&
         device_alloc(device, &timed->rows, sizeof(struct rows), "rows", err) &&
         device_alloc(device, &timed->picked, sizeof(int32_t) * LIMIT_ROWS, "picked ids", err) &&
         device_alloc_host(device, &timed->host_rows, sizeof(struct rows), "rows", err) &&
         device_alloc_host(device, &timed->host_experts, experts, "experts", err);
}

static void free_all(struct timed *timed) {
  struct device *device = timed->device;
  if (!device)
    return;
  struct memory *all[] = {&timed->packed, &timed->kv,   &timed->arena,
                          &timed->rope,   &timed->rows, &timed->picked};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    device_free(device, all[i]);
  device_free_host(device, &timed->host_rows);
  device_free_host(device, &timed->host_experts);
  device_close(device);
}

// The smallest bucket for so many rows.
static int bucket_of(int rows) {
  int b = 0;
  while (ROW_BUCKETS[b] < rows)
    b++;
  return ROW_BUCKETS[b];
}

static struct pass make_pass(const struct timed *timed, int rows) {
  const struct rows *record = timed->rows.at; // an address on the device, never read here
  return (struct pass){
      .rows = bucket_of(rows),
      .outputs = bucket_of(rows),
      .counts = record->counts,
      .token = record->token,
      .position = record->position,
      .slot = record->slot,
      .output_row = record->output_row,
      .group = record->group,
      .picked = timed->picked.at,
      .picked_before = timed->picked.at,
      .arena = timed->arena.at,
      .kv = timed->kv.at,
      .rope_cos = timed->rope.at,
      .rope_sin = (const float *)timed->rope.at + ROPE_BYTES / 2 / sizeof(float),
      .stream = device_stream(timed->device),
      .weight = timed->weight,
  };
}

// ---- the run ----

struct options {
  int rows, context;
  double skew;
  const char *path;
  char **roles; // (n_roles) none: all
  int n_roles;
};

static bool is_wanted(const struct options *options, const char *role) {
  for (int i = 0; i < options->n_roles; i++)
    if (!strcmp(options->roles[i], role))
      return true;
  return options->n_roles == 0;
}

static bool write_step(const char *path, int step, struct error *err) {
  FILE *file = fopen(path, "a");
  const bool ok = file && fprintf(file, "step %s %d\n", STEPS[step].role, times_of(step)) > 0;
  if (file && fclose(file) == 0 && ok)
    return true;
  return fail(err, "%s: cannot write the file", path);
}

// The router of a layer without weights chooses the same experts for all rows; the drawn ones take
// their place.
static bool send_experts(struct timed *timed, int rows, struct error *err) {
  const size_t bytes = (size_t)rows * MODEL_TOP_K * sizeof(int32_t);
  return device_upload(timed->device, timed->pass.arena + BUF_EXPERT, timed->host_experts.at, bytes,
                       err);
}

static bool run_steps(struct timed *timed, const struct options *options, struct error *err) {
  for (int step = 0; step < STEP_COUNT; step++) {
    const char *role = STEPS[step].role;
    if (times_of(step) == 0 || !is_wanted(options, role))
      continue;
    if (!strncmp(role, "moe_", 4) && !send_experts(timed, options->rows, err))
      return false;
    launch(&timed->pass, step);
    if (!device_wait(timed->device, err) || !write_step(options->path, step, err))
      return false;
  }
  return true;
}

static bool run(struct timed *timed, const struct options *options, struct error *err) {
  if (!device_open(&timed->device, err) || !alloc_all(timed, err))
    return false;
  const struct weight_table table = engine_weights();
  for (int i = 0; i < WEIGHT_COUNT; i++)
    timed->weight[i] = (const uint8_t *)timed->packed.at + table.specs[i].offset;
  timed->pass = make_pass(timed, options->rows);
  memset(timed->host_rows.at, 0, sizeof(struct rows));
  fill_rows(timed->host_rows.at, options->rows, options->context);
  fill_experts(timed->host_experts.at, options->rows, options->skew);
  return device_upload(timed->device, timed->rows.at, timed->host_rows.at, sizeof(struct rows),
                       err) &&
         run_steps(timed, options, err);
}

static bool parse(struct options *options, int argc, char **argv, struct error *err) {
  if (argc < 5)
    return fail(err, "want ROWS CONTEXT SKEW FILE [ROLE...]");
  *options =
      (struct options){atoi(argv[1]), atoi(argv[2]), atof(argv[3]), argv[4], argv + 5, argc - 5};
  if (options->rows < 1 || options->rows > LIMIT_ROWS)
    return fail(err, "ROWS: want 1 to %d for this tree, found %.20s", LIMIT_ROWS, argv[1]);
  if (options->context < 1 || options->context > LIMIT_CONTEXT)
    return fail(err, "CONTEXT: want 1 to %d for this tree, found %.20s", LIMIT_CONTEXT, argv[2]);
  return true;
}

int main(int argc, char **argv) {
  struct options options = {0};
  struct timed timed = {0};
  struct error err = {"failed"};
  const bool ok = parse(&options, argc, argv, &err) && run(&timed, &options, &err);
  if (!ok)
    fprintf(stderr, "pass: %s\n", err.text);
  free_all(&timed);
  return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
