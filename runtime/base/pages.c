// Advice to the kernel about mapped files, and copies out of them.
#include "base/pages.h"

#include "base/parallel.h"

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { SLICE = 1 << 18 }; // bytes that a thread takes at a time

// A kernel before 5.14 refuses the advice: then the pages come with faults.
static void populate(const uint8_t *at, size_t bytes) {
  const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), begin = (uintptr_t)at / page * page;
  (void)madvise((void *)begin, (uintptr_t)at + bytes - begin, MADV_POPULATE_READ);
}

static size_t slice_at(size_t at, size_t bytes) {
  return bytes - at < SLICE ? bytes - at : SLICE;
}

void pages_populate(const void *at, size_t bytes) {
  const uint8_t *from = at;
  PARALLEL_FOR(bytes)
  for (size_t i = 0; i < bytes; i += SLICE)
    populate(from + i, slice_at(i, bytes));
}

void pages_copy(void *to, const void *from, size_t bytes) {
  uint8_t *out = to;
  const uint8_t *in = from;
  PARALLEL_FOR(bytes)
  for (size_t i = 0; i < bytes; i += SLICE) {
    populate(in + i, slice_at(i, bytes));
    memcpy(out + i, in + i, slice_at(i, bytes));
  }
}

void pages_release(const void *at, size_t bytes) {
  const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
  const uintptr_t begin = ((uintptr_t)at + page - 1) / page * page;
  const uintptr_t end = ((uintptr_t)at + bytes) / page * page;
  if (begin < end)
    madvise((void *)begin, end - begin, MADV_DONTNEED);
}
