#include "session.h"

#include "base/lines.h"
#include "base/progress.h"
#include "base/utf8.h"
#include "harmony/rendered.h"
#include "overwriting.h"
#include "reference/parity.h"
#include "terminal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

bool session_tokenizer_text(const struct session *session, struct tokenizer_text *found,
                            struct error *err) {
  if (session->options->tokenizer)
    return tokenizer_text_read(found, session->options->tokenizer, err);
  return tokenizer_text_read_file(found,
                                  checkpoint_file(session->checkpoint, "tokenizer.json", err), err);
}

// The model must have an embedding for each id of the tokenizer.
static bool check_tokenizer(const struct session *session, const char *where, struct error *err) {
  const int32_t ids = tokenizer_size(session->tokenizer), vocab = session->limits.vocab;
  return ids <= vocab ? true
                      : fail(err, "%s: want ids below the model's vocab_size %d, found %d", where,
                             vocab, ids - 1);
}

static bool open_packed_tokenizer(struct session *session, struct error *err) {
  const char *file = session->options->checkpoint;
  const struct text *text = &session->packed.tokenizer;
  if (text->n == 0)
    return fail(err, "%s: want a tokenizer.json in it, found none: name one with -z", file);
  return tokenizer_open_text(&session->tokenizer, file, text->bytes, text->n, err) &&
         check_tokenizer(session, file, err);
}

static bool open_tokenizer(struct session *session, struct error *err) {
  struct tokenizer_text found;
  if (session->packed.map && !session->options->tokenizer)
    return open_packed_tokenizer(session, err);
  const bool ok =
      session_tokenizer_text(session, &found, err) &&
      tokenizer_open_text(&session->tokenizer, found.where, found.text.bytes, found.text.n, err) &&
      check_tokenizer(session, found.where, err);
  tokenizer_text_free(&found);
  return ok;
}

static bool check_limit(const char *flag, int given, int limit, struct error *err) {
  return given <= limit
             ? true
             : fail(err, "%s: want at most %d for this getp, found %d", flag, limit, given);
}

static bool check_limits(struct session *session, struct error *err) {
  const struct options *options = session->options;
  const int context = engine_limits().context;
  const bool given = options->max_tokens >= 1 && options->max_tokens < context;
  session->limits = engine_limits();
  session->max_tokens = given ? options->max_tokens : context;
  return check_limit("-n", options->max_tokens_given ? options->max_tokens : 0, context, err) &&
         check_limit("-b", options->slots, session->limits.slots, err) &&
         check_limit("--chunk", options->chunk, session->limits.chunk, err);
}

static bool on_verified(void *context, size_t done, size_t total, struct error *err) {
  (void)err;
  progress_load(context, "verifying", done, total);
  return true;
}

bool verify_packed(const struct packed *packed, struct error *err) {
  struct progress progress;
  progress_begin(&progress);
  const bool ok = packed_verify(packed, on_verified, &progress, err);
  progress_end(&progress);
  return ok;
}

bool refuse_verify(const char *path, struct error *err) {
  return fail(err,
              "%s: want a file of `getp pack` for --verify, found another kind, which has no "
              "checksum",
              path);
}

static bool open_packed(struct session *session, struct error *err) {
  const struct options *options = session->options;
  const struct weight_table table = engine_weights();
  if (options->mode == MODE_PACK)
    return fail(err, "%s: want a checkpoint folder to pack, found a packed file",
                options->checkpoint);
  if (options->reference || session->parity)
    return fail(err, "%s: want a checkpoint folder for %s, found a packed file",
                options->checkpoint, options->reference ? "--reference" : "GETP_PARITY");
  engine_model(&session->config);
  if (!packed_open(&session->packed, options->checkpoint, &table, &session->config, err))
    return false;
  session->stop = session->packed.stop;
  return !options->verify || verify_packed(&session->packed, err);
}

// Says what a checkpoint leaves open and how it is read.
static void say_assumptions(const struct session *session, bool assumed) {
  const char *path = session->options->checkpoint;
  const struct stop_ids *stop = &session->stop;
  char ids[MAX_STOP_IDS * 12] = "";
  if (checkpoint_kind(session->checkpoint) == CHECKPOINT_BIN)
    remark("%s: half of all exports have embedding and unembedding swapped, and no reader can see "
           "it: the exporter's log must name embedding.weight first",
           path);
  if (!assumed || session->options->mode == MODE_LOGITS)
    return;
  for (int i = 0; i < stop->n; i++)
    snprintf(ids + strlen(ids), sizeof ids - strlen(ids), " %" PRId32, stop->id[i]);
  if (stop->n > 0)
    remark("%s: no eos_token_id in generation_config.json: outputs end after gpt-oss's%s", path,
           ids);
  else
    remark("%s: no eos_token_id in generation_config.json: outputs end at -n only", path);
}

static bool open_checkpoint(struct session *session, struct error *err) {
  const char *path = session->options->checkpoint;
  struct model_config generated;
  bool assumed = false;
  engine_model(&generated);
  if (session->options->verify)
    return refuse_verify(path, err);
  if (!checkpoint_config(&session->config, path, err) ||
      !checkpoint_is_for(path, &generated, &session->config, err) ||
      !checkpoint_open(&session->checkpoint, path, &session->config, err) ||
      !checkpoint_stop_ids(session->checkpoint, &session->stop, session->config.vocab, &assumed,
                           err))
    return false;
  say_assumptions(session, assumed);
  return true;
}

static bool open_model(struct session *session, struct error *err) {
  return packed_is(session->options->checkpoint) ? open_packed(session, err)
                                                 : open_checkpoint(session, err);
}

// A number that others hardly get, and that can be typed.
static uint64_t any_seed(void) {
  uint32_t seed = 0;
  if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) != sizeof seed)
    seed = (uint32_t)time(NULL);
  return seed ? seed : 1;
}

void session_say_seed(const struct session *session) {
  const struct sampling *sampling = &session->sampler.sampling;
  if (sampling->temperature > 0 && session->options->seed == 0)
    remark("-s: the seed of this run is %" PRIu64, sampling->seed);
}

// Logits need no tokenizer, so a checkpoint that is packed may lack it.
static bool needs_tokenizer(bool *needs, const struct session *session, struct error *err) {
  const struct options *options = session->options;
  *needs = options->mode != MODE_LOGITS;
  if (options->mode != MODE_PACK || options->tokenizer)
    return true;
  char *path = checkpoint_file(session->checkpoint, "tokenizer.json", err);
  const bool ok = path && file_exists(needs, path, err);
  free(path);
  return ok;
}

bool session_open(struct session *session, const struct options *options, struct error *err) {
  *session = (struct session){.options = options};
  if (!check_overwriting(options, err) || !parity_positions(&session->parity, err) ||
      !check_limits(session, err) || !open_model(session, err))
    return false;
  bool needs;
  if (!needs_tokenizer(&needs, session, err) || (needs && !open_tokenizer(session, err)))
    return false;
  const struct sampling sampling = {
      .temperature = options->temperature,
      .top_p = options->top_p,
      .min_p = options->min_p,
      .top_k = options->top_k,
      .seed = options->seed ? options->seed : any_seed(),
  };
  if (!sampler_open(&session->sampler, &sampling, session->limits.vocab, err))
    return false;
  if ((options->profile || options->trace) && !profile_open(&session->profile, options->trace, err))
    return false;
  session->engine = engine_create();
  return session->engine ? true : fail(err, "engine: out of memory for its state");
}

bool session_report(struct session *session, struct error *err) {
  struct profile *profile = session->profile;
  if (profile && session->options->profile)
    profile_print(profile);
  session->profile = NULL;
  return profile_close(profile, err);
}

void session_close(struct session *session) {
  struct error ignored;
  profile_close(session->profile, &ignored);
  engine_destroy(session->engine);
  sampler_close(&session->sampler);
  tokenizer_close(session->tokenizer);
  checkpoint_close(session->checkpoint);
  packed_close(&session->packed);
}

static void on_load(void *context, size_t sent, size_t total) {
  progress_load(context, "loading", sent, total);
}

bool session_warm_up(struct session *session, struct error *err) {
  struct progress progress;
  progress_begin(&progress);
  engine_set_progress(session->engine, on_load, &progress);
  if (session->profile)
    engine_set_timer(session->engine, profile_add, session->profile);
  const struct weight_source source = {
      .table = engine_weights(), .checkpoint = session->checkpoint, .packed = &session->packed};
  const bool ok = engine_warm_up(session->engine, &source, err);
  engine_set_progress(session->engine, NULL, NULL);
  progress_end(&progress);
  return ok;
}

bool session_parity(struct session *session, const int32_t *ids, size_t n, struct error *err) {
  const size_t context = (size_t)session->limits.context, wanted = (size_t)session->parity;
  size_t positions = n < wanted ? n : wanted;
  positions = positions < context ? positions : context;
  session->parity = 0;
  const struct batch_options options = session_batch(session);
  return positions == 0 || parity_check(session->engine, &options, session->checkpoint,
                                        &session->config, ids, (int)positions, err);
}

struct batch_options session_batch(struct session *session) {
  const struct options *options = session->options;
  return (struct batch_options){
      .slots = options->slots ? options->slots : session->limits.slots,
      .chunk = options->chunk ? options->chunk : session->limits.chunk,
      .sampler = &session->sampler,
      .stop = &session->stop,
  };
}

bool check_text(const char *where, const char *text, size_t bytes, struct error *err) {
  if (bytes == 0)
    return fail(err, "%s: want at least one character, found none", where);
  const char *nul = memchr(text, 0, bytes);
  if (nul)
    return fail(err, "%s: byte %zu: want a character, found NUL", where, (size_t)(nul - text) + 1);
  const size_t bad = utf8_check(text, bytes);
  return bad == bytes ? true
                      : fail(err, "%s: byte %zu: want UTF-8, found 0x%02x", where, bad + 1,
                             (unsigned char)text[bad]);
}

// Says, once for each of the two kinds of prompts, how a prompt with special tokens is read.
static void say_reading(struct session *session, const char *where, bool rendered, int32_t first) {
  bool *said = rendered ? &session->said_rendered : &session->said_special;
  size_t n = 0;
  const char *token = tokenizer_bytes(session->tokenizer, first, &n);
  if (*said)
    return;
  *said = true;
  if (rendered)
    remark("%s: a rendered conversation: its special tokens are read as tokens", where);
  else
    remark("%s: the special token %.*s is read as text: --special reads it as a token", where,
           (int)(n < 40 ? n : 40), token);
}

bool session_encode(struct session *session, const char *where, const char *text, size_t bytes,
                    struct id_list *ids, struct error *err) {
  const struct tokenizer *tokenizer = session->tokenizer;
  const size_t before = ids->n;
  int32_t first;
  if (!check_text(where, text, bytes, err) ||
      !tokenizer_encode_special(tokenizer, text, bytes, ids, &first, err))
    return false;
  if (first < 0 || session->options->special)
    return true;
  const bool rendered = is_rendered(tokenizer, ids->id + before, ids->n - before);
  say_reading(session, where, rendered, first);
  if (rendered)
    return true;
  ids->n = before;
  return tokenizer_encode(tokenizer, text, bytes, ids, err);
}

bool session_read_input(const struct session *session, struct text *text, const char **where,
                        struct error *err) {
  const struct options *options = session->options;
  *text = (struct text){0};
  *where = options->file ? options->file : "-i";
  if (options->file) {
    if (!text_read_lines(text, options->file, err))
      return false;
    if (text->n > 0 && text->bytes[text->n - 1] == '\n')
      text->bytes[--text->n] = 0;
  } else if (options->input) {
    text->bytes = strdup(options->input);
    if (!text->bytes)
      return fail(err, "-i: out of memory for a text");
    text->n = strlen(text->bytes);
  }
  return !text->bytes || check_text(*where, text->bytes, text->n, err);
}
