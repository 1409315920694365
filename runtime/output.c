#include "output.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool output_open(struct output *output, const char *path, struct error *err) {
  struct stat status;
  *output = (struct output){.path = path};
  if (stat(path, &status) == 0 && S_ISDIR(status.st_mode))
    return fail(err, "%s: is a folder: want a file", path);
  if (stat(path, &status) == 0 && !S_ISREG(status.st_mode))
    return true;
  if (asprintf(&output->part, "%s.part", path) < 0) {
    output->part = NULL;
    return fail(err, "out of memory");
  }
  output->journal = fopen(output->part, "w");
  return output->journal ? true : fail(err, "%s: %s", output->part, strerror(errno));
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
             : fail(err, "%s: %s", output->part, strerror(errno));
}

static bool write_all(const char *path, const struct request *requests, int n, bool sync,
                      struct error *err) {
  FILE *file = fopen(path, "w");
  if (!file)
    return fail(err, "%s: %s", path, strerror(errno));
  for (int i = 0; i < n; i++)
    write_ids(file, &requests[i]);
  const bool written = fflush(file) == 0 && (!sync || fsync(fileno(file)) == 0) && !ferror(file);
  const int problem = errno;
  if (fclose(file) != 0 || !written)
    return fail(err, "%s: %s", path, strerror(written ? errno : problem));
  return true;
}

bool output_commit(struct output *output, const struct request *requests, int n,
                   struct error *err) {
  if (!output->journal)
    return write_all(output->path, requests, n, false, err);
  char *fresh;
  if (asprintf(&fresh, "%s.new", output->path) < 0)
    return fail(err, "out of memory");
  bool ok = write_all(fresh, requests, n, true, err);
  if (ok && rename(fresh, output->path) != 0)
    ok = fail(err, "%s: %s", output->path, strerror(errno));
  if (ok)
    unlink(output->part);
  else
    unlink(fresh);
  free(fresh);
  return ok;
}

void output_close(struct output *output) {
  if (output->journal) {
    const bool empty = ftell(output->journal) == 0;
    fclose(output->journal);
    if (empty)
      unlink(output->part);
  }
  free(output->part);
  *output = (struct output){0};
}
