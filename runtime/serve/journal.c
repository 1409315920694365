#include "serve/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static const char MAGIC[] = "getp journal 1";
enum { MARK = sizeof MAGIC - 1 }; // where the first colon is

#define SEED "; -s=" // before the seed at the end of the first line
static bool fail_on(const struct journal *journal, struct error *err) {
  return fail(err, "%s: %s", journal->path ? journal->path : "temporary file", strerror(errno));
}

static bool alloc_lines(struct journal *journal, int prompts, struct error *err) {
  journal->prompts = prompts;
  journal->lines = calloc((size_t)prompts + 1, sizeof *journal->lines);
  return journal->lines ? true : fail(err, "journal: out of memory for %d prompts", prompts);
}

bool journal_has(const struct journal *journal, int number) {
  return journal->lines[number - 1].first != 0;
}

static void keep_line(struct journal *journal, int number, int64_t first, size_t bytes,
                      bool failed) {
  journal->lines[number - 1] = (struct journal_line){first, (int32_t)bytes, failed};
  journal->done++;
  journal->failed += failed;
}

// Makes the buffer of a line at least n bytes long.
static bool reserve(struct journal *journal, size_t n, struct error *err) {
  if (n <= journal->capacity)
    return true;
  char *grown = realloc(journal->buffer, 2 * n);
  if (!grown)
    return fail(err, "journal: out of memory for a line of %zu bytes", n);
  journal->buffer = grown;
  journal->capacity = 2 * n;
  return true;
}

static bool write_at(const struct journal *journal, const char *bytes, size_t n, int64_t offset) {
  for (size_t done = 0; done < n;) {
    const ssize_t got = TEMP_FAILURE_RETRY(
        pwrite(journal->file, bytes + done, n - done, (off_t)offset + (off_t)done));
    if (got <= 0)
      return false;
    done += (size_t)got;
  }
  return true;
}

// Appends n bytes, all or none.
static bool append(struct journal *journal, const char *bytes, size_t n, struct error *err) {
  if (write_at(journal, bytes, n, journal->end)) {
    journal->end += (int64_t)n;
    return true;
  }
  const int problem = errno;
  const bool full = problem == ENOSPC || problem == EDQUOT || problem == EFBIG;
  if (ftruncate(journal->file, (off_t)journal->end) == 0 && full && journal->path)
    write_at(journal, "!", 1, MARK);
  errno = problem;
  return fail_on(journal, err);
}

// ---- opening ----

// The file may have been removed since it was opened, by the process that held the lock.
static bool has_its_name(const struct journal *journal) {
  struct stat opened, named;
  return fstat(journal->file, &opened) == 0 && lstat(journal->path, &named) == 0 &&
         opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}

static bool lock(struct journal *journal, const char *output, struct error *err) {
  journal->locked = TEMP_FAILURE_RETRY(flock(journal->file, LOCK_EX | LOCK_NB)) == 0;
  return journal->locked || errno != EWOULDBLOCK
             ? true
             : fail(err, "%s: in use: another getp that writes it holds %s", output, journal->path);
}

// A new journal may be read by those who may read the old output.
static mode_t mode_for(const char *output) {
  struct stat status;
  return stat(output, &status) == 0 ? status.st_mode & 0666 : 0666;
}

static bool open_locked(struct journal *journal, const char *output, struct error *err) {
  struct stat status;
  do {
    if (journal->file >= 0)
      close(journal->file);
    journal->file = TEMP_FAILURE_RETRY(open(
        journal->path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, mode_for(output)));
    if (journal->file < 0 && errno == ELOOP)
      return fail(err, "%s: want a regular file, found a link", journal->path);
    if (journal->file < 0 || fstat(journal->file, &status) != 0)
      return fail_on(journal, err);
    if (!S_ISREG(status.st_mode))
      return fail(err, "%s: want a regular file, found something else", journal->path);
    if (!lock(journal, output, err))
      return false;
  } while (!has_its_name(journal));
  journal->end = (int64_t)status.st_size;
  return true;
}

// The identity of a job, with its seed if it draws. NULL with a message when memory runs out.
static char *identity_with_seed(const struct journal_job *job, struct error *err) {
  char *text, seed[32] = "";
  if (job->draws)
    snprintf(seed, sizeof seed, SEED "%" PRIu64, job->seed);
  if (asprintf(&text, "%s%s", job->identity, seed) >= 0)
    return text;
  fail(err, "journal: out of memory for its first line");
  return NULL;
}

// Writes the first line. What the file held before had no finished lines.
static bool begin_anew(struct journal *journal, const struct journal_job *job, struct error *err) {
  char *identity = identity_with_seed(job, err), *header = NULL;
  if (identity && asprintf(&header, "%s: %s\n", MAGIC, identity) < 0) {
    header = NULL;
    fail(err, "journal: out of memory for its first line");
  }
  journal->end = 0;
  const bool ok = header && (ftruncate(journal->file, 0) == 0 || fail_on(journal, err)) &&
                  append(journal, header, strlen(header), err);
  free(identity);
  free(header);
  return ok;
}

// ---- taking up ----

struct field {
  const char *name, *value;
  int name_bytes, value_bytes;
};

// Moves the next field from the front of *rest, a list of "NAME=VALUE; ...". Returns false at its
// end.
static bool next_field(const char **rest, struct field *field) {
  const char *name = *rest + strspn(*rest, "; ");
  const size_t n = strcspn(name, ";"), equals = strcspn(name, "=");
  const size_t name_bytes = equals < n ? equals : n, value = equals < n ? equals + 1 : n;
  *field = (struct field){name, name + value, (int)name_bytes, (int)(n - value)};
  *rest = name + n;
  return n > 0;
}

static bool same_text(const char *a, int a_bytes, const char *b, int b_bytes) {
  return a_bytes == b_bytes && memcmp(a, b, (size_t)a_bytes) == 0;
}

// Names the first value of the journal that the job does not have.
static bool compare(const struct journal *journal, const char *has, const char *job,
                    struct error *err) {
  struct field a, b;
  for (;;) {
    const bool more = next_field(&has, &a);
    if (next_field(&job, &b) != more || !same_text(a.name, a.name_bytes, b.name, b.name_bytes))
      return fail(err,
                  "%s: want the journal of this job, found that of another: remove it to start "
                  "anew",
                  journal->path);
    if (!more)
      return true;
    if (!same_text(a.value, a.value_bytes, b.value, b.value_bytes))
      return fail(err,
                  "%s: %.*s: want %.*s, with which the job began, found %.*s: give the same, or "
                  "remove the file to start anew",
                  journal->path, a.name_bytes, a.name, a.value_bytes, a.value, b.value_bytes,
                  b.value);
  }
}

// Compares the first line, without its LF, with the job. Sets the job's seed if it may be any.
static bool check_identity(const struct journal *journal, const char *header,
                           struct journal_job *job, struct error *err) {
  const char *seed = strstr(header, SEED);
  if (job->draws && job->any_seed && seed)
    job->seed = strtoull(seed + sizeof SEED - 1, NULL, 10);
  char *want = identity_with_seed(job, err);
  const bool ok = want && compare(journal, header + MARK + 1, want, err);
  free(want);
  return ok;
}

static bool is_header(const char *line) {
  return strncmp(line, MAGIC, MARK) == 0 && (line[MARK] == ':' || line[MARK] == '!');
}

// Reads the line of a prompt, `offset` bytes into the journal. Returns false if it is none.
static bool read_line(struct journal *journal, const char *text, size_t n, int64_t offset) {
  static const char FAILED[] = " failed";
  char *end;
  const long number = *text >= '1' && *text <= '9' ? strtol(text, &end, 10) : 0;
  if (number < 1 || number > journal->prompts || journal_has(journal, (int)number))
    return false;
  const bool failed = strncmp(end, FAILED, sizeof FAILED - 1) == 0;
  const char *ids = end + (failed ? sizeof FAILED - 1 : 0);
  if (strncmp(ids, ": ", 2) != 0)
    return false;
  ids += 2;
  const size_t bytes = n - (size_t)(ids - text);
  if (strspn(ids, "0123456789 ") != bytes)
    return false;
  keep_line(journal, (int)number, offset + (ids - text), bytes, failed);
  return true;
}

// What was found in a journal.
struct found {
  bool is_of_job; // or else `difference` says why not
  bool disk_was_full;
  int finished; // lines
  struct error difference;
};

// Reads the lines that end with a LF. Those of prompts are kept if the journal is of the job.
// journal->end becomes the end of the last one.
static bool read_lines(struct journal *journal, FILE *file, struct journal_job *job,
                       struct found *found, struct error *err) {
  char *line = NULL;
  size_t capacity = 0;
  bool ok = true;
  journal->end = 0;
  ssize_t n;
  while (ok && (n = getline(&line, &capacity, file)) > 0) {
    if (journal->end == 0 && !is_header(line))
      ok = fail(err,
                "%s: want a journal of getp, found something else: remove it, or choose another -o",
                journal->path);
    if (!ok || line[n - 1] != '\n')
      break;
    line[n - 1] = 0;
    if (journal->end == 0) {
      found->disk_was_full = line[MARK] == '!';
      found->is_of_job = check_identity(journal, line, job, &found->difference);
    } else {
      found->finished++;
      ok = !found->is_of_job || read_line(journal, line, (size_t)n - 1, journal->end) ||
           fail(err,
                "%s:%d: want the line of a prompt, found \"%.40s\": remove the file to start "
                "anew",
                journal->path, found->finished + 1, line);
    }
    journal->end += n;
  }
  if (ok && ferror(file))
    ok = fail_on(journal, err);
  free(line);
  return ok;
}

static bool read_journal(struct journal *journal, struct journal_job *job, struct found *found,
                         struct error *err) {
  const int copy = fcntl(journal->file, F_DUPFD_CLOEXEC, 0);
  FILE *file = copy >= 0 ? fdopen(copy, "r") : NULL;
  if (!file) {
    fail_on(journal, err);
    if (copy >= 0)
      close(copy);
    return false;
  }
  const bool ok = read_lines(journal, file, job, found, err);
  fclose(file);
  return ok;
}

// Decides what becomes of a journal that is not empty.
static bool judge_content(struct journal *journal, struct journal_job *job, bool *anew,
                          struct error *err) {
  struct found found = {0};
  const struct journal_job asked = *job;
  if (!read_journal(journal, job, &found, err))
    return false;
  *anew = found.finished == 0;
  if (*anew)
    *job = asked;
  if (*anew || (found.is_of_job && (job->resume || found.disk_was_full)))
    return true;
  if (job->resume) {
    *err = found.difference;
    return false;
  }
  return fail(err,
              "%s: want no unfinished job, found one with %d of its prompts done: --resume takes "
              "it up, and removing the file starts anew",
              journal->path, found.finished);
}

bool journal_open(struct journal *journal, char *path, const char *output, struct journal_job *job,
                  struct error *err) {
  *journal = (struct journal){.path = path, .file = -1};
  if (!alloc_lines(journal, job->prompts, err) || !open_locked(journal, output, err))
    return false;
  bool anew = journal->end == 0;
  if (!anew && !judge_content(journal, job, &anew, err))
    return false;
  journal->is_ours = true;
  if (anew)
    return begin_anew(journal, job, err);
  return (ftruncate(journal->file, (off_t)journal->end) == 0 && write_at(journal, ":", 1, MARK)) ||
         fail_on(journal, err);
}

bool journal_open_unnamed(struct journal *journal, int prompts, struct error *err) {
  *journal = (struct journal){.file = -1};
  if (!alloc_lines(journal, prompts, err))
    return false;
  FILE *file = tmpfile();
  journal->file = file ? fcntl(fileno(file), F_DUPFD_CLOEXEC, 0) : -1;
  const int problem = errno;
  if (file)
    fclose(file);
  errno = problem;
  return journal->file >= 0 || fail_on(journal, err);
}

// ---- lines ----

bool journal_add(struct journal *journal, int number, const int32_t *ids, int n, bool failed,
                 struct error *err) {
  enum { ID_BYTES = 12, START_BYTES = 24 };
  if (!reserve(journal, START_BYTES + (size_t)n * ID_BYTES, err))
    return false;
  char *line = journal->buffer;
  const int start = sprintf(line, failed ? "%d failed: " : "%d: ", number);
  int bytes = start;
  for (int i = 0; i < n; i++)
    bytes += sprintf(line + bytes, i ? " %" PRId32 : "%" PRId32, ids[i]);
  const int64_t first = journal->end + start;
  line[bytes] = '\n';
  if (!append(journal, line, (size_t)bytes + 1, err))
    return false;
  keep_line(journal, number, first, (size_t)(bytes - start), failed);
  return true;
}

bool journal_copy(struct journal *journal, int number, FILE *to, struct error *err) {
  const struct journal_line *line = &journal->lines[number - 1];
  if (!reserve(journal, (size_t)line->bytes + 1, err))
    return false;
  for (int32_t done = 0; done < line->bytes;) {
    const ssize_t got =
        TEMP_FAILURE_RETRY(pread(journal->file, journal->buffer + done,
                                 (size_t)(line->bytes - done), (off_t)(line->first + done)));
    if (got == 0)
      errno = EIO; // somebody cut it off
    if (got <= 0)
      return fail_on(journal, err);
    done += (int32_t)got;
  }
  journal->buffer[line->bytes] = '\n';
  fwrite(journal->buffer, 1, (size_t)line->bytes + 1, to); // the caller checks the stream
  return true;
}

void journal_close(struct journal *journal, bool remove) {
  if (journal->path && journal->is_ours && (remove || journal->done == 0))
    unlink(journal->path);
  if (journal->file >= 0)
    close(journal->file);
  free(journal->path);
  free(journal->lines);
  free(journal->buffer);
  *journal = (struct journal){.file = -1};
}
