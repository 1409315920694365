#include "base/interrupt.h"

#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>

static atomic_int caught;
static void (*volatile at_kill)(void);

// Two signals may be handled by two threads at once. A blocked signal acts when its handler
// returns.
static void remember(int signal) {
  if (atomic_exchange(&caught, signal) != 0) {
    struct sigaction action = {.sa_handler = SIG_DFL};
    if (at_kill)
      at_kill();
    sigemptyset(&action.sa_mask);
    sigaction(signal, &action, NULL);
    raise(signal);
  }
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

void interrupt_at_kill(void (*leave)(void)) {
  at_kill = leave;
}
