// Continuous batching. Requests wait for a slot, run in passes that mix chunks of prompts with
// single rows, and free their slot as soon as they end. The output of a request does not depend on
// the other requests, the slots or the chunks.
#ifndef GETP_SERVE_BATCH_H
#define GETP_SERVE_BATCH_H

#include "checkpoint/stop_ids.h"
#include "engine/engine.h"
#include "serve/sampler.h"

struct request {
  const int32_t *prompt; // (n_prompt)
  int n_prompt;          // at least 1
  int cached;            // positions that slot 0 already holds, fewer than n_prompt
  int max_tokens;        // of prompt and output together
  int32_t *output;       // (max_tokens - n_prompt) filled in, including the id that ended it
  int n_output;
  uint64_t stream; // the number of its random stream
  bool done;
  int32_t failure; // 0; or PICKED_NAN or PICKED_NOTHING, which ended it in place of an id
};

// False, with a message, if a request that is done ended because its logits were no numbers.
// `where` names the request. Positions are counted from 0, as those of -m logits.
bool request_check(const struct request *request, const char *where, struct error *err);

// Callbacks of a batch. Each may be NULL. If one that returns bool returns false, the batch stops;
// except for go_on, it then fails with the error that the callback wrote.
struct batch_events {
  void *context;
  // Sets *request to the next request that waits, or to NULL if there is none now; it is asked
  // again when a slot is free. The request must have room in max_tokens for an output. It is the
  // caller's again after `finished`. NULL: the requests are those of batch_run's array.
  bool (*next)(void *context, struct request **request, struct error *err);
  // Receives the logits of every position of every prompt.
  bool (*logits)(void *context, const struct request *request, int position, const float *logits,
                 struct error *err);
  // Called after each new output id, which is the last of request->output.
  bool (*token)(void *context, const struct request *request, struct error *err);
  bool (*finished)(void *context, const struct request *request, struct error *err);
  // Called before each pass. False ends the batch without an error; requests that have not finished
  // stay not done.
  bool (*go_on)(void *context);
};

struct batch_options {
  int slots; // from 1 to the engine's limit
  int chunk; // from 1 to the engine's limit
  struct sampler *sampler;
  const struct stop_ids *stop;
};

// Runs n requests, or those of events->next. One without a next id ends with a failure, and the
// others go on. A request whose prompt has max_tokens gets no output. Ids must be below the
// vocabulary's size, max_tokens at most the engine's context.
bool batch_run(struct engine *engine, struct request *requests, int n,
               const struct batch_options *options, const struct batch_events *events,
               struct error *err);

#endif
