// SIGINT and SIGTERM set a flag, which long work checks now and then. The flag is the only global
// variable of the program: a signal handler can reach no other memory.
#ifndef GETP_BASE_INTERRUPT_H
#define GETP_BASE_INTERRUPT_H

// Makes the two signals set the flag instead of ending the process.
void interrupt_catch(void);

// The last signal that came, or 0.
int interrupt_signal(void);

// Forgets it.
void interrupt_clear(void);

#endif
