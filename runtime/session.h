// The start of every mode but decode and --plan: a checkpoint or a packed file that this getp was
// generated for, its tokenizer and stop ids, an engine and a sampler.
#ifndef GETP_SESSION_H
#define GETP_SESSION_H

#include "options.h"
#include "serve/batch.h"
#include "serve/profile.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer_text.h"

struct session {
  const struct options *options;
  struct engine_limits limits;
  int max_tokens; // of prompt and output together, from 1 to the context
  struct model_config config;
  struct stop_ids stop;
  struct checkpoint *checkpoint; // NULL: the weights are in `packed`
  struct packed packed;          // closed: the weights are in `checkpoint`
  struct tokenizer *tokenizer;   // NULL for logits, and for pack if the checkpoint has none
  struct engine *engine;
  struct sampler sampler;
  struct profile *profile; // NULL: passes are not timed
  int parity; // positions of the first request to compare with reference.c; 0: none are left
  bool said_rendered, said_special; // session_encode has made its remark
};

// Opens everything and refuses a checkpoint of another model. It does not warm up the engine.
// session_close must follow, even after a failure.
bool session_open(struct session *session, const struct options *options, struct error *err);
void session_close(struct session *session);

// Reads the text of -z's tokenizer.json, or else of the checkpoint's, which is not a packed file.
// The caller calls tokenizer_text_free, even after a failure.
bool session_tokenizer_text(const struct session *session, struct tokenizer_text *found,
                            struct error *err);

// If tokens are drawn with a seed that nobody gave, says on stderr which it is.
void session_say_seed(const struct session *session);

// Loads the weights and shows how far it is.
bool session_warm_up(struct session *session, struct error *err);

// packed_verify, with a line that shows how far it is.
bool verify_packed(const struct packed *packed, struct error *err);

// Fails, since PATH, for which --verify was given, is no packed file.
bool refuse_verify(const char *path, struct error *err);

// Prints the table of --profile and ends the file of --trace, if they were given.
bool session_report(struct session *session, struct error *err);

// The batch options of the command line.
struct batch_options session_batch(struct session *session);

// Compares the logits of the first n ids with reference.c on the first call, if GETP_PARITY is set.
// The engine must be warm; slot 0 of its KV cache is overwritten.
bool session_parity(struct session *session, const int32_t *ids, size_t n, struct error *err);

// Appends the ids of a prompt, after check_text. With --special, and in a conversation that
// is_rendered, the texts of special tokens are these tokens; in any other prompt they are text.
// Without --special, the first prompt of each of these two kinds gets a remark on stderr.
bool session_encode(struct session *session, const char *where, const char *text, size_t bytes,
                    struct id_list *ids, struct error *err);

// Reads the text that -i gives or that the file of -f holds, as text_read_lines does; a newline at
// its end does not count. *where names it in messages. The caller frees text->bytes; it is NULL if
// neither flag was given. The text has passed check_text.
bool session_read_input(const struct session *session, struct text *text, const char **where,
                        struct error *err);

// Refuses a text that is empty, contains a NUL or is not UTF-8; `where` names the text in messages.
bool check_text(const char *where, const char *text, size_t bytes, struct error *err);

#endif
