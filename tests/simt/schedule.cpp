// Runs the blocks of a launch one after another, the waves of a block one after another, each as
// far as it can, and the lanes of a wave likewise: what a missing barrier lets happen, happens. A
// lane that never waits runs to its end like a called function; only a lane that waits keeps a
// stack for itself. Refuses barriers that some threads skip, and lanes that wait at different
// places.

#include "fiber.h"
#include "simt.h"

#include <algorithm>
#include <cstdio>
#include <memory>

// first and last byte of all static LDS of the program, if there is any
extern "C" __attribute__((weak)) char __start_simt_lds[], __stop_simt_lds[];

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

namespace simt {
namespace {

enum class state { fresh, ready, at_wave, at_block, left };

struct lane {
  uint3 index;
  state doing;
  fiber *on;
  const char *what; // it waits for
  place at;
  unsigned rounds; // of wave operations
};

// What a lane shows to its wave. Two, taken in turn, make one wait enough: nobody is two rounds
// ahead.
struct slot {
  unsigned round;
  alignas(16) unsigned char value[posted_bytes];
};

struct scheduler {
  const launch *request = nullptr;
  lane lanes[threads_limit];
  slot slots[2][threads_limit];
  unsigned count = 0;
  std::vector<unsigned> waves, order; // their numbers; lanes in the order of the sweep
  unsigned cursor = 0, sweep_end = 0;
  lane *current = nullptr;
  fiber home;
  std::vector<std::unique_ptr<fiber>> fibers;
  std::vector<fiber *> idle;
  char *dynamic_start = nullptr, *dynamic_end = nullptr; // the next byte may not be touched
};

scheduler all;

std::string text(const uint3 &at) {
  char line[64];
  snprintf(line, sizeof line, "(%u, %u, %u)", at.x, at.y, at.z);
  return line;
}

std::string text(const lane &each) {
  if (each.doing == state::left) {
    return "thread " + text(each.index) + " has left the kernel";
  }
  return "thread " + text(each.index) + " waits in " + each.what + " at " + each.at.file + ":" +
         std::to_string(each.at.line);
}

[[noreturn]] void die_apart(const lane &one, const lane &other) {
  all.current = nullptr;
  die("kernel %s, block %s: not all come to a barrier: %s, %s", all.request->kernel,
      text(blockIdx).c_str(), text(one).c_str(), text(other).c_str());
}

// ---- lanes ----

void lane_loop();

fiber *take_idle() {
  if (all.idle.empty()) {
    all.fibers.push_back(std::make_unique<fiber>());
    if (!start_fiber(*all.fibers.back(), lane_loop)) {
      die("no memory for the stack of a lane");
    }
    return all.fibers.back().get();
  }
  fiber *taken = all.idle.back();
  all.idle.pop_back();
  return taken;
}

// Makes the next lane of the sweep that can run the current one, and returns where to go on: its
// fiber, or the scheduler's at the end of the sweep. A lane that has not begun gets the fiber that
// is offered.
fiber *next(fiber *offered) {
  while (all.cursor < all.sweep_end) {
    lane &each = all.lanes[all.order[all.cursor++]];
    if (each.doing == state::fresh) {
      each.on = offered ? offered : take_idle();
    } else if (each.doing != state::ready) {
      continue;
    }
    all.current = &each;
    threadIdx = each.index;
    return each.on;
  }
  all.current = nullptr;
  return &all.home;
}

// What a fiber does: lane after lane, until one of them waits and keeps it.
void lane_loop() {
  for (;;) {
    fiber *own = all.current->on;
    all.request->lane();
    all.current->doing = state::left;
    fiber *to = next(own);
    if (to != own) {
      all.idle.push_back(own);
      switch_fiber(*own, *to);
    }
  }
}

void wait(state how, const char *what, place at) {
  lane *self = all.current;
  if (!self) {
    die("%s outside of a kernel", what);
  }
  self->doing = how;
  self->what = what;
  self->at = at;
  switch_fiber(*self->on, *next(nullptr));
}

// ---- waves and blocks ----

bool together(const lane &one, const lane &other) {
  return one.what == other.what && one.at.line == other.at.line &&
         (one.at.file == other.at.file || strcmp(one.at.file, other.at.file) == 0);
}

// Wakes the lanes first..end-1 if those that have not left wait together, `how`; false if none
// does.
bool release(unsigned first, unsigned end, state how) {
  const lane *waiting = nullptr;
  for (unsigned i = first; i < end && !waiting; i++) {
    waiting = all.lanes[i].doing == how ? &all.lanes[i] : nullptr;
  }
  for (unsigned i = first; waiting && i < end; i++) {
    lane &each = all.lanes[i];
    bool may_leave = how == state::at_wave;
    if (each.doing == state::left ? !may_leave : !together(each, *waiting)) {
      die_apart(*waiting, each);
    }
  }
  for (unsigned i = first; waiting && i < end; i++) {
    if (all.lanes[i].doing == how) {
      all.lanes[i].doing = state::ready;
    }
  }
  return waiting != nullptr;
}

// Runs one wave until its lanes have left or wait for the block.
void run_wave(unsigned first, unsigned end) {
  do {
    all.cursor = first;
    all.sweep_end = end;
    fiber *to = next(nullptr);
    if (to != &all.home) {
      switch_fiber(all.home, *to);
    }
  } while (release(first, end, state::at_wave));
}

void run_block() {
  for (unsigned i = 0; i < all.count; i++) {
    all.lanes[i].doing = state::fresh;
    all.lanes[i].rounds = 0;
    all.slots[0][i].round = all.slots[1][i].round = 0;
  }
  // NaNs, so that what the last block left is of no use to this one
  memset(all.dynamic_start, 0xff, static_cast<size_t>(all.dynamic_end - all.dynamic_start));
  std::fill(&__start_simt_lds[0], &__stop_simt_lds[0], '\xff');
  do {
    for (unsigned wave : all.waves) {
      unsigned first = wave * SIMT_WAVE;
      run_wave(first, first + SIMT_WAVE < all.count ? first + SIMT_WAVE : all.count);
    }
  } while (release(0, all.count, state::at_block));
}

// ---- launches ----

// The end of the LDS touches a page that may not be touched.
char *map_lds() {
  int flags = MAP_PRIVATE | MAP_ANONYMOUS;
  void *mapping = mmap(nullptr, 2 * lds_bytes, PROT_NONE, flags, -1, 0);
  if (mapping == MAP_FAILED || mprotect(mapping, lds_bytes, PROT_READ | PROT_WRITE) != 0) {
    die("no memory for the LDS");
  }
  return static_cast<char *>(mapping) + lds_bytes;
}

void lay_out(const launch &request) {
  blockDim = request.block;
  gridDim = request.grid;
  all.request = &request;
  all.count = blockDim.x * blockDim.y * blockDim.z;
  for (unsigned i = 0; i < all.count; i++) {
    all.lanes[i].index = {i % blockDim.x, i / blockDim.x % blockDim.y, i / blockDim.x / blockDim.y};
  }
  all.waves = visiting_order((all.count + SIMT_WAVE - 1) / SIMT_WAVE);
  all.order.clear();
  for (unsigned first = 0; first < all.count; first += SIMT_WAVE) {
    unsigned left = all.count - first;
    for (unsigned i : visiting_order(left < SIMT_WAVE ? left : SIMT_WAVE)) {
      all.order.push_back(first + i);
    }
  }
  if (!all.dynamic_end) {
    all.dynamic_end = map_lds();
  }
  all.dynamic_start = all.dynamic_end - (request.shared + 15) / 16 * 16;
}

} // namespace

void run(const launch &request) {
  lay_out(request);
  for (unsigned block : visiting_order(gridDim.x * gridDim.y * gridDim.z)) {
    blockIdx = {block % gridDim.x, block / gridDim.x % gridDim.y, block / gridDim.x / gridDim.y};
    run_block();
  }
  all.request = nullptr;
}

std::string running_lane() {
  if (!all.current) {
    return "";
  }
  return std::string("kernel ") + all.request->kernel + ", block " + text(blockIdx) + ", thread " +
         text(all.current->index) + ": ";
}

void *dynamic_lds() {
  return all.dynamic_start;
}

void block_barrier(const char *what, place at) {
  wait(state::at_block, what, at);
}

int lane_id() {
  return static_cast<int>((all.current - all.lanes) % SIMT_WAVE);
}

void post(const void *value, size_t bytes, const char *what, place at) {
  unsigned round = ++all.current->rounds;
  slot &shown = all.slots[round % 2][all.current - all.lanes];
  memcpy(shown.value, value, bytes);
  shown.round = round;
  wait(state::at_wave, what, at);
}

const void *posted(int lane) {
  unsigned self = static_cast<unsigned>(all.current - all.lanes), round = all.current->rounds;
  unsigned other = self / SIMT_WAVE * SIMT_WAVE + static_cast<unsigned>(lane);
  if (other >= all.count || all.slots[round % 2][other].round != round) {
    return nullptr;
  }
  return all.slots[round % 2][other].value;
}

void die_absent(const char *what, int lane, place at) {
  die("%s at %s:%d: reads lane %d, which takes no part", what, at.file, at.line, lane);
}

} // namespace simt
