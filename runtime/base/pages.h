// Mapped memory: a list of mapped files, advice to the kernel, and copies out of it. A piece may
// begin and end anywhere.
#ifndef GETP_BASE_PAGES_H
#define GETP_BASE_PAGES_H

#include <stddef.h>

// Lists the map of a whole file, with its name and an open descriptor, which the caller may close.
// If such a file is cut off or cannot be read while it is mapped, reading the map ends the process
// with one line on stderr and exit status 1. Without memory for an entry the map is not listed.
void pages_list(const void *map, size_t bytes, const char *path, int file);

// Takes a map off the list, before it is unmapped. NULL is allowed.
void pages_unlist(const void *map);

// Calls `visit` with each map of the list, in the order in which they were listed.
void pages_visit(void (*visit)(void *context, const void *map, size_t bytes, const char *path),
                 void *context);

// Lets the kernel read all pages of a piece now, with all threads. That costs less than one fault
// per page. A kernel that cannot do it leaves the pages to their faults.
void pages_populate(const void *piece, size_t bytes);

// Copies a piece of a listed map to `to`. It reads the file by system calls, which costs less than
// entering every page into the page table and removing it again, and takes no memory.
void pages_read(void *to, const void *from, size_t bytes);

// The same with all threads.
void pages_copy(void *to, const void *from, size_t bytes);

// Lets the kernel drop the pages that lie wholly inside a piece of a listed map. They can still be
// read, but then come from the file again. Pages at the edges stay, since neighbouring pieces may
// need them.
void pages_release(const void *piece, size_t bytes);

// Zeroes a piece of anonymous memory. The pages that lie wholly inside it are given back to the
// kernel, which adds a zeroed page when one is touched again.
void pages_zero(void *piece, size_t bytes);

#endif
