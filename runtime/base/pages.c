#include "base/pages.h"

#include "base/parallel.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { SLICE = 1 << 18 }; // bytes that one thread reads at a time

// A kernel before 5.14 refuses the advice; each page then comes with a fault.
static void populate(const uint8_t *from, size_t bytes) {
  const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), begin = (uintptr_t)from / page * page;
  (void)madvise((void *)begin, (uintptr_t)from + bytes - begin, MADV_POPULATE_READ);
}

// Bytes of the slice that begins at `offset` of a piece.
static size_t slice_bytes(size_t offset, size_t bytes) {
  return bytes - offset < SLICE ? bytes - offset : SLICE;
}

void pages_populate(const void *piece, size_t bytes) {
  const uint8_t *from = piece;
  PARALLEL_FOR(bytes)
  for (size_t i = 0; i < bytes; i += SLICE)
    populate(from + i, slice_bytes(i, bytes));
}

void pages_copy(void *to, const void *from, size_t bytes) {
  uint8_t *out = to;
  const uint8_t *in = from;
  PARALLEL_FOR(bytes)
  for (size_t i = 0; i < bytes; i += SLICE) {
    populate(in + i, slice_bytes(i, bytes));
    memcpy(out + i, in + i, slice_bytes(i, bytes));
  }
}

// The pages that lie wholly inside a piece: [*begin, *end). False if there are none.
static bool whole_pages(const void *piece, size_t bytes, uintptr_t *begin, uintptr_t *end) {
  const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
  *begin = ((uintptr_t)piece + page - 1) / page * page;
  *end = ((uintptr_t)piece + bytes) / page * page;
  return *begin < *end;
}

void pages_release(const void *piece, size_t bytes) {
  uintptr_t begin, end;
  if (whole_pages(piece, bytes, &begin, &end))
    madvise((void *)begin, end - begin, MADV_DONTNEED);
}

void pages_zero(void *piece, size_t bytes) {
  uintptr_t begin, end;
  char *from = piece;
  if (!whole_pages(piece, bytes, &begin, &end) ||
      madvise((void *)begin, end - begin, MADV_DONTNEED) != 0) {
    memset(from, 0, bytes);
    return;
  }
  memset(from, 0, begin - (uintptr_t)from);
  memset((void *)end, 0, (uintptr_t)from + bytes - end);
}
