// -m generate: continues a text.
#include "base/clock.h"
#include "base/interrupt.h"
#include "mode/mode.h"
#include "terminal.h"

#include <stdio.h>
#include <stdlib.h>

struct generation {
  struct session *session;
  struct terminal screen;
  struct text text;  // to continue
  const char *where; // it came from
};

static bool on_token(void *context, const struct request *request, struct error *err) {
  struct generation *generation = context;
  const int32_t id = request->output[request->n_output - 1];
  size_t n;
  const char *bytes = tokenizer_bytes(generation->session->tokenizer, id, &n);
  (void)err;
  if (bytes && !is_stop_id(&generation->session->stop, id)) {
    terminal_write(&generation->screen, bytes, n);
    fflush(stdout);
  }
  return true;
}

static bool go_on(void *context) {
  (void)context;
  return interrupt_signal() == 0;
}

static int run(struct generation *generation, const struct id_list *ids, int32_t *output,
               struct error *err) {
  struct session *session = generation->session;
  const struct batch_options options = session_batch(session);
  const struct batch_events events = {.context = generation, .token = on_token, .go_on = go_on};
  struct request request = {.prompt = ids->id,
                            .n_prompt = (int)ids->n,
                            .max_tokens = session->max_tokens,
                            .output = output};
  session_say_seed(session);
  interrupt_catch();
  if (!session_warm_up(session, err) || !session_parity(session, ids->id, ids->n, err))
    return -1;
  generation->screen = terminal_open(stdout);
  terminal_write(&generation->screen, generation->text.bytes, generation->text.n);
  fflush(stdout);
  const double began = seconds_now();
  if (!batch_run(session->engine, &request, 1, &options, &events, err))
    return -1;
  const double elapsed = seconds_now() - began;
  terminal_end(&generation->screen);
  putchar('\n');
  if (!request_check(&request, generation->where, err))
    return -1;
  fprintf(stderr, "achieved tok/s: %f\n", (double)request.n_output / elapsed);
  return interrupt_signal() ? 128 + interrupt_signal() : 0;
}

static int generate(struct generation *generation, struct id_list *ids, struct error *err) {
  struct session *session = generation->session;
  const struct text *text = &generation->text;
  int32_t *output = calloc((size_t)session->max_tokens, sizeof *output);
  int status = -1;
  if (!output)
    fail(err, "%s: out of memory for %d tokens", generation->where, session->max_tokens);
  else if (!session_encode(session, generation->where, text->bytes, text->n, ids, err))
    status = -1;
  else if (ids->n >= (size_t)session->max_tokens)
    fail(err, "%s: want a text of fewer than %d tokens, found %zu", generation->where,
         session->max_tokens, ids->n);
  else
    status = run(generation, ids, output, err);
  free(output);
  return status;
}

int mode_generate(struct session *session, struct error *err) {
  struct generation generation = {.session = session};
  struct id_list ids = {0};
  const bool ok = session_read_input(session, &generation.text, &generation.where, err);
  const int status = ok ? generate(&generation, &ids, err) : -1;
  free(generation.text.bytes);
  free(ids.id);
  return status;
}
