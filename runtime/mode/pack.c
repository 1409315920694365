// pack: writes a packed file.
#include "base/interrupt.h"
#include "base/progress.h"
#include "mode/mode.h"
#include "terminal.h"

struct job {
  const char *path; // of the packed file
  struct progress progress;
};

static bool on_piece(void *context, size_t written, size_t total, struct error *err) {
  struct job *job = context;
  progress_load(&job->progress, "packing", written, total);
  return interrupt_signal() ? fail(err, "%s: not written: signal %d", job->path, interrupt_signal())
                            : true;
}

static bool read_tokenizer(const struct session *session, struct tokenizer_text *found,
                           struct error *err) {
  *found = (struct tokenizer_text){0};
  if (session->tokenizer)
    return session_tokenizer_text(session, found, err);
  remark("%s: want a tokenizer.json in it, found none: %s will need -z",
         session->options->checkpoint, session->options->output);
  return true;
}

static bool pack(struct session *session, struct text tokenizer, struct error *err) {
  struct model_config config;
  engine_model(&config);
  const struct packed_content content = {
      .table = engine_weights(),
      .config = &config,
      .checkpoint = session->checkpoint,
      .stop = &session->stop,
      .tokenizer = tokenizer,
  };
  struct job job = {.path = session->options->output};
  interrupt_catch();
  progress_begin(&job.progress);
  const bool ok = packed_write(job.path, &content, on_piece, &job, err);
  progress_end(&job.progress);
  return ok;
}

int mode_pack(struct session *session, struct error *err) {
  struct tokenizer_text found;
  const bool ok = read_tokenizer(session, &found, err) && pack(session, found.text, err);
  tokenizer_text_free(&found);
  if (ok || !interrupt_signal())
    return ok ? 0 : -1;
  remark("%s", err->text);
  return 128 + interrupt_signal();
}
