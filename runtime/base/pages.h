// Memory that files are mapped to.
#ifndef GETP_BASE_PAGES_H
#define GETP_BASE_PAGES_H

#include <stddef.h>

// Asks the kernel for the pages of a piece at once, with all threads, which costs less than a fault
// for each. Only advice.
void pages_populate(const void *at, size_t bytes);

// Copies a piece of a mapped file, with all threads.
void pages_copy(void *to, const void *from, size_t bytes);

// Tells the kernel that whole pages of a piece will not be read again soon: its neighbours may be.
void pages_release(const void *at, size_t bytes);

#endif
