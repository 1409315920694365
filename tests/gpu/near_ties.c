// near_ties MODEL IDS LOGITS BOUND: compares logits that a device computed in 16 bits, as getp -m
// logits writes them, with those of reference.c, position by position.
//
// If the logits of two experts are nearly equal, 16-bit activations may swap the last expert that
// is chosen and the first that is not, and everything computed after that choice is another number.
// A position beyond BOUND is therefore computed again with one such choice swapped, the one that
// brings it nearest. It passes if its error is then below BOUND, and later positions are compared
// with what follows from that choice.
//
// A choice may be swapped only if the oracle's own logits of the two experts differ by less than
// NEAR times the range of all experts' logits. The error of an activation with 11 bits is up to
// 2^-11 of its value. A dozen such errors of random sign, from the operands of the products before
// a router, add up to a few times that in the router's input, and so in its logits.
//
// Prints each choice that it swapped and one line for all: "WORST error, SWAPPED of CHOICES
// choices". Exits with status 1 and a line on stderr if a position stays beyond BOUND.
#include "base/lines.h"
#include "checkpoint/config.h"
#include "reference/reference.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double NEAR = 0x1p-8;

enum { MOST = 64 }; // swapped choices of a sequence

// A choice between two experts that nearly tie.
struct tie {
  int position, layer;
  int chosen, other;
  double margin; // difference of their logits per range of all experts' logits
};

// One sequence, and the choices that are swapped in it.
struct sequence {
  const struct checkpoint *checkpoint;
  const struct model_config *config;
  const int32_t *ids;
  const float *got; // (n, vocab)
  int n;
  double bound;
  struct tie swapped[MOST];
  int n_swapped;
  // The last run: the position where it ended, the error there, the worst error before it, and the
  // near ties at that position that are not swapped.
  int position;
  double error, worst;
  struct tie ties[CONFIG_MAX_LAYERS];
  int n_ties;
};

// True if expert a is better than expert b.
static bool is_better(const float *logits, int a, int b) {
  return logits[a] > logits[b] || (logits[a] == logits[b] && a < b);
}

// The expert that exactly `rank` others are better than.
static int expert_of_rank(const float *logits, int n, int rank) {
  for (int e = 0; e < n; e++) {
    int ahead = 0;
    for (int i = 0; i < n; i++)
      ahead += is_better(logits, i, e);
    if (ahead == rank)
      return e;
  }
  return -1;
}

// The last expert that is chosen and the first that is not.
static struct tie closest(const float *logits, const struct model_config *config, int layer,
                          int position) {
  const int n = config->n_experts, chosen = expert_of_rank(logits, n, config->top_k - 1);
  const int other = expert_of_rank(logits, n, config->top_k);
  const double range =
      (double)logits[expert_of_rank(logits, n, 0)] - logits[expert_of_rank(logits, n, n - 1)];
  return (struct tie){.position = position,
                      .layer = layer,
                      .chosen = chosen,
                      .other = other,
                      .margin = ((double)logits[chosen] - logits[other]) / range};
}

static bool is_swapped(const struct sequence *sequence, int layer, int position) {
  for (int i = 0; i < sequence->n_swapped; i++)
    if (sequence->swapped[i].layer == layer && sequence->swapped[i].position == position)
      return true;
  return false;
}

// A reference_route: swaps a choice that is listed as swapped, and notes one that nearly ties.
static void on_route(void *context, int layer, int position, float *logits) {
  struct sequence *sequence = context;
  if (layer == 0)
    sequence->n_ties = 0;
  if (sequence->config->top_k == sequence->config->n_experts)
    return;
  const struct tie tie = closest(logits, sequence->config, layer, position);
  if (is_swapped(sequence, layer, position)) {
    const float value = logits[tie.chosen];
    logits[tie.chosen] = logits[tie.other];
    logits[tie.other] = value;
  } else if (tie.margin < NEAR)
    sequence->ties[sequence->n_ties++] = tie;
}

// |got - want| / |want|
static double relative_error(const float *got, const float *want, int n) {
  double difference = 0, norm = 0;
  for (int i = 0; i < n; i++) {
    difference += ((double)got[i] - want[i]) * ((double)got[i] - want[i]);
    norm += (double)want[i] * want[i];
  }
  return sqrt(difference / norm);
}

// A reference_visit: ends the run at a position beyond the bound.
static bool on_position(void *context, int position, const float *logits, const float *hidden,
                        struct error *err) {
  struct sequence *sequence = context;
  const int vocab = sequence->config->vocab;
  (void)hidden;
  sequence->position = position;
  sequence->error = relative_error(sequence->got + (size_t)position * (size_t)vocab, logits, vocab);
  if (!(sequence->error < sequence->bound))
    return fail(err, "position %d: error %.2g: no choice of experts that nearly ties explains it",
                position, sequence->error);
  sequence->worst = fmax(sequence->worst, sequence->error);
  return true;
}

// Runs the first n positions. False if a position is beyond the bound or the run failed; in the
// latter case sequence->error is within the bound.
static bool run(struct sequence *sequence, int n, struct error *err) {
  sequence->error = sequence->worst = 0;
  return reference_run_routed(sequence->checkpoint, sequence->config, sequence->ids, n, on_position,
                              on_route, sequence, err);
}

// Swaps the near tie that lowers the error most at the position where the run ended. False if none
// does; *err is then still that of the run.
static bool swap_best(struct sequence *sequence, struct error *err) {
  struct tie ties[CONFIG_MAX_LAYERS];
  const int n = sequence->n_ties, position = sequence->position;
  double least = sequence->error;
  int best = -1;
  if (sequence->n_swapped == MOST)
    return fail(err, "want at most %d swapped choices, found more", MOST);
  memcpy(ties, sequence->ties, sizeof ties);
  for (int i = 0; i < n; i++) {
    struct error ignored;
    sequence->swapped[sequence->n_swapped++] = ties[i];
    run(sequence, position + 1, &ignored);
    sequence->n_swapped--;
    if (sequence->error < least) {
      least = sequence->error;
      best = i;
    }
  }
  if (best < 0)
    return false;
  sequence->swapped[sequence->n_swapped++] = ties[best];
  return true;
}

static bool compare(struct sequence *sequence, struct error *err) {
  while (!run(sequence, sequence->n, err))
    if (sequence->error < sequence->bound || !swap_best(sequence, err))
      return false;
  return true;
}

static void report(const struct sequence *sequence, size_t number) {
  for (int i = 0; i < sequence->n_swapped; i++) {
    const struct tie *tie = &sequence->swapped[i];
    printf("sequence %zu, position %d, layer %d: expert %d for %d, whose logits differ by %.1e of "
           "the range\n",
           number, tie->position, tie->layer, tie->other, tie->chosen, tie->margin);
  }
}

static bool compare_all(const char *folder, const struct id_lines *lines, const struct text *logits,
                        double bound, struct error *err) {
  struct model_config config;
  struct checkpoint *checkpoint = NULL;
  struct sequence *sequence = malloc(sizeof *sequence);
  double worst = 0;
  int swapped = 0;
  bool ok = sequence || fail(err, "out of memory");
  ok = ok && checkpoint_config(&config, folder, err) &&
       checkpoint_open(&checkpoint, folder, &config, err);
  const size_t vocab = ok ? (size_t)config.vocab : 0, positions = lines->start[lines->n];
  if (ok && logits->n != positions * vocab * sizeof(float))
    ok = fail(err, "want %zu bytes of logits, found %zu", positions * vocab * sizeof(float),
              logits->n);
  for (size_t i = 0; ok && i < lines->n; i++) {
    const size_t first = lines->start[i];
    struct error why = {{0}};
    *sequence = (struct sequence){.checkpoint = checkpoint,
                                  .config = &config,
                                  .ids = lines->ids + first,
                                  .got = (const float *)logits->bytes + first * vocab,
                                  .n = (int)(lines->start[i + 1] - first),
                                  .bound = bound};
    ok = compare(sequence, &why) || fail(err, "sequence %zu: %s", i, why.text);
    report(sequence, i);
    worst = fmax(worst, sequence->worst);
    swapped += sequence->n_swapped;
  }
  if (ok)
    printf("%.2g error, %d of %zu choices\n", worst, swapped, positions * (size_t)config.n_layers);
  checkpoint_close(checkpoint);
  free(sequence);
  return ok;
}

int main(int argc, char **argv) {
  struct error err;
  struct id_lines lines = {0};
  struct text logits = {0};
  if (argc != 5) {
    fprintf(stderr, "usage: near_ties MODEL IDS LOGITS BOUND\n");
    return 1;
  }
  const bool ok = id_lines_read(&lines, argv[2], INT32_MAX, &err) &&
                  text_read(&logits, argv[3], &err) &&
                  compare_all(argv[1], &lines, &logits, strtod(argv[4], NULL), &err);
  id_lines_free(&lines);
  free(logits.bytes);
  if (!ok)
    fprintf(stderr, "near_ties: %s\n", err.text);
  return !ok;
}
