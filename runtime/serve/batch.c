#include "serve/batch.h"

#include "formats/handed_token.h"

#include <stdlib.h>

// A running request. `fed` of its tokens (prompt, output, ahead) are in the cache, or on the way
// there.
struct sequence {
  struct request *request; // NULL: the slot is free
  int fed;
  int ahead;  // tokens that passes under way will pick for it, after those that are known
  int output; // of the newest pass: that token
};

// Whose an output is.
struct output {
  int slot, position;
  struct request *request;
};

// A pass under way.
struct flight {
  int outputs;
  struct output *output; // (outputs)
};

struct batch {
  struct engine *engine;
  const struct batch_options *options;
  const struct batch_events *events;
  struct engine_limits limits;
  enum engine_want want;
  struct sequence *sequences; // (slots)
  struct engine_rows rows;    // of the next pass
  struct flight flights[ENGINE_PASSES];
  unsigned submitted, collected; // passes
};

// Tokens that the host knows.
static int known(const struct sequence *sequence) {
  return sequence->request->n_prompt + sequence->request->n_output;
}

// Tokens that may be fed. One that a pass under way will pick need not be known for that, but one
// that fills the limit is never fed.
static int feedable(const struct sequence *sequence) {
  const int tokens = known(sequence) + sequence->ahead;
  return sequence->ahead > 0 && tokens == sequence->request->limit ? sequence->fed : tokens;
}

static struct flight *next_flight(struct batch *batch) {
  return &batch->flights[batch->submitted % ENGINE_PASSES];
}

static int32_t token_at(const struct request *request, int position) {
  return position < request->n_prompt ? request->prompt[position]
                                      : request->output[position - request->n_prompt];
}

static bool finish(struct batch *batch, struct request *request, struct error *err) {
  request->done = true;
  return !batch->events->finished || batch->events->finished(batch->events->context, request, err);
}

// True if a request has work for the device.
static bool wants_passes(const struct batch *batch, const struct request *request) {
  return batch->events->logits || request->n_prompt < request->limit;
}

// Gives free slots to waiting requests, in order; returns the first request that still waits, or
// -1.
static int admit(struct batch *batch, struct request *requests, int n, int next,
                 struct error *err) {
  for (int s = 0; s < batch->options->slots && next < n; s++) {
    if (batch->sequences[s].request)
      continue;
    for (; next < n && !wants_passes(batch, &requests[next]); next++)
      if (!finish(batch, &requests[next], err))
        return -1;
    if (next < n) {
      batch->sequences[s] =
          (struct sequence){.request = &requests[next], .fed = requests[next].cached};
      next++;
    }
  }
  return next;
}

// Makes the last row an output; the first one that a sequence has behind its prompt, and each later
// one, is the token after the row.
static void add_output(struct batch *batch, int slot, bool picks) {
  struct engine_rows *rows = &batch->rows;
  struct flight *flight = next_flight(batch);
  struct sequence *sequence = &batch->sequences[slot];
  const int output = rows->outputs++;
  rows->output_row[output] = rows->rows - 1;
  flight->output[output] = (struct output){slot, rows->position[rows->rows - 1], sequence->request};
  if (picks) {
    sequence->ahead++;
    sequence->output = output;
  }
}

// Adds `count` rows of a sequence, and its last row as an output if all its tokens are then fed.
static void add_rows(struct batch *batch, int slot, int count) {
  struct engine_rows *rows = &batch->rows;
  struct sequence *sequence = &batch->sequences[slot];
  const int end = known(sequence) + sequence->ahead;
  for (int i = 0; i < count; i++) {
    const int position = sequence->fed++;
    rows->token[rows->rows] = position < known(sequence) ? token_at(sequence->request, position)
                                                         : HANDED_TOKEN(sequence->output);
    rows->position[rows->rows] = position;
    rows->slot[rows->rows++] = slot;
    if (batch->events->logits || sequence->fed == end)
      add_output(batch, slot, sequence->fed == end);
  }
}

// First the sequences that need one row, so that none of them waits for a prompt; then prompt
// chunks, in order of slots, as far as the rows of a pass go. If every row is an output, the logits
// of a pass bound it, too.
static void fill_rows(struct batch *batch) {
  const struct engine_limits *limits = &batch->limits;
  const int most =
      batch->events->logits && limits->logits < limits->rows ? limits->logits : limits->rows;
  batch->rows.rows = batch->rows.outputs = 0;
  for (int single = 1; single >= 0; single--)
    for (int s = 0; s < batch->options->slots; s++) {
      const struct sequence *sequence = &batch->sequences[s];
      const int room = most - batch->rows.rows;
      int count = sequence->request ? feedable(sequence) - sequence->fed : 0;
      if (count == 0 || (count == 1) != single)
        continue;
      count = count < batch->options->chunk ? count : batch->options->chunk;
      add_rows(batch, s, count < room ? count : room);
    }
  next_flight(batch)->outputs = batch->rows.outputs;
}

// The id that follows `position`, by what the pass gave for an output.
static int32_t pick(const struct batch *batch, const struct request *request, int position,
                    const struct engine_results *results, int output) {
  const struct sampler *sampler = batch->options->sampler;
  const uint64_t next = (uint64_t)position + 1;
  if (results->picked)
    return results->picked[output];
  if (results->candidates)
    return sampler_pick_candidates(sampler, &results->candidates[output], request->stream, next);
  return sampler_pick(sampler, results->logits + (size_t)output * (size_t)batch->limits.vocab,
                      request->stream, next);
}

// Appends the next id of a sequence.
static bool extend(struct batch *batch, struct sequence *sequence, int32_t id, struct error *err) {
  const struct batch_events *events = batch->events;
  struct request *request = sequence->request;
  if (id < 0 || id >= batch->limits.vocab)
    return fail(err, "the device picked token %d of %d", id, batch->limits.vocab);
  request->output[request->n_output++] = id;
  sequence->ahead--;
  if (events->token && !events->token(events->context, request, err))
    return false;
  if (!is_stop_id(batch->options->stop, id) && known(sequence) < request->limit)
    return true;
  sequence->request = NULL;
  return finish(batch, request, err);
}

// A sequence that an earlier pass has ended, while this one was under way, gets no more of it.
static bool deliver_output(struct batch *batch, const struct output *output,
                           const struct engine_results *results, int i, struct error *err) {
  const struct batch_events *events = batch->events;
  struct sequence *sequence = &batch->sequences[output->slot];
  struct request *request = output->request;
  const int position = output->position;
  if (sequence->request != request)
    return true;
  if (events->logits &&
      !events->logits(events->context, request, position,
                      results->logits + (size_t)i * (size_t)batch->limits.vocab, err))
    return false;
  if (position + 1 < known(sequence))
    return true;
  if (known(sequence) < request->limit)
    return extend(batch, sequence, pick(batch, request, position, results, i), err);
  sequence->request = NULL;
  return finish(batch, request, err);
}

static bool submit(struct batch *batch, struct error *err) {
  if (!engine_submit(batch->engine, &batch->rows, batch->want, err))
    return false;
  batch->submitted++;
  return true;
}

static bool collect(struct batch *batch, struct error *err) {
  const struct flight *flight = &batch->flights[batch->collected++ % ENGINE_PASSES];
  struct engine_results results;
  if (!engine_collect(batch->engine, &results, err))
    return false;
  for (int i = 0; i < flight->outputs; i++)
    if (!deliver_output(batch, &flight->output[i], &results, i, err))
      return false;
  return true;
}

// Where the device picks and feeds itself, it has the next pass before it is done with this one: of
// a sequence that then turns out to have ended a row is run for nothing, and its slot is free for a
// pass later.
static bool run_passes(struct batch *batch, struct request *requests, int n, struct error *err) {
  const struct batch_events *events = batch->events;
  const unsigned most = batch->want == ENGINE_GREEDY ? ENGINE_PASSES : 1;
  bool going = true;
  for (int next = 0;;) {
    bool sent = false;
    if (going) {
      next = admit(batch, requests, n, next, err);
      if (next < 0)
        return false;
      fill_rows(batch);
      const bool any = batch->rows.rows > 0;
      going = !any || !events->go_on || events->go_on(events->context);
      sent = any && going;
      if (sent && !submit(batch, err))
        return false;
    }
    const unsigned under_way = batch->submitted - batch->collected;
    if (under_way == 0)
      return true;
    if ((under_way == most || !sent) && !collect(batch, err))
      return false;
  }
}

// Waits for what a failure has left under way.
static void drop_flights(struct batch *batch) {
  struct engine_results ignored;
  struct error later;
  while (batch->collected != batch->submitted) {
    batch->collected++;
    engine_collect(batch->engine, &ignored, &later);
  }
}

// One block of numbers for the rows, and the outputs of each pass under way.
static bool alloc_memory(struct batch *batch, int32_t **numbers, struct error *err) {
  const size_t rows = (size_t)batch->limits.rows, slots = (size_t)batch->options->slots;
  *numbers = calloc(4 * rows, sizeof **numbers);
  batch->rows.token = *numbers;
  batch->rows.position = *numbers + rows;
  batch->rows.slot = *numbers + 2 * rows;
  batch->rows.output_row = *numbers + 3 * rows;
  batch->sequences = calloc(slots, sizeof *batch->sequences);
  bool ok = *numbers && batch->sequences;
  for (int i = 0; i < ENGINE_PASSES; i++) {
    batch->flights[i].output = calloc(rows, sizeof *batch->flights[i].output);
    ok = ok && batch->flights[i].output;
  }
  return ok ? true : fail(err, "out of memory for a batch of %d slots", batch->options->slots);
}

static enum engine_want choose(const struct batch *batch) {
  if (!batch->limits.picks || batch->events->logits)
    return ENGINE_LOGITS;
  return batch->options->sampler->temperature == 0 ? ENGINE_GREEDY : ENGINE_CANDIDATES;
}

bool batch_run(struct engine *engine, struct request *requests, int n,
               const struct batch_options *options, const struct batch_events *events,
               struct error *err) {
  struct batch batch = {
      .engine = engine, .options = options, .events = events, .limits = engine_limits()};
  int32_t *numbers;
  batch.want = choose(&batch);
  if (batch.want == ENGINE_CANDIDATES)
    batch.rows.sharpness = sampler_sharpness(options->sampler);
  const bool ok = alloc_memory(&batch, &numbers, err) && run_passes(&batch, requests, n, err);
  drop_flights(&batch);
  free(numbers);
  free(batch.sequences);
  for (int i = 0; i < ENGINE_PASSES; i++)
    free(batch.flights[i].output);
  return ok;
}
