// main: reads the command line, opens what the mode needs, turns errors into one line and a status.
#include "mode/mode.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int run(const struct options *options, struct error *err) {
  static int (*const MODES[])(struct session *, struct error *) = {
      [MODE_GENERATE] = mode_generate, [MODE_CHAT] = mode_chat, [MODE_GETP] = mode_getp,
      [MODE_LOGITS] = mode_logits,     [MODE_PACK] = mode_pack,
  };
  if (options->plan)
    return mode_plan();
  if (options->mode == MODE_DECODE)
    return mode_decode(options, err);
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

// Gives a closed standard stream a place that reads as empty and refuses writing, so that no file
// that getp opens takes its number and its text.
static void fill_standard_streams(void) {
  int file;
  do
    file = open("/dev/null", O_RDONLY);
  while (file >= 0 && file <= STDERR_FILENO);
  if (file >= 0)
    close(file);
}

int main(int argc, char **argv) {
  struct options options;
  struct error err = {"failed"};
  int status = -1;
  fill_standard_streams();
  signal(SIGXFSZ, SIG_IGN); // a file that may not grow is an error of its write
  if (options_parse(&options, argc, argv, &err))
    status = options.help ? (fputs(OPTIONS_HELP, stdout), 0) : run(&options, &err);
  if (status < 0)
    fprintf(stderr, "getp: %s\n", err.text);
  if (status >= 0 && (fflush(stdout) != 0 || ferror(stdout))) {
    perror("getp: standard output");
    status = -1;
  }
  return status < 0 ? EXIT_FAILURE : status;
}
