#include "base/interrupt.h"

#include <signal.h>
#include <stddef.h>

static volatile sig_atomic_t caught;

static void remember(int signal) {
  caught = signal;
}

void interrupt_catch(void) {
  struct sigaction action = {.sa_handler =
                                 remember}; // without SA_RESTART, so that a waiting read returns
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, NULL);
  sigaction(SIGTERM, &action, NULL);
}

int interrupt_signal(void) {
  return caught;
}

void interrupt_clear(void) {
  caught = 0;
}
