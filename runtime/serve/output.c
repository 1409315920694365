#include "serve/output.h"

#include "base/path.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

// True for a file that replace_end would replace.
static bool is_replaced(const char *target) {
  struct stat status;
  return !path_is_open_file(target) &&
         (stat(target, &status) != 0 || S_ISREG(status.st_mode) || S_ISDIR(status.st_mode));
}

static bool open_journal(struct output *output, const char *target, struct journal_job *job,
                         struct error *err) {
  struct stat status;
  char *path;
  if (stat(target, &status) == 0 && S_ISDIR(status.st_mode))
    return fail(err, "%s: want a file, found a folder", output->path);
  if (asprintf(&path, "%s.part", target) < 0)
    return fail(err, "%s: out of memory for the name of its journal", output->path);
  return journal_open(&output->journal, path, output->path, job, err);
}

bool output_open(struct output *output, const char *path, struct journal_job *job,
                 struct error *err) {
  *output = (struct output){.path = path, .file.file = -1, .journal.file = -1};
  char *target = path_follow(path, err);
  bool ok = target;
  if (ok && is_replaced(target))
    ok = open_journal(output, target, job, err);
  else if (ok && job->resume)
    ok = fail(err, "%s: want a regular file for --resume, found something else", path);
  else if (ok)
    ok = replace_begin_in_order(&output->file, path, err) &&
         journal_open_unnamed(&output->journal, job->prompts, err);
  free(target);
  return ok;
}

static bool write_lines(struct output *output, struct error *err) {
  FILE *stream = replace_stream(&output->file, err);
  bool ok = stream;
  for (int number = 1; ok && number <= output->journal.prompts && !ferror(stream); number++)
    ok = journal_copy(&output->journal, number, stream, err);
  const bool written = stream && fflush(stream) == 0 && !ferror(stream);
  if (ok && !written)
    ok = fail(err, "%s: %s", output->path, strerror(errno));
  if (stream)
    fclose(stream);
  return ok;
}

bool output_commit(struct output *output, struct error *err) {
  fflush(stdout); // FILE may be the same file
  bool ok = output->file.straight || replace_begin_in_order(&output->file, output->path, err);
  ok = ok && write_lines(output, err);
  ok = replace_end(&output->file, ok, err);
  if (ok)
    journal_close(&output->journal, true);
  return ok;
}

void output_close(struct output *output) {
  struct error ignored;
  replace_end(&output->file, false, &ignored);
  journal_close(&output->journal, false);
}
