// The interface between the two sides of the harness: the host side (host.h) calls `run`, and the
// device side (schedule.cpp) runs the lanes.
#ifndef SIMT_H
#define SIMT_H

#include <hip/hip_runtime.h>
#include <string>

namespace simt {

// The environment, read once.
struct settings {
  long fail;     // SIMT_FAIL: number of the call that fails, counted from 1
  size_t memory; // SIMT_MEMORY: bytes of device memory
  bool count;    // SIMT_COUNT: print calls and peaks at exit
  long order;    // SIMT_ORDER: 0 ascending, 1 descending, 2 shuffled
  unsigned seed; // SIMT_SEED: of the shuffle
};
const settings &options();

// The numbers 0..n-1 in the order of SIMT_ORDER; each call shuffles differently.
std::vector<unsigned> visiting_order(unsigned n);

// Runs all blocks of a launch.
void run(const launch &request);

// "kernel K, block (0, 0, 0), thread (0, 0, 0): " while a lane runs, else "".
std::string running_lane();

constexpr unsigned threads_limit = 1024; // of a block
// LDS of a compute unit, and what a block gets of it by default
constexpr size_t lds_bytes = size_t{SIMT_WAVE == 64 ? 64 : 227} << 10;
constexpr size_t lds_default = size_t{SIMT_WAVE == 64 ? 64 : 48} << 10;

} // namespace simt

#endif
