// Replacing a file: PATH is the whole new file or the old one, and PATH.new never stays.
#include "base/replace.h"

#include "support.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME "file"

// Asserts a message that begins with FOLDER/NAME and goes on with `rest`.
static void assert_message(const struct error *err, const char *folder, const char *rest) {
  char want[2 * PATH_BYTES];
  snprintf(want, sizeof want, "%s/" NAME "%s", folder, rest);
  assert_string_equal(err->text, want);
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
  assert_no_file(*state, NAME ".new");
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

static void a_rest_of_an_earlier_run_is_overwritten(void **state) {
  char path[PATH_BYTES];
  struct error err;
  write_text(*state, NAME ".new", "left by a kill");
  struct replacement replacement = begin(*state, path);
  assert_true(replace_write(&replacement, "new", 3, 0, &err));
  assert_true(replace_end(&replacement, true, &err));
  assert_file(*state, NAME, "new");
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
  assert_no_file(*state, NAME ".new");
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
  assert_message(&err, *state, ".new: File too large");
  assert_false(replace_end(&replacement, wrote, &err));
  assert_message(&err, *state, ".new: File too large");
  assert_file(*state, NAME, "old");
  assert_no_file(*state, NAME ".new");
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
  assert_no_file(*state, NAME ".new");
  assert_int_equal(rmdir(path), 0);
}

static void other_than_regular_files_are_refused(void **state) {
  char path[PATH_BYTES];
  struct replacement replacement;
  struct error err;
  path_in(path, *state, NAME);
  assert_int_equal(mkfifo(path, 0600), 0);
  assert_false(replace_begin(&replacement, path, &err));
  assert_message(&err, *state, ": want a regular file, found something else");
  assert_false(replace_end(&replacement, false, &err));
  assert_no_file(*state, NAME ".new");
  struct stat status;
  assert_int_equal(stat(path, &status), 0);
  assert_true(S_ISFIFO(status.st_mode));
}

static void a_missing_folder_is_an_error(void **state) {
  struct replacement replacement;
  struct error err;
  (void)state;
  assert_false(replace_begin(&replacement, "no/such/file", &err));
  assert_string_equal(err.text, "no/such/file.new: No such file or directory");
  assert_false(replace_end(&replacement, false, &err));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      IN_FOLDER(a_new_file_appears_at_the_end),
      IN_FOLDER(an_old_file_stays_until_the_end),
      IN_FOLDER(a_rest_of_an_earlier_run_is_overwritten),
      IN_FOLDER(bytes_may_be_written_in_any_order),
      IN_FOLDER(giving_up_leaves_the_old_file),
      IN_FOLDER(a_failing_write_leaves_the_old_file),
      IN_FOLDER(a_failing_rename_leaves_what_is_there),
      IN_FOLDER(other_than_regular_files_are_refused),
      cmocka_unit_test(a_missing_folder_is_an_error),
  };
  return cmocka_run_group_tests_name("replace", tests, NULL, NULL);
}
