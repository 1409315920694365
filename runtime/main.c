// Reads the command line, runs the mode, and turns an error into one line and an exit status.
#include "base/parallel.h"
#include "mode/mode.h"
#include "terminal.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int run(const struct options *options, struct error *err) {
  static int (*const MODES[])(struct session *, struct error *) = {
      [MODE_GENERATE] = mode_generate, [MODE_CHAT] = mode_chat, [MODE_PROMPTS] = mode_prompts,
      [MODE_LOGITS] = mode_logits,     [MODE_PACK] = mode_pack,
  };
  if (options->plan)
    return mode_plan();
  if (options->mode == MODE_DECODE)
    return mode_decode(options, err);
  if (options->mode == MODE_INFO)
    return mode_info(options, err);
  if (options->mode == MODE_VERIFY)
    return mode_verify(options, err);
  struct session session;
  int status = -1;
  struct error later;
  if (session_open(&session, options, err)) {
    status = MODES[options->mode](&session, err);
    if (!session_report(&session, status < 0 ? &later : err))
      status = -1;
  }
  session_close(&session);
  return status;
}

// Opens every closed standard stream on /dev/null, for reading only. Otherwise the next file that
// getp opens would get the stream's number, and with it what is printed.
static void fill_standard_streams(void) {
  int file;
  do
    file = open("/dev/null", O_RDONLY);
  while (file >= 0 && file <= STDERR_FILENO);
  if (file >= 0)
    close(file);
}

// Its frame has a session and must not become a part of that of main, which runs on any stack.
__attribute__((noinline)) static int start(int argc, char **argv) {
  struct options options;
  struct error err = {"failed"};
  int status = -1;
  fill_standard_streams();
  signal(SIGXFSZ, SIG_IGN); // a write beyond the size limit fails instead
  if (options_parse(&options, argc, argv, &err)) {
    if (options.help)
      status = (fputs(OPTIONS_HELP, stdout), 0);
    else if (threads_check(&err))
      status = run(&options, &err);
  }
  if (status < 0)
    remark("%s", err.text);
  if (status >= 0 && (fflush(stdout) != 0 || ferror(stdout))) {
    perror("getp: standard output");
    status = -1;
  }
  return status < 0 ? EXIT_FAILURE : status;
}

int main(int argc, char **argv) {
  struct error err;
  threads_spin_briefly(argv);
  if (stack_check(&err))
    return start(argc, argv);
  remark("%s", err.text);
  return EXIT_FAILURE;
}
