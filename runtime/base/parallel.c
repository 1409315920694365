#include "base/parallel.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#ifdef _OPENMP
#include <omp.h>
#endif

enum {
  STACK_MIN_KIB = 1024, // four times what JSON needs that is nested as deep as jansson reads it
  THREADS_MAX = 1024,   // OpenMP keeps some 100 bytes per thread on the stack
};

bool stack_check(struct error *err) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_STACK, &limit) != 0 || limit.rlim_cur / 1024 >= STACK_MIN_KIB)
    return true;
  return fail(err, "stack: want at least %d KiB, found %llu KiB: ulimit -s 8192", STACK_MIN_KIB,
              (unsigned long long)limit.rlim_cur / 1024);
}

// A pass has some ten barriers per layer. At each, libgomp's threads by default spin for
// milliseconds before they sleep. If other processes want the cores, a thread then spins away the
// time that the thread it waits for would need. libgomp reads how long to spin before main begins,
// so the program sets it and starts itself again.
void threads_spin_briefly(char **argv) {
  if (!getenv("OMP_WAIT_POLICY") && !getenv("GOMP_SPINCOUNT") &&
      setenv("GOMP_SPINCOUNT", "1000", 1) == 0)
    execv("/proc/self/exe", argv); // if it fails, this process goes on
}

#ifdef _OPENMP
size_t parallel_threads(void) {
  return (size_t)omp_get_max_threads();
}

static void *wait_at(void *gate) {
  pthread_mutex_lock(gate);
  pthread_mutex_unlock(gate);
  return NULL;
}

// Starts n threads that exist at the same time, and ends them. Returns 0, or an errno. *started is
// how many there were.
static int try_threads(pthread_t *thread, int n, int *started) {
  pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
  int problem = 0;
  pthread_mutex_lock(&gate);
  for (*started = 0; *started < n; ++*started)
    if ((problem = pthread_create(&thread[*started], NULL, wait_at, &gate)) != 0)
      break;
  pthread_mutex_unlock(&gate);
  for (int i = 0; i < *started; i++)
    pthread_join(thread[i], NULL);
  return problem;
}

// OpenMP ends the process where it cannot create a thread, and crashes where there are far too
// many.
bool threads_check(struct error *err) {
  const int n = omp_get_max_threads(), cores = omp_get_num_procs();
  const int most = cores > THREADS_MAX ? cores : THREADS_MAX;
  if (n > most)
    return fail(err, "OMP_NUM_THREADS: want at most %d, found %d", most, n);
  pthread_t *thread = calloc((size_t)n, sizeof *thread);
  int started;
  if (!thread)
    return fail(err, "threads: out of memory for %d of them", n);
  const int problem = try_threads(thread, n - 1, &started);
  free(thread);
  return problem == 0 ? true
                      : fail(err, "threads: cannot create %d of them: %s: OMP_NUM_THREADS=%d", n,
                             strerror(problem), started / 2 + 1);
}
#else
size_t parallel_threads(void) {
  return 1;
}

bool threads_check(struct error *err) {
  (void)err;
  return true;
}
#endif
