// What every mode but decode starts from: a checkpoint or a packed file that fits this getp, its
// tokenizer, its stop ids, an engine and a sampler.
#ifndef GETP_SESSION_H
#define GETP_SESSION_H

#include "options.h"
#include "serve/batch.h"
#include "serve/profile.h"
#include "tokenizer/tokenizer.h"

struct session {
  const struct options *options;
  struct engine_limits limits;
  int steps; // prompt and output together, at most the context
  struct model_config config;
  struct stop_ids stop;
  struct safetensors *checkpoint; // NULL if it is
  struct packed packed;           // a packed file
  struct tokenizer *tokenizer;    // NULL for logits, and for pack if the checkpoint has none
  struct engine *engine;
  struct sampler sampler;
  struct profile *profile; // NULL: passes are not timed
  int parity; // positions of the first request to compare with reference.c; 0: none, or done
};

// Opens everything and checks the checkpoint against what the engine was generated for; the engine
// is left cold. session_close takes a session that failed to open, too.
bool session_open(struct session *session, const struct options *options, struct error *err);
void session_close(struct session *session);

// The tokenizer.json of the command line or else of the checkpoint's folder, on the heap; NULL with
// a message when memory runs out.
char *session_tokenizer_path(const struct session *session, struct error *err);

bool session_warm_up(struct session *session, struct error *err);

// Shows the times that the command line asks for.
bool session_report(struct session *session, struct error *err);

// The batch options that the command line asks for.
struct batch_options session_batch(const struct session *session);

// Compares logits as GETP_PARITY asks, on the first call; the engine must be warm, with nothing in
// slot 0 that is still needed.
bool session_parity(struct session *session, const int32_t *ids, size_t n, struct error *err);

// Appends the ids of a text from the user. Refuses what is not UTF-8 or holds a NUL; `where` says
// whose text it is.
bool session_encode(const struct session *session, const char *where, const char *text,
                    size_t bytes, struct id_list *ids, struct error *err);

// Refuses a text that is empty, is not UTF-8 or holds a NUL.
bool check_text(const char *where, const char *text, size_t bytes, struct error *err);

#endif
