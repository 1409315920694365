// -m generate: continues a text.
#include "base/clock.h"
#include "base/interrupt.h"
#include "mode/mode.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool on_token(void *context, const struct request *request, struct error *err) {
  const struct session *session = context;
  const int32_t id = request->output[request->n_output - 1];
  size_t n;
  const char *bytes = tokenizer_bytes(session->tokenizer, id, &n);
  (void)err;
  if (bytes && !is_stop_id(&session->stop, id)) {
    fwrite(bytes, 1, n, stdout);
    fflush(stdout);
  }
  return true;
}

static bool go_on(void *context) {
  (void)context;
  return interrupt_signal() == 0;
}

static int run(struct session *session, const struct id_list *ids, int32_t *output,
               struct error *err) {
  const struct batch_options options = session_batch(session);
  const struct batch_events events = {.context = session, .token = on_token, .go_on = go_on};
  struct request request = {.prompt = ids->id,
                            .n_prompt = (int)ids->n,
                            .max_tokens = session->max_tokens,
                            .output = output};
  interrupt_catch();
  if (!session_warm_up(session, err) || !session_parity(session, ids->id, ids->n, err))
    return -1;
  fputs(session->options->input, stdout);
  fflush(stdout);
  const double began = seconds_now();
  if (!batch_run(session->engine, &request, 1, &options, &events, err))
    return -1;
  const double elapsed = seconds_now() - began;
  putchar('\n');
  fprintf(stderr, "achieved tok/s: %f\n", (double)request.n_output / elapsed);
  return interrupt_signal() ? 128 + interrupt_signal() : 0;
}

int mode_generate(struct session *session, struct error *err) {
  const char *text = session->options->input;
  struct id_list ids = {0};
  int32_t *output = calloc((size_t)session->max_tokens, sizeof *output);
  int status = -1;
  if (!output)
    fail(err, "-i: out of memory for %d tokens", session->max_tokens);
  else if (!session_encode(session, "-i", text, strlen(text), &ids, err))
    status = -1;
  else if (ids.n >= (size_t)session->max_tokens)
    fail(err, "-i: want a text of fewer than %d tokens, found %zu", session->max_tokens, ids.n);
  else
    status = run(session, &ids, output, err);
  free(output);
  free(ids.id);
  return status;
}
