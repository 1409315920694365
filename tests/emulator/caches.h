// Caches and memory of the timing model. Times are in cycles of the shader clock.
#ifndef EMULATOR_CACHES_H
#define EMULATOR_CACHES_H

#include "instruction.h"
#include "parameters.h"

#include <algorithm>
#include <vector>

enum : u32 { NO_TAG = ~0u };

// Capacity of a channel, by slots of time.
class Slots {
public:
  void open(double units_per_cycle);

  // Books some units in the first slot from `from` on that has room, and returns when that is.
  u64 book(u64 from, double units);

  double units_per_cycle() const {
    return capacity / WIDTH;
  }

private:
  enum { COUNT = 16384, WIDTH = 32 };
  u32 slot(u64 number);

  double capacity = 0; // of a slot
  std::vector<double> used;
  std::vector<u64> tag;  // number of the slot + 1
  std::vector<u64> jump; // of a full slot, where room was found
};

// The second cache, of all CUs, and the memory after it. Its content stays from launch to launch.
class L2 {
public:
  L2();
  void begin_launch();

  // `from`: when the request arrives. Returns when its data is at the CU.
  u64 read(u32 line, u64 from);
  // Returns when it is accepted.
  u64 write(u32 line, u64 from);

  u64 requests = 0, hits = 0, writes = 0, memory_reads = 0, memory_writes = 0;

private:
  enum { WAYS = 16, LINE_BYTES = 128 };
  struct Line {
    u32 tag = NO_TAG, last_use = 0;
    u8 valid = 0, dirty = 0; // a bit for each half
    u64 ready[2] = {0, 0};
  };
  u32 channel_of(u32 line) const;
  Line *find(u32 channel, u32 line, u64 now, bool *hit);

  u32 channels, sets, tick = 0;
  std::vector<Line> lines;
  std::vector<Slots> ports, memory; // of each channel
};

// The vector cache of a CU: four sets, the oldest line is replaced.
class L1 {
public:
  L1();
  // The index of a line, or -1.
  int find(u32 line) const;
  // Replaces a line by this one, whose data arrives at `ready`.
  void put(u32 line, u64 ready);
  void drop(int index) {
    tag[index] = NO_TAG;
  }
  u64 ready_at(int index) const {
    return ready[index];
  }

private:
  enum { SETS = 4 };
  u32 ways, oldest[SETS] = {0};
  std::vector<u32> tag;
  std::vector<u64> ready;
};

// The caches of scalars and of code, which two CUs have together.
template <u32 WAYS> class SmallCache {
public:
  void open(double kilobytes) {
    sets = std::max(1u, (u32)(kilobytes * 1024 / 64 / WAYS));
    tag.assign(sets * WAYS, NO_TAG);
    ready.assign(sets * WAYS, 0);
    oldest.assign(sets, 0);
  }

  // When the data of a line is there; NULL: the line is not.
  const u64 *find(u32 line) const {
    const u32 set = line % sets;
    for (u32 way = 0; way < WAYS; ++way)
      if (tag[set * WAYS + way] == line)
        return &ready[set * WAYS + way];
    return nullptr;
  }

  void put(u32 line, u64 at) {
    const u32 set = line % sets, index = set * WAYS + oldest[set];
    oldest[set] = (u8)((oldest[set] + 1) % WAYS);
    tag[index] = line;
    ready[index] = at;
  }

private:
  u32 sets = 1;
  std::vector<u32> tag;
  std::vector<u64> ready;
  std::vector<u8> oldest;
};

#endif
