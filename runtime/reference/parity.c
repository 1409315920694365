#include "reference/parity.h"

#include "base/interrupt.h"
#include "reference/reference.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct parity {
  int vocab;
  float *got; // (positions, vocab) the engine's logits
  struct parity_error error;
};

// The larger number; a NaN counts as larger than any.
static double larger(double a, double b) {
  return isnan(a) || b <= a ? a : b;
}

void parity_add(struct parity_error *error, int position, const float *got, const float *want,
                int vocab) {
  double difference = 0, norm = 0, max_abs = 0, largest = 0;
  for (int i = 0; i < vocab; i++) {
    const double d = fabs((double)got[i] - want[i]), w = fabs((double)want[i]);
    difference += d * d;
    norm += w * w;
    max_abs = larger(max_abs, d);
    largest = larger(largest, w);
  }
  const double l2 = difference == 0 ? 0 : sqrt(difference / norm);
  if (!isnan(error->l2) && !(l2 <= error->l2))
    error->position = position;
  error->l2 = larger(error->l2, l2);
  error->max_abs = larger(error->max_abs, max_abs);
  error->max_rel = larger(error->max_rel, max_abs == 0 ? 0 : max_abs / largest);
}

bool parity_positions(int *positions, struct error *err) {
  const char *text = getenv("GETP_PARITY");
  char *end;
  *positions = 0;
  if (!text)
    return true;
  errno = 0;
  const long value = strtol(text, &end, 10);
  if (!isdigit((unsigned char)*text) || *end || errno || value < 1 || value > INT_MAX)
    return fail(err, "GETP_PARITY: want an integer from 1 to %d, found \"%s\"", INT_MAX, text);
  *positions = (int)value;
  return true;
}

static bool on_engine(void *context, const struct request *request, int position,
                      const float *logits, struct error *err) {
  const struct parity *parity = context;
  const size_t vocab = (size_t)parity->vocab;
  (void)request;
  (void)err;
  memcpy(parity->got + (size_t)position * vocab, logits, vocab * sizeof *logits);
  return true;
}

static bool go_on(void *context) {
  (void)context;
  return interrupt_signal() == 0;
}

static bool on_reference(void *context, int position, const float *logits, const float *hidden,
                         struct error *err) {
  struct parity *parity = context;
  const float *got = parity->got + (size_t)position * (size_t)parity->vocab;
  (void)hidden;
  parity_add(&parity->error, position, got, logits, parity->vocab);
  return interrupt_signal() ? fail(err, "GETP_PARITY: stopped: signal %d", interrupt_signal())
                            : true;
}

static bool report(const struct parity_error *error, int n, double bound, struct error *err) {
  fprintf(stderr,
          "getp: parity of %d positions: max abs %.2e, max rel %.2e, relative L2 %.2e at position "
          "%d\n",
          n, error->max_abs, error->max_rel, error->l2, error->position);
  return error->l2 <= bound
             ? true
             : fail(err,
                    "GETP_PARITY: position %d: want a relative L2 error of at most %.2g, found "
                    "%.2e: the generated forward pass and the plain one differ",
                    error->position, bound, error->l2);
}

bool parity_check(struct engine *engine, const struct batch_options *options,
                  const struct checkpoint *checkpoint, const struct model_config *config,
                  const int32_t *ids, int n, struct error *err) {
  struct parity parity = {.vocab = config->vocab};
  const double bound = engine_limits().halves ? PARITY_BOUND_HALVES : PARITY_BOUND;
  const struct batch_events events = {.context = &parity, .logits = on_engine, .go_on = go_on};
  struct request request = {.prompt = ids, .n_prompt = n, .max_tokens = n};
  parity.got = calloc((size_t)n * (size_t)parity.vocab, sizeof *parity.got);
  bool ok = parity.got || fail(err, "GETP_PARITY: out of memory for the logits of %d positions", n);
  ok = ok && batch_run(engine, &request, 1, options, &events, err);
  if (ok && request.done) {
    ok = reference_run(checkpoint, config, ids, n, on_reference, &parity, err);
    ok = interrupt_signal() ? true : ok && report(&parity.error, n, bound, err);
  }
  free(parity.got);
  return ok;
}
