// SIGINT and SIGTERM as a flag that long work looks at. A handler can reach nothing but a static
// variable: the one global of the program.
#ifndef GETP_BASE_INTERRUPT_H
#define GETP_BASE_INTERRUPT_H

// From now on the two signals set the flag instead of ending the process.
void interrupt_catch(void);

// The signal that came last, or 0.
int interrupt_signal(void);
void interrupt_clear(void);

#endif
