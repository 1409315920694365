// Kernels for the tests of the harness, each correct (SOUND) or with one common mistake.
#ifndef SIMT_TEST_KERNELS_H
#define SIMT_TEST_KERNELS_H

#include <hip/hip_runtime_api.h>

enum mutant {
  SOUND,
  NO_BARRIER,
  NO_SECOND_BARRIER,
  BARRIER_IN_BRANCH,
  TWO_BARRIERS_FOR_ONE,
  EARLY_RETURN,
  WRONG_INDEX,
  ONE_TOO_FAR,
  ONE_TOO_EARLY,
  LDS_TOO_SMALL,
  LDS_NOT_WRITTEN,
  WRONG_LANE,
  NO_WAIT,
  WAIT_TOO_LATE,
  WAIT_FOR_TOO_FEW,
  SOURCE_CHANGES,
  BUFFER_IN_USE,
  NO_LDS,
  NOT_ALIGNED,
  NOT_AWAITED,
  MUTANTS,
};

#ifdef __cplusplus
extern "C" {
#endif

// y[i] = x[n - 1 - i]; n is a multiple of 256
hipError_t launch_reverse(enum mutant mutant, float *y, const float *x, int n, hipStream_t stream);
// c = a b, each (n, n); n is a multiple of 16
hipError_t launch_matmul(enum mutant mutant, float *c, const float *a, const float *b, int n,
                         hipStream_t stream);
// y[block] = the sum of 256 x
hipError_t launch_block_sum(enum mutant mutant, float *y, const float *x, int blocks,
                            hipStream_t stream);
// y[i] = the sum of x over the wave of i, for 256 x; votes[wave] = a bit per lane, set if x > 0
hipError_t launch_wave_sum(enum mutant mutant, float *y, unsigned long long *votes, const float *x,
                           hipStream_t stream);
// d = a b + c by one matrix instruction, with halves a (16, 16) and b (16, N), floats d and c
// (16, N); N = 16 for waves of 64 and 8 for waves of 32
hipError_t launch_tile_product(enum mutant mutant, float *d, const unsigned short *a,
                               const unsigned short *b, const float *c, hipStream_t stream);
// y = each half of 512 x in reverse order, by copies to LDS in two groups, in a kernel that begins
// early; waves of 32 only
hipError_t launch_copies(enum mutant mutant, float *y, float *x, hipStream_t stream);
// y[i] = x[i] + 1 by blocks of `threads`
hipError_t launch_plus_one(float *y, const float *x, int n, int threads, hipStream_t stream);
// seen (threads, 6) = the indices that each thread sees
hipError_t launch_indices(unsigned *seen, hipStream_t stream);
// seen (5, 64) = the results of five kinds of shuffle in each lane
hipError_t launch_shuffles(int *seen, hipStream_t stream);
// ticket (4, 128) = the position of each thread in the order of execution, for 4 blocks of 128
// threads
hipError_t launch_tickets(unsigned *ticket, unsigned *counter, hipStream_t stream);
// seen (2, 4, 3) = the first contents of 4 words of LDS in each of 2 blocks. A kernel template owns
// the first such array, a function template the second, and the third is dynamic LDS.
hipError_t launch_read_lds(unsigned *seen, hipStream_t stream);
// Writes the last of `bytes` of dynamic LDS, after raising the limit to `allowed` if that is not 0.
hipError_t launch_dynamic_lds(size_t bytes, size_t allowed, hipStream_t stream);
// Passes `rounds` barriers.
hipError_t launch_barriers(int rounds, hipStream_t stream);

// Copies n floats to the device, adds 1, and copies them back. After an error nothing stays
// allocated, unless `careless`.
hipError_t plus_one_on_device(float *values, int n, int careless);
// Does the same by a graph that is captured once and launched twice, so it adds 2.
hipError_t plus_two_by_graph(float *values, int n, int careless);

#ifdef __cplusplus
}
#endif

#endif
