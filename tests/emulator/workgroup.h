// One workgroup while it runs.
#ifndef EMULATOR_WORKGROUP_H
#define EMULATOR_WORKGROUP_H

#include "wave.h"

// The words of new LDS, scratch and registers: a NaN, and an index that is out of bounds.
enum : u32 { FILL = 0x7fc5a5a5 };

// Sets a wave to the first instruction of its kernel.
void begin_wave(Wave &wave, u64 group);

class Workgroup {
public:
  explicit Workgroup(Launch &launch);
  ~Workgroup();
  Workgroup(const Workgroup &) = delete;

  // Begins workgroup `group` of the launch. traces: one per wave, or NULL.
  void begin(u64 group, std::vector<std::vector<u32>> *traces);

  // Lets each wave that can run go on, in the order of the settings, until a barrier, its end, or
  // the end of its slice of instructions. False: all waves have ended. Throws Fault.
  bool run(u64 *random);

  bool is_running = false;

private:
  void choose_order(u64 *random);
  void run_wave(Wave &wave, u64 slice);
  void run_traced(Wave &wave);
  void pass_barrier();

  Launch &launch;
  std::vector<Wave *> waves;
  std::vector<u8> lds;
  std::vector<u32> lds_writer, lds_reader;
  std::vector<u32> scratch; // of all waves
  std::vector<u32> order;   // of the waves
};

#endif
