#include "batch.h"

#include <stdlib.h>

// A running request. `fed` of its known tokens (prompt and output) are in the cache.
struct sequence {
  struct request *request; // NULL: the slot is free
  int fed;
};

struct batch {
  struct engine *engine;
  const struct batch_options *options;
  const struct batch_events *events;
  struct engine_limits limits;
  struct sequence *sequences; // (slots)
  struct engine_rows rows;
  int *output_slot; // (rows) which sequence an output belongs to
};

static int known(const struct sequence *sequence) {
  return sequence->request->n_prompt + sequence->request->n_output;
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
      batch->sequences[s] = (struct sequence){&requests[next], requests[next].cached};
      next++;
    }
  }
  return next;
}

static void add_output(struct batch *batch, int slot) {
  struct engine_rows *rows = &batch->rows;
  batch->output_slot[rows->outputs] = slot;
  rows->output_row[rows->outputs++] = rows->rows - 1;
}

// Adds `count` rows of a sequence, and its last row as an output if all its tokens are then fed.
static void add_rows(struct batch *batch, int slot, int count) {
  struct engine_rows *rows = &batch->rows;
  struct sequence *sequence = &batch->sequences[slot];
  for (int i = 0; i < count; i++) {
    const int position = sequence->fed++;
    rows->token[rows->rows] = token_at(sequence->request, position);
    rows->position[rows->rows] = position;
    rows->slot[rows->rows++] = slot;
    if (batch->events->logits || sequence->fed == known(sequence))
      add_output(batch, slot);
  }
}

// First the sequences that need one row, so that none of them waits for a prompt; then prompt
// chunks, in order of slots, as far as the rows of a pass go.
static void fill_rows(struct batch *batch) {
  const int slots = batch->options->slots;
  batch->rows.rows = batch->rows.outputs = 0;
  for (int s = 0; s < slots; s++)
    if (batch->sequences[s].request && known(&batch->sequences[s]) - batch->sequences[s].fed == 1)
      add_rows(batch, s, 1);
  for (int s = 0; s < slots; s++) {
    if (!batch->sequences[s].request)
      continue;
    const int room = batch->limits.rows - batch->rows.rows;
    int count = known(&batch->sequences[s]) - batch->sequences[s].fed;
    count = count < batch->options->chunk ? count : batch->options->chunk;
    add_rows(batch, s, count < room ? count : room);
  }
}

static bool is_stop(const struct stop_ids *stop, int32_t id) {
  for (int i = 0; i < stop->n; i++)
    if (stop->id[i] == id)
      return true;
  return false;
}

// Appends the next id of a sequence whose tokens are all fed.
static bool extend(struct batch *batch, struct sequence *sequence, const float *logits,
                   struct error *err) {
  const struct batch_events *events = batch->events;
  struct request *request = sequence->request;
  const uint64_t position = (uint64_t)known(sequence);
  const int32_t id = sampler_pick(batch->options->sampler, logits, request->stream, position);
  request->output[request->n_output++] = id;
  if (events->token && !events->token(events->context, request, err))
    return false;
  if (!is_stop(batch->options->stop, id) && known(sequence) < request->limit)
    return true;
  sequence->request = NULL;
  return finish(batch, request, err);
}

static bool take_output(struct batch *batch, int output, struct error *err) {
  const struct batch_events *events = batch->events;
  struct sequence *sequence = &batch->sequences[batch->output_slot[output]];
  struct request *request = sequence->request;
  const int position = batch->rows.position[batch->rows.output_row[output]];
  const float *logits = engine_logits(batch->engine, output);
  if (events->logits && !events->logits(events->context, request, position, logits, err))
    return false;
  if (position + 1 < known(sequence))
    return true;
  if (known(sequence) < request->limit)
    return extend(batch, sequence, logits, err);
  sequence->request = NULL;
  return finish(batch, request, err);
}

static bool run_passes(struct batch *batch, struct request *requests, int n, struct error *err) {
  const struct batch_events *events = batch->events;
  for (int next = 0;;) {
    next = admit(batch, requests, n, next, err);
    if (next < 0)
      return false;
    fill_rows(batch);
    if (batch->rows.rows == 0 || (events->go_on && !events->go_on(events->context)))
      return true;
    if (!engine_pass(batch->engine, &batch->rows, err))
      return false;
    for (int i = 0; i < batch->rows.outputs; i++)
      if (!take_output(batch, i, err))
        return false;
  }
}

bool batch_run(struct engine *engine, struct request *requests, int n,
               const struct batch_options *options, const struct batch_events *events,
               struct error *err) {
  struct batch batch = {engine, options, events, engine_limits(), NULL, {0}, NULL};
  const size_t rows = (size_t)batch.limits.rows;
  int32_t *numbers = calloc(4 * rows, sizeof *numbers);
  batch.rows.token = numbers;
  batch.rows.position = numbers + rows;
  batch.rows.slot = numbers + 2 * rows;
  batch.rows.output_row = numbers + 3 * rows;
  batch.sequences = calloc((size_t)options->slots, sizeof *batch.sequences);
  batch.output_slot = calloc(rows, sizeof *batch.output_slot);
  const bool ok = numbers && batch.sequences && batch.output_slot
                      ? run_passes(&batch, requests, n, err)
                      : fail(err, "out of memory for a batch of %d slots", options->slots);
  free(numbers);
  free(batch.sequences);
  free(batch.output_slot);
  return ok;
}
