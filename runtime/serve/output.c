#include "serve/output.h"

#include "base/replace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool output_open(struct output *output, const char *path, struct error *err) {
  struct stat status;
  *output = (struct output){.path = path};
  if (stat(path, &status) == 0 && S_ISDIR(status.st_mode))
    return fail(err, "%s: want a file, found a folder", path);
  if (stat(path, &status) == 0 && !S_ISREG(status.st_mode))
    return true;
  if (asprintf(&output->journal_path, "%s.part", path) < 0) {
    output->journal_path = NULL;
    return fail(err, "%s: out of memory for the name of its journal", path);
  }
  output->journal = fopen(output->journal_path, "w");
  return output->journal ? true : fail(err, "%s: %s", output->journal_path, strerror(errno));
}

static void write_ids(FILE *file, const struct request *request) {
  for (int i = 0; i < request->n_output; i++)
    fprintf(file, i ? " %d" : "%d", request->output[i]);
  fputc('\n', file);
}

bool output_add(struct output *output, int number, const struct request *request,
                struct error *err) {
  if (!output->journal)
    return true;
  fprintf(output->journal, "%d: ", number);
  write_ids(output->journal, request);
  return fflush(output->journal) == 0 && !ferror(output->journal)
             ? true
             : fail(err, "%s: %s", output->journal_path, strerror(errno));
}

// Writes all lines to a file and closes it; `descriptor` is -1 if it could not be opened.
static bool write_all(int descriptor, const char *path, const struct request *requests, int n,
                      struct error *err) {
  FILE *file = descriptor < 0 ? NULL : fdopen(descriptor, "w");
  if (!file)
    return fail(err, "%s: %s", path, strerror(errno));
  for (int i = 0; i < n; i++)
    write_ids(file, &requests[i]);
  const bool written = fflush(file) == 0 && !ferror(file);
  const int problem = errno;
  if (fclose(file) != 0 || !written)
    return fail(err, "%s: %s", path, strerror(written ? errno : problem));
  return true;
}

bool output_commit(struct output *output, const struct request *requests, int n,
                   struct error *err) {
  struct replacement file;
  if (!output->journal)
    return write_all(open(output->path, O_WRONLY | O_TRUNC | O_CLOEXEC), output->path, requests, n,
                     err);
  bool ok = replace_begin(&file, output->path, err) &&
            write_all(dup(file.file), file.fresh, requests, n, err);
  ok = replace_end(&file, ok, err);
  if (ok)
    unlink(output->journal_path);
  return ok;
}

void output_close(struct output *output) {
  if (output->journal) {
    const bool empty = ftell(output->journal) == 0;
    fclose(output->journal);
    if (empty)
      unlink(output->journal_path);
  }
  free(output->journal_path);
  *output = (struct output){0};
}
