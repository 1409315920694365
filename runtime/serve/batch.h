// Continuous batching: requests wait for a slot, run through passes that mix prompt chunks with
// single rows, and leave as soon as they are finished. What a request gets back does not depend on
// the others, on the slots, or on the chunks.
#ifndef GETP_SERVE_BATCH_H
#define GETP_SERVE_BATCH_H

#include "checkpoint/stop_ids.h"
#include "engine/engine.h"
#include "serve/sampler.h"

struct request {
  const int32_t *prompt; // (n_prompt)
  int n_prompt;          // at least 1
  int cached;            // positions that slot 0 holds already, fewer than n_prompt
  int limit;             // of prompt and output together
  int32_t *output;       // (limit - n_prompt), filled in; the id that stopped the request included
  int n_output;
  uint64_t stream; // number of its random stream
  bool done;
};

// How a batch talks back. Each may be NULL; those that return bool stop the batch with false.
struct batch_events {
  void *context;
  // The logits after a position of the prompt; asked for, every position of the prompt is reported.
  bool (*logits)(void *context, const struct request *request, int position, const float *logits,
                 struct error *err);
  // A new output id, the last of request->output.
  bool (*token)(void *context, const struct request *request, struct error *err);
  bool (*finished)(void *context, const struct request *request, struct error *err);
  // Before each pass; false ends the batch without an error, unfinished requests stay not done.
  bool (*go_on)(void *context);
};

struct batch_options {
  int slots; // 1 .. the engine's
  int chunk; // 1 .. the engine's
  const struct sampler *sampler;
  const struct stop_ids *stop;
};

// Runs all requests. A request whose prompt fills its limit gets no output. Ids must lie in the
// vocabulary, limits in the engine's context.
bool batch_run(struct engine *engine, struct request *requests, int n,
               const struct batch_options *options, const struct batch_events *events,
               struct error *err);

#endif
