// What this machine's cores can do at most, all threads together: reads of memory, and float
// multiplications with additions. Measured beside the engine, so that both see the same neighbours.
#ifndef GETP_TESTS_PEAKS_H
#define GETP_TESTS_PEAKS_H

#include <stdbool.h>
#include <stddef.h>

// Memory to read, in huge pages where the system allows them.
struct peak_memory {
  void *map;
  size_t map_bytes;
  const char *at;
  size_t bytes;
};

// Maps at least 1 GiB and writes it with the threads that will read it. False without memory for
// it; peak_memory_close must follow either way.
bool peak_memory_open(struct peak_memory *memory);
void peak_memory_close(struct peak_memory *memory);

// How a thread reads its part: as one stream, or as four side by side; with non-temporal prefetches
// ahead or without. Which is fastest depends on the machine.
enum peak_kind { PEAK_PLAIN, PEAK_PREFETCH, PEAK_STREAMS, PEAK_STREAMS_PREFETCH, PEAK_KINDS };

// Reads the memory a few times; every thread reads a part of its own. Returns bytes per second, or
// 0 if what was read is not what was written.
double peak_read(const struct peak_memory *memory, enum peak_kind kind);

// Multiplies and adds floats in registers, in the widest vectors of the machine that the file was
// compiled for. Returns operations per second, two per multiply-add.
double peak_multiply(void);

#endif
