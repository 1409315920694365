// Replacing a file: PATH is the whole new file or the old one, and no other file stays in its
// folder.
#include "base/replace.h"

#include "support.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define NAME "file"

// Asserts a message that begins with FOLDER/NAME and goes on with `rest`.
static void assert_message(const struct error *err, const char *folder, const char *rest) {
  char want[2 * PATH_BYTES];
  snprintf(want, sizeof want, "%s/" NAME "%s", folder, rest);
  assert_string_equal(err->text, want);
}

// Asserts how many files are in a folder.
static void assert_files(const char *folder, int n) {
  DIR *entries = opendir(folder);
  int found = 0;
  assert_non_null(entries);
  for (struct dirent *entry; (entry = readdir(entries));)
    found += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
  closedir(entries);
  assert_int_equal(found, n);
}

static struct replacement begin(const char *folder, char path[static PATH_BYTES]) {
  struct replacement replacement;
  struct error err;
  path_in(path, folder, NAME);
  if (!replace_begin(&replacement, path, &err))
    fail_msg("%s", err.text);
  return replacement;
}

static void a_new_file_appears_at_the_end(void **state) {
  char path[PATH_BYTES];
  struct error err;
  struct replacement replacement = begin(*state, path);
  assert_true(replace_write(&replacement, "new", 3, 0, &err));
  assert_no_file(*state, NAME);
  assert_true(replace_end(&replacement, true, &err));
  assert_file(*state, NAME, "new");
  assert_files(*state, 1);
}

static void an_old_file_stays_until_the_end(void **state) {
  char path[PATH_BYTES];
  struct error err;
  write_text(*state, NAME, "old text");
  struct replacement replacement = begin(*state, path);
  assert_true(replace_write(&replacement, "new", 3, 0, &err));
  assert_file(*state, NAME, "old text");
  assert_true(replace_end(&replacement, true, &err));
  assert_file(*state, NAME, "new");
}

// Each of two writers of one file has a new file of its own: the last one to end wins, as a whole.
static void two_writers_do_not_mix(void **state) {
  char path[PATH_BYTES];
  struct error err;
  struct replacement one = begin(*state, path), other = begin(*state, path);
  assert_true(replace_write(&one, "one and on", 10, 0, &err));
  assert_true(replace_write(&other, "other", 5, 0, &err));
  assert_true(replace_end(&one, true, &err));
  assert_file(*state, NAME, "one and on");
  assert_true(replace_end(&other, true, &err));
  assert_file(*state, NAME, "other");
  assert_files(*state, 1);
}

// Nothing stays of a writer that is killed.
static void a_kill_leaves_the_old_file(void **state) {
  char path[PATH_BYTES];
  struct error err;
  int status;
  write_text(*state, NAME, "old");
  const pid_t child = fork();
  if (child == 0) {
    struct replacement replacement = begin(*state, path);
    replace_write(&replacement, "new", 3, 0, &err);
    raise(SIGKILL);
  }
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFSIGNALED(status));
  assert_file(*state, NAME, "old");
  assert_files(*state, 1);
}

static void bytes_may_be_written_in_any_order(void **state) {
  char path[PATH_BYTES], found[8] = "";
  struct error err;
  struct replacement replacement = begin(*state, path);
  assert_true(replace_write(&replacement, "yz", 2, 5, &err));
  assert_true(replace_write(&replacement, "ab", 2, 0, &err));
  assert_true(replace_end(&replacement, true, &err));
  FILE *file = fopen(path, "rb");
  assert_int_equal(fread(found, 1, sizeof found, file), 7);
  assert_memory_equal(found, "ab\0\0\0yz", 7);
  fclose(file);
}

static void giving_up_leaves_the_old_file(void **state) {
  char path[PATH_BYTES];
  struct error err = {"the reason"};
  write_text(*state, NAME, "old");
  struct replacement replacement = begin(*state, path);
  assert_true(replace_write(&replacement, "new", 3, 0, &err));
  assert_false(replace_end(&replacement, false, &err));
  assert_string_equal(err.text, "the reason");
  assert_file(*state, NAME, "old");
  assert_files(*state, 1);
}

// A limit on the size of files stands for a full disk.
static void a_failing_write_leaves_the_old_file(void **state) {
  char path[PATH_BYTES];
  struct error err;
  struct rlimit before, small;
  write_text(*state, NAME, "old");
  struct replacement replacement = begin(*state, path);
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
  small = (struct rlimit){.rlim_cur = 4, .rlim_max = before.rlim_max};
  void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
  const bool wrote = replace_write(&replacement, "longer than 4", 13, 0, &err);
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
  signal(SIGXFSZ, handler);
  assert_false(wrote);
  assert_message(&err, *state, ": File too large");
  assert_false(replace_end(&replacement, wrote, &err));
  assert_message(&err, *state, ": File too large");
  assert_file(*state, NAME, "old");
  assert_files(*state, 1);
}

// While the new file is written, somebody puts a folder at PATH.
static void a_failing_rename_leaves_what_is_there(void **state) {
  char path[PATH_BYTES];
  struct error err;
  struct replacement replacement = begin(*state, path);
  assert_true(replace_write(&replacement, "new", 3, 0, &err));
  assert_int_equal(mkdir(path, 0700), 0);
  assert_false(replace_end(&replacement, true, &err));
  assert_message(&err, *state, ": Is a directory");
  assert_files(*state, 1);
  assert_int_equal(rmdir(path), 0);
}

static void what_has_no_offsets_is_refused(void **state) {
  char path[PATH_BYTES];
  struct replacement replacement;
  struct error err;
  path_in(path, *state, NAME);
  assert_int_equal(mkfifo(path, 0600), 0);
  assert_false(replace_begin(&replacement, path, &err));
  assert_message(&err, *state, ": want a file that can be written in any order, found a pipe");
  assert_false(replace_end(&replacement, false, &err));
  struct stat status;
  assert_int_equal(stat(path, &status), 0);
  assert_true(S_ISFIFO(status.st_mode));
  assert_files(*state, 1);
  unlink(path);
  assert_int_equal(mkdir(path, 0700), 0);
  assert_false(replace_begin(&replacement, path, &err));
  assert_message(&err, *state, ": want a file, found a folder");
  assert_false(replace_end(&replacement, false, &err));
  rmdir(path);
}

enum { STREAM_BYTES = 300000 };

// Reads a pipe slowly and exits with 0 if it had STREAM_BYTES bytes, each the lowest 7 bits of its
// position.
static void read_slowly(const char *path) {
  char bytes[4096];
  int position = 0;
  bool same = true;
  usleep(20000);
  const int file = open(path, O_RDONLY);
  for (ssize_t n; (n = read(file, bytes, sizeof bytes)) > 0; usleep(500))
    for (ssize_t i = 0; i < n; i++)
      same = bytes[i] == (position++ & 127) && same;
  _exit(!same || position != STREAM_BYTES);
}

static void count(int signal) {
  (void)signal;
}

// A timer interrupts both the opening of a pipe that nobody reads yet and the writes to it.
static void interrupted_calls_are_repeated(void **state) {
  const struct itimerval often = {{0, 300}, {0, 300}}, never = {{0, 0}, {0, 0}};
  const struct sigaction action = {.sa_handler = count};
  char path[PATH_BYTES];
  struct replacement replacement;
  struct error err;
  int status;
  path_in(path, *state, NAME);
  assert_int_equal(mkfifo(path, 0600), 0);
  const pid_t child = fork();
  if (child == 0)
    read_slowly(path);
  assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
  assert_int_equal(setitimer(ITIMER_REAL, &often, NULL), 0);
  assert_true(replace_begin_in_order(&replacement, path, &err));
  FILE *stream = replace_stream(&replacement, &err);
  for (int i = 0; i < STREAM_BYTES; i++)
    assert_int_equal(putc(i & 127, stream), i & 127);
  assert_int_equal(fclose(stream), 0);
  assert_int_equal(setitimer(ITIMER_REAL, &never, NULL), 0);
  assert_true(replace_end(&replacement, true, &err));
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_int_equal(status, 0);
  unlink(path);
}

static void a_missing_folder_is_an_error(void **state) {
  struct replacement replacement;
  struct error err;
  (void)state;
  assert_false(replace_begin(&replacement, "no/such/file", &err));
  assert_string_equal(err.text, "no/such/file: No such file or directory");
  assert_false(replace_end(&replacement, false, &err));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      IN_FOLDER(a_new_file_appears_at_the_end),
      IN_FOLDER(an_old_file_stays_until_the_end),
      IN_FOLDER(two_writers_do_not_mix),
      IN_FOLDER(a_kill_leaves_the_old_file),
      IN_FOLDER(bytes_may_be_written_in_any_order),
      IN_FOLDER(giving_up_leaves_the_old_file),
      IN_FOLDER(a_failing_write_leaves_the_old_file),
      IN_FOLDER(a_failing_rename_leaves_what_is_there),
      IN_FOLDER(what_has_no_offsets_is_refused),
      IN_FOLDER(interrupted_calls_are_repeated),
      cmocka_unit_test(a_missing_folder_is_an_error),
  };
  return cmocka_run_group_tests_name("replace", tests, NULL, NULL);
}
