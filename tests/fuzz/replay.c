// Runs a target on every file of a folder, without libFuzzer: `replay FOLDER`. Prints TAP. An input
// that takes too long, or too much memory, ends the process as a crash does.
#include "fuzz.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
  SECONDS = 10, // some ten times what an input may take, for the sanitizers and a busy machine
  MOST_KIB = 1024 * 1024, // resident in all
};

static void run_file(const char *folder, const char *name) {
  char path[4096];
  struct rusage usage;
  snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE *file = fopen(path, "rb");
  must(file != NULL, path);
  fseek(file, 0, SEEK_END);
  const size_t bytes = (size_t)ftell(file);
  rewind(file);
  uint8_t *data = malloc(bytes + 1); // one byte more, as malloc(0) may return NULL
  must(data && fread(data, 1, bytes, file) == bytes, path);
  fclose(file);
  data = realloc(data, bytes ? bytes : 1); // so that a read after the end is found
  fprintf(stderr, "# %s\n", path);
  alarm(SECONDS);
  LLVMFuzzerTestOneInput(data, bytes);
  alarm(0);
  free(data);
  must(getrusage(RUSAGE_SELF, &usage) == 0 && usage.ru_maxrss < MOST_KIB, "less memory");
  printf("ok - %s\n", name);
}

int main(int argc, char **argv) {
  struct dirent **entries;
  must(argc == 2, "the name of a folder");
  LLVMFuzzerInitialize(&argc, &argv);
  const int n = scandir(argv[1], &entries, NULL, alphasort);
  must(n > 2, "a folder with files");
  for (int i = 0; i < n; i++) {
    if (entries[i]->d_name[0] != '.')
      run_file(argv[1], entries[i]->d_name);
    free(entries[i]);
  }
  free(entries);
  return 0;
}
