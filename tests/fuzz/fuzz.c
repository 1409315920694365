#include "fuzz.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_BYTES = 512 };

static char folder[PATH_BYTES]; // empty: not made yet
static struct tokenizer *tokenizer;

void must(bool holds, const char *what) {
  if (holds)
    return;
  fprintf(stderr, "fuzz: want %s\n", what);
  abort();
}

static void clean_up(void) {
  tokenizer_close(tokenizer);
  DIR *entries = *folder ? opendir(folder) : NULL;
  if (!entries)
    return;
  for (const struct dirent *entry; (entry = readdir(entries));)
    unlinkat(dirfd(entries), entry->d_name, 0);
  closedir(entries);
  rmdir(folder);
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  (void)argc;
  (void)argv;
  return atexit(clean_up);
}

const char *fuzz_folder(void) {
  if (!*folder) {
    const char *where = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/getp-fuzz-XXXXXX", where ? where : P_tmpdir);
    must(mkdtemp(folder) != NULL, "a folder for files");
  }
  return folder;
}

const char *fuzz_file(const char *name, const void *data, size_t bytes, size_t end) {
  static char path[PATH_BYTES + 256];
  snprintf(path, sizeof path, "%s/%s", fuzz_folder(), name);
  const int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  must(file >= 0 && write(file, data, bytes) == (ssize_t)bytes, "to write a file");
  must(end <= bytes || ftruncate(file, (off_t)end) == 0, "to lengthen a file");
  close(file);
  return path;
}

const struct tokenizer *fuzz_tokenizer(void) {
  struct error err;
  if (!tokenizer)
    must(tokenizer_open(&tokenizer, "tests/models/abacus_chat/tokenizer.json", &err), err.text);
  return tokenizer;
}
