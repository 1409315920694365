// draws KIND DRAWS: draws ids on a device and compares their counts with exact probabilities. It is
// linked with a tree, instead of getp's main, whose vocabulary has the size that is to be tested.
// Logits of a kind of draw_support.h are cut in each way, summed once and drawn from DRAWS times.
// It prints TAP.
#include "../runtime/draw_support.h"
#include "arena.h"
#include "device/device.h"
#include "kernels.h"
#include "model.h"
#include "serve/sampler.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// The sums of all outputs are made anew for each distribution, so there are few of them. A round
// draws from each of them. A wait for the device takes long in the CPU harness, so there is one for
// many rounds.
enum { VOCAB = MODEL_VOCAB, OUTPUTS = 32, ROUNDS = 128, BATCH = ROUNDS * OUTPUTS };
static const size_t LOGITS_USED = (size_t)OUTPUTS * VOCAB * sizeof(float);

// The part of a pass that the device reads.
struct record {
  int32_t counts[PASS_COUNTS];
  struct draw draw[BATCH];
};

struct test {
  struct device *device;
  struct memory arena, record, picked, host_logits, host_record, host_picked;
  struct distribution distribution;
  struct pass pass;
  int draws;
  int *counts; // (VOCAB)
  double *p;   // (VOCAB)
};

static bool allocate(struct test *test, struct error *err) {
  test->counts = calloc(VOCAB, sizeof *test->counts);
  test->p = calloc(VOCAB, sizeof *test->p);
  struct device **device = &test->device;
  return test->counts && test->p && distribution_open(&test->distribution, VOCAB, err) &&
         device_open(device, err) &&
         device_alloc(*device, &test->arena, ARENA_BYTES, "the arena", err) &&
         device_alloc(*device, &test->record, sizeof(struct record), "the record", err) &&
         device_alloc(*device, &test->picked, BATCH * sizeof(int32_t), "ids", err) &&
         device_alloc_host(*device, &test->host_logits, LOGITS_USED, "logits", err) &&
         device_alloc_host(*device, &test->host_record, sizeof(struct record), "the record", err) &&
         device_alloc_host(*device, &test->host_picked, BATCH * sizeof(int32_t), "ids", err);
}

static void release(struct test *test) {
  struct device *device = test->device;
  if (device) {
    device_free(device, &test->arena);
    device_free(device, &test->record);
    device_free(device, &test->picked);
    device_free_host(device, &test->host_logits);
    device_free_host(device, &test->host_record);
    device_free_host(device, &test->host_picked);
  }
  device_close(device);
  distribution_close(&test->distribution);
  free(test->counts);
  free(test->p);
}

// All outputs have the same logits.
static bool upload_logits(struct test *test, int kind, struct error *err) {
  float *logits = test->host_logits.at;
  draw_logits(kind, logits, VOCAB);
  for (int i = 1; i < OUTPUTS; i++)
    memcpy(logits + (size_t)i * VOCAB, logits, VOCAB * sizeof *logits);
  return device_upload(test->device, (char *)test->arena.at + BUF_LOGITS, logits, LOGITS_USED, err);
}

// Uploads the draws from number `first` on; returns how many of DRAWS they are.
static int upload_draws(struct test *test, int way, int first, struct error *err) {
  struct record *record = test->host_record.at;
  const int left = test->draws - first, n = left < BATCH ? left : BATCH;
  memset(record, 0, sizeof *record);
  record->counts[PASS_OUTPUTS] = BATCH;
  for (int i = 0; i < BATCH; i++) {
    record->draw[i] = draw_way(way);
    record->draw[i].uniform = sampler_uniform(4, (uint64_t)way, (uint64_t)(first + i));
  }
  return device_upload(test->device, test->record.at, record, sizeof *record, err) ? n : -1;
}

static bool draw_some(struct test *test, int way, int first, int *n, struct error *err) {
  const int32_t *picked = test->host_picked.at;
  struct pass pass = test->pass;
  *n = upload_draws(test, way, first, err);
  if (*n < 0)
    return false;
  if (first == 0)
    launch_vocab_sums(&pass, BUF_LOGITS, BUF_SUMS);
  for (; pass.first_output < *n; pass.first_output += OUTPUTS)
    launch_draw(&pass, BUF_LOGITS, BUF_SUMS);
  if (!device_download(test->device, test->picked.at, BATCH * sizeof *picked, test->host_picked.at,
                       err) ||
      !device_wait(test->device, err))
    return false;
  for (int i = 0; i < *n; i++)
    if (picked[i] >= 0 && picked[i] < VOCAB)
      test->counts[picked[i]]++;
  return true;
}

// How many ids of the last draws differ from those that the host draws.
static int count_others(struct test *test, int way) {
  const struct record *record = test->host_record.at;
  const int32_t *picked = test->host_picked.at;
  const struct draw draw = draw_way(way);
  int others = 0;
  distribution_set(&test->distribution, test->host_logits.at, &draw);
  for (int i = 0; i < OUTPUTS; i++)
    others += picked[i] != distribution_pick(&test->distribution, record->draw[i].uniform);
  return others;
}

static bool check(struct test *test, int kind, int way, bool *good, struct error *err) {
  const struct draw draw = draw_way(way);
  char what[100];
  memset(test->counts, 0, VOCAB * sizeof *test->counts);
  for (int first = 0, n; first < test->draws; first += n)
    if (!draw_some(test, way, first, &n, err))
      return false;
  draw_probabilities(test->host_logits.at, VOCAB, &draw, test->p);
  snprintf(what, sizeof what, "%s, %s", DRAW_KIND_NAMES[kind], DRAW_WAY_NAMES[way]);
  *good = draw_counts_follow(what, test->counts, test->p, VOCAB, test->draws) && *good;
  const int others = count_others(test, way);
  printf("%s %s: %d of %d ids are not those of the host\n", others ? "not ok" : "ok", what, others,
         OUTPUTS);
  *good = *good && others == 0;
  return true;
}

// What is picked from logits that are not all numbers, by each way of drawing and greedily.
static const struct unusual {
  const char *what;
  float all, last; // the logits, and the last of them
  int32_t want;
} UNUSUAL[] = {
    {"one is NaN", 1, NAN, PICKED_NAN},
    {"all are NaN", NAN, NAN, PICKED_NAN},
    {"all are -inf", -INFINITY, -INFINITY, PICKED_NOTHING},
    {"all but one are -inf", -INFINITY, -3, VOCAB - 1},
    {"one is inf", 1, INFINITY, VOCAB - 1},
    {"-inf and NaN", -INFINITY, NAN, PICKED_NAN},
    {"inf and NaN", INFINITY, NAN, PICKED_NAN},
    {"all are inf", INFINITY, INFINITY, 0},
};

static bool check_unusual(struct test *test, const struct unusual *unusual, bool *good,
                          struct error *err) {
  float *logits = test->host_logits.at;
  struct record *record = test->host_record.at;
  const int32_t *picked = test->host_picked.at;
  for (size_t i = 0; i < (size_t)OUTPUTS * VOCAB; i++)
    logits[i] = i % VOCAB == VOCAB - 1 ? unusual->last : unusual->all;
  for (int i = 0; i < OUTPUTS; i++) {
    record->draw[i] = draw_way(i % DRAW_WAYS);
    record->draw[i].uniform = i / (double)OUTPUTS;
    record->draw[i].sharpness = i < DRAW_WAYS ? 0 : record->draw[i].sharpness;
  }
  record->counts[PASS_OUTPUTS] = OUTPUTS;
  if (!device_upload(test->device, (char *)test->arena.at + BUF_LOGITS, logits, LOGITS_USED, err) ||
      !device_upload(test->device, test->record.at, record, sizeof *record, err))
    return false;
  launch_vocab_sums(&test->pass, BUF_LOGITS, BUF_SUMS);
  launch_draw(&test->pass, BUF_LOGITS, BUF_SUMS);
  if (!device_download(test->device, test->picked.at, OUTPUTS * sizeof *picked,
                       test->host_picked.at, err) ||
      !device_wait(test->device, err))
    return false;
  int others = 0;
  for (int i = 0; i < OUTPUTS; i++) {
    distribution_set(&test->distribution, logits, &record->draw[i]);
    others += picked[i] != unusual->want;
    others += distribution_pick(&test->distribution, record->draw[i].uniform) != unusual->want;
  }
  printf("%s %s: %d picks are not %d\n", others ? "not ok" : "ok", unusual->what, others,
         unusual->want);
  *good = *good && others == 0;
  return true;
}

static bool run(struct test *test, int kind, bool *good, struct error *err) {
  const struct record *record = test->record.at; // an address on the device
  test->pass = (struct pass){.outputs = OUTPUTS,
                             .counts = record->counts,
                             .draw = record->draw,
                             .picked = test->picked.at,
                             .arena = test->arena.at,
                             .stream = device_stream(test->device)};
  for (size_t i = 0; kind == 0 && i < sizeof UNUSUAL / sizeof *UNUSUAL; i++)
    if (!check_unusual(test, &UNUSUAL[i], good, err))
      return false;
  if (!upload_logits(test, kind, err))
    return false;
  for (int way = 0; way < DRAW_WAYS; way++)
    if (!check(test, kind, way, good, err))
      return false;
  return true;
}

int main(int argc, char **argv) {
  const int kind = argc == 3 ? atoi(argv[1]) : -1;
  struct test test = {.draws = argc == 3 ? atoi(argv[2]) : 0};
  struct error err = {"out of memory"};
  bool good = true;
  if (kind < 0 || kind >= DRAW_KINDS || test.draws < 1) {
    fprintf(stderr, "usage: draws KIND DRAWS\n");
    return 1;
  }
  const bool ran = allocate(&test, &err) && run(&test, kind, &good, &err);
  if (!ran)
    printf("not ok draws: %s\n", err.text);
  release(&test);
  return !(ran && good);
}
