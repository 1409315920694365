// Predicts how long a launch takes on one GCD of an MI250; README.md describes the model.
//
// trace.cpp   the functional side: classifies every instruction once; while a wave runs, it appends
//             to its trace where branches went, which lines of memory instructions touched, and how
//             long they keep the banks of LDS
// timing.cpp  the core: replays the traces of all workgroups, which it dispatches to CUs
//
// Both run at the same time: workgroups run in the order of dispatch, some ahead of the core.
#ifndef EMULATOR_TIMING_H
#define EMULATOR_TIMING_H

#include "parameters.h"
#include "wave.h"

// ---- traces ----

// Fills module.traced.
void trace_classify(Module &module);

inline bool trace_has_addresses(const TraceInstruction &about) {
  return about.kind >= TRACE_SMEM && about.kind <= TRACE_LDS;
}

// Appends what an instruction that is about to run touches. Scalar memory has one line. LDS has the
// cycles of its banks (low half) and those lost to conflicts (high half). Vector memory has the
// number of lines, then each line.
void trace_addresses(Wave &wave, const Instruction &inst, const TraceInstruction &about,
                     std::vector<u32> &trace);

typedef std::vector<std::vector<u32>> Traces; // of the waves of a workgroup

// The traces of workgroups, in the order of dispatch.
class TraceFeed {
public:
  virtual ~TraceFeed() {}
  virtual Traces *next() = 0; // NULL: the launch has failed
  virtual void done(Traces *traces) = 0;
};

// ---- results ----

// What waves spend their cycles on.
enum Stall {
  STALL_ISSUE, // instructions themselves
  STALL_VMCNT,
  STALL_LGKMCNT,
  STALL_BARRIER,
  STALL_MFMA_PIPE,   // another wave has the pipe
  STALL_MFMA_RESULT, // a result is not there yet
  STALL_VALU_PIPE,
  STALL_PORT, // another wave was first
  STALL_LDS_QUEUE,
  STALL_VMEM_QUEUE,
  STALL_BRANCH,
  STALL_IFETCH,
  STALL_NOP,
  STALL_START,
  STALLS,
};

struct TimeResult {
  double cycles, us;
  double mfma, valu, lds, l1;                                   // busy, from 0 to 1
  double l1_requests, l1_hits, l2_requests, l2_hits, l2_writes; // of 64 bytes
  double hbm_reads, hbm_writes;                                 // of 64 bytes
  double lds_conflicts, lds_cycles;
  double stall[STALLS], wave_cycles;
  double cu_busy;        // the part of the CUs' time in which they have work
  double waves_per_simd; // on average
  u64 instructions, mfmas, groups;
  u32 groups_per_cu;
};

// Times the first launch.groups of all_groups workgroups and extrapolates to all of them.
TimeResult time_traces(Launch &launch, u64 all_groups, TraceFeed &feed);

// Runs a launch and times it.
TimeResult time_launch(Launch &launch);

void use_default_arithmetic();

#endif
