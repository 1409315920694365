// SIGINT and SIGTERM set a flag, which long work checks now and then. A second signal ends the
// process at once. What a signal handler needs is global, since it can reach no other memory.
#ifndef GETP_BASE_INTERRUPT_H
#define GETP_BASE_INTERRUPT_H

// Makes the two signals set the flag instead of ending the process, until one has come.
void interrupt_catch(void);

// The signal that came, or 0.
int interrupt_signal(void);

// Forgets it.
void interrupt_clear(void);

// Calls a function before a second signal ends the process. It may do only what a signal handler
// may.
void interrupt_at_kill(void (*leave)(void));

#endif
