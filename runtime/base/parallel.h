// OpenMP's pragmas as macros. A build without OpenMP compiles without warnings and computes the
// same bits.
#ifndef GETP_BASE_PARALLEL_H
#define GETP_BASE_PARALLEL_H

#include "base/error.h"

#include <stddef.h>

#define PARALLEL_TEXT(text) _Pragma(#text)

// Runs the for loop that follows on all threads; its iterations must be independent. `work` is
// about the number of multiplications or bytes of the whole loop: small loops stay on one thread.
#ifdef _OPENMP
#define PARALLEL_FOR(work) PARALLEL_TEXT(omp parallel for schedule(static) if ((work) > 1 << 16))
// Makes the assignment that follows atomic. For variables that all iterations of such a loop share.
#define PARALLEL_WRITE PARALLEL_TEXT(omp atomic write)
// The same for a += of such a variable.
#define PARALLEL_ADD PARALLEL_TEXT(omp atomic update)
#else
#define PARALLEL_FOR(work)
#define PARALLEL_WRITE
#define PARALLEL_ADD
#endif

// How many threads such a loop has at most.
size_t parallel_threads(void);

// Refuses a stack that is too small for the program or its threads. It needs little of it.
bool stack_check(struct error *err);

// Lets threads that wait for each other spin for some microseconds and then sleep, unless the user
// has set how they wait. It may start the program again, with the same arguments: call it first in
// main.
void threads_spin_briefly(char **argv);

// Refuses more threads than OpenMP can handle, and threads that the system does not let it create.
// Call it before any loop on all threads: OpenMP would crash or end the process there.
bool threads_check(struct error *err);

#endif
