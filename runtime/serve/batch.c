#include "serve/batch.h"

#include "formats/handed_token.h"

#include <stdlib.h>

// A running request. Its tokens are those of the prompt, those of the output so far, and `pending`
// ones that passes in flight will pick.
struct sequence {
  struct request *request; // NULL: the slot is free
  unsigned number;         // of the sequence: no other of this batch has it
  int sent;                // tokens that are in the KV cache, or rows of a pass in flight
  int pending;             // at most one per pass in flight
  int pending_output;      // the output of the newest pass that picks the last pending token
};

// An output of a pass: the position whose result it is.
struct pass_output {
  int slot, position;
  unsigned sequence; // its number
};

struct pass_in_flight {
  int outputs;
  struct pass_output *output; // (outputs)
};

struct batch {
  struct engine *engine;
  const struct batch_options *options;
  const struct batch_events *events;
  struct engine_limits limits;
  enum engine_result result;
  struct request *waiting; // (n_waiting) the rest of the array of requests
  int n_waiting;
  unsigned begun;             // sequences
  struct sequence *sequences; // (slots)
  struct engine_rows rows;    // of the next pass
  struct pass_in_flight in_flight[ENGINE_PASSES];
  unsigned submitted, collected; // passes
};

static int known_tokens(const struct sequence *sequence) {
  return sequence->request->n_prompt + sequence->request->n_output;
}

static int32_t token_at(const struct request *request, int position) {
  return position < request->n_prompt ? request->prompt[position]
                                      : request->output[position - request->n_prompt];
}

// The number of tokens that may be sent. A pending token may be sent, since the device hands it to
// the next pass; but not if it is the last of max_tokens, since no token follows it.
static int sendable_tokens(const struct sequence *sequence) {
  const int tokens = known_tokens(sequence) + sequence->pending;
  return sequence->pending > 0 && tokens == sequence->request->max_tokens ? sequence->sent : tokens;
}

static struct pass_in_flight *next_pass(struct batch *batch) {
  return &batch->in_flight[batch->submitted % ENGINE_PASSES];
}

static bool finish_request(struct batch *batch, struct request *request, struct error *err) {
  request->done = true;
  return !batch->events->finished || batch->events->finished(batch->events->context, request, err);
}

static bool needs_passes(const struct batch *batch, const struct request *request) {
  return batch->events->logits || request->n_prompt < request->max_tokens;
}

// The next request that needs passes, or NULL. Finishes those of the array that need none.
static bool next_request(struct batch *batch, struct request **request, struct error *err) {
  if (batch->events->next)
    return batch->events->next(batch->events->context, request, err);
  *request = NULL;
  while (batch->n_waiting > 0 && !*request) {
    struct request *next = batch->waiting++;
    batch->n_waiting--;
    if (needs_passes(batch, next))
      *request = next;
    else if (!finish_request(batch, next, err))
      return false;
  }
  return true;
}

// Gives free slots to requests that wait.
static bool fill_slots(struct batch *batch, struct error *err) {
  for (int s = 0; s < batch->options->slots; s++) {
    struct sequence *sequence = &batch->sequences[s];
    struct request *request;
    if (sequence->request)
      continue;
    if (!next_request(batch, &request, err))
      return false;
    if (!request)
      return true;
    *sequence =
        (struct sequence){.request = request, .number = batch->begun++, .sent = request->cached};
  }
  return true;
}

// ---- the rows of a pass ----

// How the token after `position` is picked.
static struct draw next_draw(const struct batch *batch, const struct request *request,
                             int position) {
  return sampler_draw(batch->options->sampler, request->stream, (uint64_t)position + 1);
}

// Makes the last row an output. If `picks`, the token after that row becomes pending.
static void add_output(struct batch *batch, int slot, bool picks) {
  struct engine_rows *rows = &batch->rows;
  struct pass_in_flight *pass = next_pass(batch);
  struct sequence *sequence = &batch->sequences[slot];
  const int output = rows->outputs++, position = rows->position[rows->rows - 1];
  rows->output_row[output] = rows->rows - 1;
  if (batch->result == ENGINE_PICKED)
    rows->draw[output] = next_draw(batch, sequence->request, position);
  pass->output[output] = (struct pass_output){slot, position, sequence->number};
  if (picks) {
    sequence->pending++;
    sequence->pending_output = output;
  }
}

// Adds the next `count` tokens of a sequence as rows. The row of its last token is an output; for
// batch_events.logits every row is.
static void add_rows(struct batch *batch, int slot, int count) {
  struct engine_rows *rows = &batch->rows;
  struct sequence *sequence = &batch->sequences[slot];
  const int known = known_tokens(sequence), end = known + sequence->pending;
  for (int i = 0; i < count; i++) {
    const int position = sequence->sent++;
    rows->token[rows->rows] = position < known ? token_at(sequence->request, position)
                                               : HANDED_TOKEN(sequence->pending_output);
    rows->position[rows->rows] = position;
    rows->slot[rows->rows++] = slot;
    if (batch->events->logits || sequence->sent == end)
      add_output(batch, slot, sequence->sent == end);
  }
}

// Fills in the rows of the next pass: first the sequences that need a single row, so that none of
// them waits for a prompt, then chunks of prompts in order of slots while there is room. If every
// row is an output, the engine's limit for logits bounds the rows, too.
static void fill_rows(struct batch *batch) {
  const struct engine_limits *limits = &batch->limits;
  const int max_rows =
      batch->events->logits && limits->logits < limits->rows ? limits->logits : limits->rows;
  batch->rows.rows = batch->rows.outputs = 0;
  for (int single = 1; single >= 0; single--)
    for (int s = 0; s < batch->options->slots; s++) {
      const struct sequence *sequence = &batch->sequences[s];
      const int room = max_rows - batch->rows.rows;
      int count = sequence->request ? sendable_tokens(sequence) - sequence->sent : 0;
      if (count == 0 || (count == 1) != single)
        continue;
      count = count < batch->options->chunk ? count : batch->options->chunk;
      add_rows(batch, s, count < room ? count : room);
    }
  next_pass(batch)->outputs = batch->rows.outputs;
}

// ---- the outputs of a pass ----

// The id that follows `position`, from output `output` of the results.
static int32_t pick_token(const struct batch *batch, const struct request *request, int position,
                          const struct engine_results *results, int output) {
  if (results->picked)
    return results->picked[output];
  const struct draw draw = next_draw(batch, request, position);
  return sampler_pick(batch->options->sampler, &draw,
                      results->logits + (size_t)output * (size_t)batch->limits.vocab);
}

// Ends a sequence whose logits were no numbers. Its keys and values are none either, and the next
// sequence in its slot must not meet them: even with a weight of 0 they would make it NaN.
static bool fail_request(struct batch *batch, int slot, int32_t failure, struct error *err) {
  struct sequence *sequence = &batch->sequences[slot];
  struct request *request = sequence->request;
  request->failure = failure;
  sequence->request = NULL;
  return engine_clear_slot(batch->engine, slot, err) && finish_request(batch, request, err);
}

// Appends an id to the output of the sequence in a slot, and ends the sequence if it is a stop id
// or fills max_tokens.
static bool append_token(struct batch *batch, int slot, int32_t id, struct error *err) {
  const struct batch_events *events = batch->events;
  struct sequence *sequence = &batch->sequences[slot];
  struct request *request = sequence->request;
  if (id == PICKED_NAN || id == PICKED_NOTHING)
    return fail_request(batch, slot, id, err);
  if (id < 0 || id >= batch->limits.vocab)
    return fail(err, "device: want a picked id from 0 to %d, found %d", batch->limits.vocab - 1,
                id);
  request->output[request->n_output++] = id;
  sequence->pending--;
  if (events->token && !events->token(events->context, request, err))
    return false;
  if (!is_stop_id(batch->options->stop, id) && known_tokens(sequence) < request->max_tokens)
    return true;
  sequence->request = NULL;
  return finish_request(batch, request, err);
}

// Handles output `i` of a pass. Ignores it if an earlier pass ended the sequence while this one was
// in flight.
static bool deliver_output(struct batch *batch, const struct pass_output *output,
                           const struct engine_results *results, int i, struct error *err) {
  const struct batch_events *events = batch->events;
  struct sequence *sequence = &batch->sequences[output->slot];
  struct request *request = sequence->request;
  const int position = output->position;
  if (!request || sequence->number != output->sequence)
    return true;
  if (events->logits &&
      !events->logits(events->context, request, position,
                      results->logits + (size_t)i * (size_t)batch->limits.vocab, err))
    return false;
  if (position + 1 < known_tokens(sequence))
    return true;
  if (known_tokens(sequence) < request->max_tokens)
    return append_token(batch, output->slot, pick_token(batch, request, position, results, i), err);
  sequence->request = NULL;
  return finish_request(batch, request, err);
}

// ---- passes ----

static bool submit_pass(struct batch *batch, struct error *err) {
  if (!engine_submit(batch->engine, &batch->rows, batch->result, err))
    return false;
  batch->submitted++;
  return true;
}

static bool collect_pass(struct batch *batch, struct error *err) {
  const struct pass_in_flight *pass = &batch->in_flight[batch->collected++ % ENGINE_PASSES];
  struct engine_results results;
  if (!engine_collect(batch->engine, &results, err))
    return false;
  for (int i = 0; i < pass->outputs; i++)
    if (!deliver_output(batch, &pass->output[i], &results, i, err))
      return false;
  return true;
}

// Runs passes until all requests have finished or go_on returns false. If the device picks, the
// next pass is queued before this one ends. If a sequence turns out to have ended, one row is
// wasted and its slot is free one pass later.
static bool run_passes(struct batch *batch, struct error *err) {
  const struct batch_events *events = batch->events;
  const unsigned max_in_flight = batch->result == ENGINE_PICKED ? ENGINE_PASSES : 1;
  bool going = true;
  for (;;) {
    bool sent = false;
    if (going) {
      if (!fill_slots(batch, err))
        return false;
      fill_rows(batch);
      const bool any = batch->rows.rows > 0;
      going = !any || !events->go_on || events->go_on(events->context);
      sent = any && going;
      if (sent && !submit_pass(batch, err))
        return false;
    }
    const unsigned in_flight = batch->submitted - batch->collected;
    if (in_flight == 0)
      return true;
    if ((in_flight == max_in_flight || !sent) && !collect_pass(batch, err))
      return false;
  }
}

// Collects the passes that an error left in flight, and ignores their results.
static void drain(struct batch *batch) {
  struct engine_results ignored;
  struct error later;
  while (batch->collected != batch->submitted) {
    batch->collected++;
    engine_collect(batch->engine, &ignored, &later);
  }
}

// Allocates the arrays of a batch; those of its rows are pieces of *numbers.
static bool alloc_memory(struct batch *batch, int32_t **numbers, struct error *err) {
  const size_t rows = (size_t)batch->limits.rows, slots = (size_t)batch->options->slots;
  *numbers = calloc(4 * rows, sizeof **numbers);
  batch->rows.token = *numbers;
  batch->rows.position = *numbers + rows;
  batch->rows.slot = *numbers + 2 * rows;
  batch->rows.output_row = *numbers + 3 * rows;
  batch->rows.draw = calloc(rows, sizeof *batch->rows.draw);
  batch->sequences = calloc(slots, sizeof *batch->sequences);
  bool ok = *numbers && batch->rows.draw && batch->sequences;
  for (int i = 0; i < ENGINE_PASSES; i++) {
    batch->in_flight[i].output = calloc(rows, sizeof *batch->in_flight[i].output);
    ok = ok && batch->in_flight[i].output;
  }
  return ok ? true : fail(err, "batch: out of memory for %d slots", batch->options->slots);
}

// What passes must return: whole logits only if somebody reads them or the tree has nothing else.
static enum engine_result choose_result(const struct batch *batch) {
  return batch->limits.picks && !batch->events->logits ? ENGINE_PICKED : ENGINE_LOGITS;
}

bool request_check(const struct request *request, const char *where, struct error *err) {
  const int position = request->n_prompt + request->n_output - 1;
  if (request->failure == PICKED_NAN)
    return fail(err, "%s: position %d: want logits that are numbers, found NaN", where, position);
  if (request->failure == PICKED_NOTHING)
    return fail(err, "%s: position %d: want a logit above -inf, found none", where, position);
  return true;
}

bool batch_run(struct engine *engine, struct request *requests, int n,
               const struct batch_options *options, const struct batch_events *events,
               struct error *err) {
  struct batch batch = {.engine = engine,
                        .options = options,
                        .events = events,
                        .limits = engine_limits(),
                        .waiting = requests,
                        .n_waiting = n};
  int32_t *numbers;
  batch.result = choose_result(&batch);
  const bool ok = alloc_memory(&batch, &numbers, err) && run_passes(&batch, err);
  drain(&batch);
  free(numbers);
  free(batch.rows.draw);
  free(batch.sequences);
  for (int i = 0; i < ENGINE_PASSES; i++)
    free(batch.in_flight[i].output);
  return ok;
}
