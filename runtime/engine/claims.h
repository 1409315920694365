// How the threads of the host divide a step. Each has a range of the items, the same in every step
// and every pass, so the memory of its weights stays near it. It claims its range piece by piece,
// and then what its neighbours have not begun: one thread reads faster than another, and all wait
// for the last. Who computes an item does not change its bits.
#ifndef GETP_ENGINE_CLAIMS_H
#define GETP_ENGINE_CLAIMS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#ifdef _OPENMP
#include <omp.h>
#endif

enum {
  CLAIM_THREADS = 256, // more threads do not help each other
  CLAIM_HELPERS = 4,   // that may work on a range: a thread and its neighbours, a power of two
};

// What is taken of a thread's range: in the upper half the division that the lower half is about,
// which counts the pieces. Other threads write it, so it has a cache line of its own.
struct claim {
  _Alignas(64) _Atomic uint64_t taken;
  uint32_t divisions; // of this run that the thread has begun; only it knows them
};

// A range of items.
struct range {
  int first, end;
};

static inline int host_thread(void) {
#ifdef _OPENMP
  return omp_get_thread_num();
#else
  return 0;
#endif
}

static inline int host_threads(void) {
#ifdef _OPENMP
  return omp_get_num_threads();
#else
  return 1;
#endif
}

// The range of n items that belongs to a thread.
static inline struct range range_of(int thread, int n) {
  const long at = thread, threads = host_threads();
  return (struct range){(int)(n * at / threads), (int)(n * (at + 1) / threads)};
}

// The range of the calling thread.
static inline struct range thread_range(int n) {
  return range_of(host_thread(), n);
}

// A division of items in pieces, as one thread sees it.
struct pieces {
  struct claim *claims; // (threads)
  int items, most;      // in all; in a piece
  uint32_t division;
  int thread, helped; // the thread and how many of its neighbours have nothing left
};

// Begins to divide `items` items in pieces of at most `most`. All threads of a run divide the same
// items in the same order. claims: zeros when the run begins.
static inline struct pieces divide(struct claim *claims, int items, int most) {
  const int thread = host_thread();
  const uint32_t division = thread < CLAIM_THREADS ? ++claims[thread].divisions : 0;
  return (struct pieces){claims, items, most, division, thread, 0};
}

// Claims the next piece of a thread's range; false: nothing is left.
static inline bool claim_of(const struct pieces *pieces, int thread, struct range *piece) {
  const struct range all = range_of(thread, pieces->items);
  _Atomic uint64_t *taken = &pieces->claims[thread].taken;
  uint64_t seen = atomic_load_explicit(taken, memory_order_relaxed), next;
  do {
    const uint32_t division = (uint32_t)(seen >> 32);
    const uint32_t count = division == pieces->division ? (uint32_t)seen : 0;
    const long first = all.first + (long)count * pieces->most, end = first + pieces->most;
    if (division > pieces->division || first >= all.end)
      return false;
    *piece = (struct range){(int)first, (int)(end < all.end ? end : all.end)};
    next = (uint64_t)pieces->division << 32 | (count + 1);
  } while (!atomic_compare_exchange_weak_explicit(taken, &seen, next, memory_order_relaxed,
                                                  memory_order_relaxed));
  return true;
}

// The next piece for the calling thread; false: all items are taken.
static inline bool next_piece(struct pieces *pieces, struct range *piece) {
  if (host_threads() > CLAIM_THREADS) {
    *piece = thread_range(pieces->items);
    return pieces->helped++ == 0 && piece->first < piece->end;
  }
  for (; pieces->helped < CLAIM_HELPERS; pieces->helped++) {
    const int owner = pieces->thread ^ pieces->helped;
    if (owner < host_threads() && claim_of(pieces, owner, piece))
      return true;
  }
  return false;
}

#endif
