// Advice to the kernel about mapped memory, and copies out of mapped files. A piece may begin and
// end anywhere.
#ifndef GETP_BASE_PAGES_H
#define GETP_BASE_PAGES_H

#include <stddef.h>

// Lets the kernel read all pages of a piece now, with all threads. That costs less than one fault
// per page. A kernel that cannot do it leaves the pages to their faults.
void pages_populate(const void *piece, size_t bytes);

// Copies a piece of a mapped file to `to`, with all threads.
void pages_copy(void *to, const void *from, size_t bytes);

// Lets the kernel drop the pages that lie wholly inside a piece. They can still be read, but then
// come from the file again. Pages at the edges stay, since neighbouring pieces may need them.
void pages_release(const void *piece, size_t bytes);

// Zeroes a piece of anonymous memory. The pages that lie wholly inside it are given back to the
// kernel, which adds a zeroed page when one is touched again.
void pages_zero(void *piece, size_t bytes);

#endif
