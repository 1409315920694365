// make_checkpoint CONFIG OUT_DIR: writes a random checkpoint of a config, in the layout of Hugging
// Face. values.h says what the numbers depend on, tensors.h which tensors there are.
#include "base/path.h"
#include "files.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char HELP[] =
    "usage: make_checkpoint CONFIG OUT_DIR [--seed N] [--shard-bytes N]\n"
    "\n"
    "Writes a random checkpoint of CONFIG, which is a Hugging Face config.json of gpt-oss or a\n"
    "folder that holds one. OUT_DIR is new or empty; it gets config.json unchanged, safetensors\n"
    "and generation_config.json. It gets no tokenizer: `getp -m logits` needs none; for other\n"
    "modes copy a tokenizer.json into it.\n"
    "\n"
    "  --seed N         chooses the weights; default 0\n"
    "  --shard-bytes N  bytes of tensors in a file before the next file begins; default\n"
    "                   5000000000\n";

struct options {
  const char *config, *out;
  uint64_t seed, shard_bytes;
  bool help;
};

// Reads CONFIG, or the config.json in it if it is a folder.
static bool read_config(struct text *text, const char *path, struct error *err) {
  struct stat status;
  if (stat(path, &status) || !S_ISDIR(status.st_mode))
    return text_read(text, path, err);
  char *inside = path_join(path, "config.json", err);
  const bool ok = inside && text_read(text, inside, err);
  free(inside);
  return ok;
}

// Writes all files except config.json, which is read from the folder.
static bool make_rest(struct folder *folder, const struct options *options, struct error *err) {
  struct plan plan = {.seed = options->seed};
  struct error why;
  bool ok = plan_make(&plan, folder->path, &why) || fail(err, "%s: %s", options->config, why.text);
  if (ok) {
    plan_shards(&plan, options->shard_bytes);
    ok = write_checkpoint(folder, &plan, err);
  }
  free(plan.specs);
  return ok;
}

static bool make_checkpoint(const struct options *options, struct error *err) {
  struct text config = {0};
  struct folder folder = {0};
  const bool ok =
      read_config(&config, options->config, err) && folder_open(&folder, options->out, err) &&
      write_file(&folder, "config.json", config, err) && make_rest(&folder, options, err);
  folder_close(&folder, ok);
  free(config.bytes);
  return ok;
}

static bool parse_number(uint64_t *out, const char *flag, const char *text, uint64_t low,
                         struct error *err) {
  char *end = NULL;
  errno = 0;
  if (text && *text >= '0' && *text <= '9')
    *out = strtoull(text, &end, 10);
  return (end && !*end && !errno && *out >= low) ||
         fail(err, "%s: want a whole number from %" PRIu64 ", found %.80s", flag, low,
              text ? text : "nothing");
}

static bool parse_path(struct options *options, const char *argument, struct error *err) {
  const char **path = !options->config ? &options->config : &options->out;
  if (*argument == '-' || *path)
    return fail(err, "%.80s: want CONFIG OUT_DIR [--seed N] [--shard-bytes N]: see --help",
                argument);
  *path = argument;
  return true;
}

static bool parse_options(struct options *options, int argc, char **argv, struct error *err) {
  *options = (struct options){.shard_bytes = 5000000000};
  for (int i = 1; i < argc; i++) {
    bool ok = true;
    if (!strcmp(argv[i], "--help")) {
      options->help = true;
      return true;
    }
    if (!strcmp(argv[i], "--seed"))
      ok = parse_number(&options->seed, "--seed", argv[++i], 0, err);
    else if (!strcmp(argv[i], "--shard-bytes"))
      ok = parse_number(&options->shard_bytes, "--shard-bytes", argv[++i], 1, err);
    else
      ok = parse_path(options, argv[i], err);
    if (!ok)
      return false;
  }
  return options->out || fail(err, "want CONFIG OUT_DIR: see --help");
}

int main(int argc, char **argv) {
  struct options options;
  struct error err = {"failed"};
  signal(SIGXFSZ, SIG_IGN); // so that a write beyond the limit of file sizes fails with an errno
  bool ok = parse_options(&options, argc, argv, &err);
  if (ok && options.help) {
    fputs(HELP, stdout);
    return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
  }
  ok = ok && make_checkpoint(&options, &err);
  if (!ok)
    fprintf(stderr, "make_checkpoint: %s\n", err.text);
  return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
