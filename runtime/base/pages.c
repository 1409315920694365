#include "base/pages.h"

#include "base/error.h"
#include "base/parallel.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

// ---- the list of maps ----

enum { FILES_MOST = 256 }; // descriptors of maps are less, since a process may have 1024

struct listed {
  const uint8_t *map;
  size_t bytes;
  const char *path; // after this record; without control characters
  int file;         // -1: none
  struct listed *next;
};

static struct listed *maps; // global, since a signal handler reads it

static void print(const char *text) {
  const ssize_t ignored = write(STDERR_FILENO, text, strlen(text));
  (void)ignored;
}

static const struct listed *find(const uint8_t *at) {
  const struct listed *listed = maps;
  while (listed && !(at >= listed->map && at < listed->map + listed->bytes))
    listed = listed->next;
  return listed;
}

// Says which file was lost and ends the process. A fault elsewhere acts again, and as usual.
static void report_lost_page(int signal, siginfo_t *info, void *context) {
  const struct listed *listed = find(info->si_addr);
  (void)context;
  if (listed) {
    print("getp: ");
    print(listed->path);
    print(": cannot read it while it is in use: it was cut off, or its disk failed\n");
    _exit(EXIT_FAILURE);
  }
  struct sigaction usual = {.sa_handler = SIG_DFL};
  sigemptyset(&usual.sa_mask);
  sigaction(signal, &usual, NULL);
}

// A descriptor of the same open file, or -1.
static int keep(int file) {
  const int kept = fcntl(file, F_DUPFD_CLOEXEC, 0);
  if (kept < FILES_MOST)
    return kept;
  close(kept);
  return -1;
}

void pages_list(const void *map, size_t bytes, const char *path, int file) {
  struct sigaction action = {.sa_sigaction = report_lost_page, .sa_flags = SA_SIGINFO};
  const size_t length = strlen(path) + 1;
  struct listed *listed = malloc(sizeof *listed + length), **end = &maps;
  if (!listed)
    return;
  *listed =
      (struct listed){.map = map, .bytes = bytes, .path = (char *)(listed + 1), .file = keep(file)};
  memcpy(listed + 1, path, length);
  make_line((char *)(listed + 1));
  while (*end)
    end = &(*end)->next;
  *end = listed;
  sigemptyset(&action.sa_mask);
  sigaction(SIGBUS, &action, NULL);
}

void pages_unlist(const void *map) {
  for (struct listed **at = &maps; *at; at = &(*at)->next)
    if ((*at)->map == map) {
      struct listed *listed = *at;
      *at = listed->next;
      if (listed->file >= 0)
        close(listed->file);
      free(listed);
      return;
    }
}

void pages_visit(void (*visit)(void *context, const void *map, size_t bytes, const char *path),
                 void *context) {
  for (const struct listed *listed = maps; listed; listed = listed->next)
    visit(context, listed->map, listed->bytes, listed->path);
}

// ---- pieces ----

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

// A page that the file no longer has is read from the map, whose fault reports it.
void pages_read(void *to, const void *from, size_t bytes) {
  const struct listed *listed = find(from);
  uint8_t *out = to;
  const uint8_t *in = from;
  while (listed && listed->file >= 0 && bytes > 0) {
    const ssize_t got = pread(listed->file, out, bytes, in - listed->map);
    if (got <= 0 && errno != EINTR)
      break;
    const size_t n = got > 0 ? (size_t)got : 0;
    out += n, in += n, bytes -= n;
  }
  memcpy(out, in, bytes);
}

void pages_copy(void *to, const void *from, size_t bytes) {
  uint8_t *out = to;
  const uint8_t *in = from;
  PARALLEL_FOR(bytes)
  for (size_t i = 0; i < bytes; i += SLICE)
    pages_read(out + i, in + i, slice_bytes(i, bytes));
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
  if (find(piece) && whole_pages(piece, bytes, &begin, &end))
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
