#include "peaks.h"

#include "base/clock.h"

#include <omp.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#if defined __AVX512F__
enum { VECTOR = 64 };
#elif defined __AVX__
enum { VECTOR = 32 };
#else
enum { VECTOR = 16 };
#endif
typedef uint64_t words __attribute__((vector_size(VECTOR), may_alias));
typedef float floats __attribute__((vector_size(VECTOR)));

enum {
  HUGE_PAGE = 1 << 21,
  BYTES = 1 << 30,
  MOST_STREAMS = 4,
  STEP = 512, // bytes of a stream that are read in one go
  AHEAD = 2048,
  FILL = 3,
  LANES = VECTOR / (int)sizeof(float),
  SUMS = 12,
  TURNS = 50000000, // some 0.1 s, as of the reads: a neighbour's pause is no peak
  READS = 4,
};

// The part of the calling thread, whole steps of any number of streams.
static size_t part(const struct peak_memory *memory, size_t *first) {
  const size_t threads = (size_t)omp_get_num_threads(), whole = (size_t)STEP * MOST_STREAMS;
  const size_t bytes = memory->bytes / threads / whole * whole;
  *first = (size_t)omp_get_thread_num() * bytes;
  return bytes;
}

bool peak_memory_open(struct peak_memory *memory) {
  *memory = (struct peak_memory){.map_bytes = (size_t)BYTES + HUGE_PAGE, .bytes = BYTES};
  void *map =
      mmap(NULL, memory->map_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (map == MAP_FAILED)
    return false;
  memory->map = map;
  char *at = (char *)(((uintptr_t)map + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE);
  memory->at = at;
  madvise(at, memory->bytes, MADV_HUGEPAGE); // without huge pages it is slower, not wrong
#pragma omp parallel
  {
    size_t first;
    const size_t bytes = part(memory, &first);
    memset(at + first, FILL, bytes);
  }
  return true;
}

void peak_memory_close(struct peak_memory *memory) {
  if (memory->map)
    munmap(memory->map, memory->map_bytes);
  memory->map = NULL;
}

// The sum of the words of a piece, read as several streams side by side. `streams` and `prefetch`
// are constants where this is inlined.
static inline __attribute__((always_inline)) uint64_t sum_words(const char *from, size_t bytes,
                                                                int streams, bool prefetch) {
  enum { VECTORS = STEP / VECTOR };
  const size_t stream = bytes / (size_t)streams;
  words sum[8] = {0};
  uint64_t total = 0;
  for (size_t at = 0; at < stream; at += STEP) {
    for (int s = 0; s < streams; s++) {
      const char *piece = from + (size_t)s * stream + at;
      for (int line = 0; prefetch && line < STEP; line += 64)
        __builtin_prefetch(piece + AHEAD + line, 0, 0);
      for (int v = 0; v < VECTORS; v++)
        sum[v % 8] += ((const words *)(const void *)piece)[v];
    }
  }
  for (int i = 0; i < 8; i++)
    for (int j = 0; j < VECTOR / 8; j++)
      total += sum[i][j];
  return total;
}

static uint64_t sum_kind(enum peak_kind kind, const char *from, size_t bytes) {
  switch (kind) {
  case PEAK_PLAIN:
    return sum_words(from, bytes, 1, false);
  case PEAK_PREFETCH:
    return sum_words(from, bytes, 1, true);
  case PEAK_STREAMS:
    return sum_words(from, bytes, MOST_STREAMS, false);
  default:
    return sum_words(from, bytes, MOST_STREAMS, true);
  }
}

double peak_read(const struct peak_memory *memory, enum peak_kind kind) {
  uint64_t sum = 0, read = 0, word;
  const double began = seconds_now();
#pragma omp parallel reduction(+ : sum, read)
  {
    size_t first;
    const size_t bytes = part(memory, &first);
    const char *from = memory->at + first;
    for (int i = 0; i < READS; i++) {
      sum += sum_kind(kind, from, bytes);
      __asm__ volatile("" ::: "memory"); // as if it had changed: it must be read again
    }
    read = READS * bytes;
  }
  const double seconds = seconds_now() - began;
  memset(&word, FILL, sizeof word);
  return sum == word * (read / sizeof word) ? (double)read / seconds : 0;
}

// Multiplies and adds SUMS vectors `turns` times: enough of them to hide the latency of a
// multiply-add, and few enough for the registers. Returns the sum of all lanes, so that none is
// left out.
static float multiply(int turns, float factor) {
  const floats one = (floats){0} + 1;
  floats sum[SUMS];
  float total = 0;
  for (int i = 0; i < SUMS; i++)
    sum[i] = one * (float)i;
  for (int t = 0; t < turns; t++) {
#pragma GCC unroll 16
    for (int i = 0; i < SUMS; i++)
      sum[i] = sum[i] * factor + one;
  }
  for (int i = 0; i < SUMS; i++)
    for (int j = 0; j < LANES; j++)
      total += sum[i][j];
  return total;
}

double peak_multiply(void) {
  float total = 0;
  double flops = 0;
  const double began = seconds_now();
#pragma omp parallel reduction(+ : total, flops)
  {
    const volatile float half = 0.5f; // the compiler knows where sums of a constant factor end
    total = multiply(TURNS, half);
    flops = 2.0 * TURNS * SUMS * LANES;
  }
  const double seconds = seconds_now() - began;
  return total > 0 ? flops / seconds : 0;
}
