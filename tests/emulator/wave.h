// What runs: a module of code, a launch of one of its kernels, and the waves of its workgroups.
#ifndef EMULATOR_WAVE_H
#define EMULATOR_WAVE_H

#include "format.h"
#include "instruction.h"
#include "trace_instruction.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <vector>

// Memory that a kernel may use.
enum { RANGE_READ = 1, RANGE_WRITE = 2 };
struct Range {
  u64 low, high;
  u32 access;
  const char *name;
};

// The upper halves of flat addresses that lead to LDS and to scratch.
enum { SHARED_APERTURE = 0x00010000u, PRIVATE_APERTURE = 0x00020000u };

struct Module {
  u64 text_base = 0, text_size = 0;
  std::vector<Instruction> code;
  std::vector<std::string> text; // of each instruction, as llvm-objdump writes it
  std::vector<s32> index;        // of the instruction at each dword; -1: none begins there
  std::vector<TraceInstruction> traced;
};

// How kernels run; README.md describes each by the name of its environment variable.
struct Settings {
  u32 out_of_bounds_goes_on = 0;
  u32 race = 0;
  u32 order = 0;
  u32 seed = 0;
  u32 resident = 1; // workgroups that a host thread runs at a time
  u32 align = 0;
  u32 time = 0;
  u64 most_instructions = 0; // of a launch; 0: any number
  u32 threads = 2;           // of the host
};

struct Fault {
  std::string message;
};

struct Launch {
  const Settings *settings;
  const std::vector<Range> *ranges; // by address
  const Module *module;
  u32 grid[3], block[3];
  s32 entry; // number of the first instruction
  u32 lds_bytes;
  u64 kernarg, dispatch, queue; // addresses of what the hardware passes in SGPRs
  u32 properties, rsrc1, rsrc2; // of the kernel descriptor
  u32 scratch_bytes;            // per lane
  u32 vgprs, agprs;
  u64 groups; // workgroups that run

  std::atomic<u64> next_group{0}, instructions{0};
  std::atomic<bool> stopped{false};
  std::mutex mutex;
  std::vector<std::string> faults; // those that stopped it, and warnings
};

enum { STOP_NOT, STOP_BARRIER, STOP_END };
enum { REGISTER_VCC = 106, REGISTER_M0 = 124, REGISTER_EXEC = 126, REGISTER_FLAT_SCRATCH = 102 };

struct alignas(64) Wave {
  u32 vgpr[256][64];
  u32 agpr[256][64];
  u32 sgpr[132];
  u32 scc;
  s32 pc, next_pc; // numbers of instructions
  u32 stop;
  u32 flush32, flush64; // whether subnormal numbers of F32, and those of F16 and F64, become zero
  u32 mode;
  u32 index, index_enable; // of s_set_gpr_idx_on
  u8 *lds;
  u32 lds_size;
  u64 scratch;      // the host's address of this wave's scratch
  u32 scratch_lane; // bytes of it per lane
  u64 instructions;
  u32 number; // in the workgroup
  u32 group[3];
  Range last_range; // the one of the last access
  Launch *launch;
  const Module *module;
  u32 *lds_writer, *lds_reader; // per byte of LDS, see check_race; NULL: no check
  u32 epoch;                    // barriers so far, from 1
  std::vector<u32> *trace;      // timing.h

  u64 &exec() {
    return *(u64 *)&sgpr[REGISTER_EXEC];
  }
  u64 &vcc() {
    return *(u64 *)&sgpr[REGISTER_VCC];
  }
  u64 sgpr64(u32 reg) const {
    u64 value;
    memcpy(&value, &sgpr[reg], sizeof value);
    return value;
  }
  void set_sgpr64(u32 reg, u64 value) {
    memcpy(&sgpr[reg], &value, sizeof value);
  }
};

// Ends the launch with a message that names the workgroup, the wave and the instruction.
[[noreturn]] void raise_fault(const Wave &wave, const Instruction &inst,
                              const std::string &message);

// Reports an access out of bounds: ends the launch, or notes it if the settings say so.
void report_bounds(Wave &wave, const Instruction &inst, const std::string &message);

// Sets wave.last_range to the range that holds `bytes` bytes at an address for this access.
// Reports that there is none, and returns false. lane -1: the whole wave.
bool find_range(Wave &wave, const Instruction &inst, u64 address, u32 bytes, u32 access, int lane);

// Runs a launch to its end or its first fault.
void run_launch(Launch &launch);

#endif
