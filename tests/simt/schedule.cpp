// Runs the blocks of a launch one after another, the waves of a block one after another, and the
// lanes of a wave one after another, each until it must wait. A missing barrier therefore shows in
// the result. A lane that never waits runs to its end like a called function; only a lane that
// waits keeps a stack of its own. The program ends with a message if some threads skip a barrier,
// if lanes wait at different lines, or if a lane leaves without waiting for its copies to LDS.

#include "fiber.h"
#include "simt.h"

#include <algorithm>
#include <cstdio>
#include <link.h>
#include <memory>
#include <unistd.h>

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

namespace simt {
namespace {

enum class state { fresh, ready, at_wave, at_block, left };

enum { copy_bytes = 16 };

// A copy to LDS that was started.
struct copy {
  void *to;
  const void *from;
  unsigned char bytes[copy_bytes]; // of the source when the copy was started
  size_t group;
  call_site at;
};

struct lane {
  uint3 index;
  state doing;
  fiber *on;
  const char *what; // the call in which it waits
  call_site at;
  wave_operation operation; // of that call, if it is one of the wave
  void *brought;            // the lane's operands, then its results
};

// The copies of a lane, in the order in which it started them.
struct copy_queue {
  std::vector<copy> copies;
  size_t group = 0; // of the next copy
};

struct range {
  char *start = nullptr, *end = nullptr;
};

struct scheduler {
  const launch *request = nullptr;
  lane lanes[threads_limit];
  copy_queue queues[threads_limit];   // by lane
  unsigned count = 0;                 // lanes of a block
  unsigned wave_start = 0;            // first lane of the wave whose operation runs
  std::vector<unsigned> waves, order; // waves and lanes in the order in which they run
  unsigned cursor = 0, sweep_end = 0;
  lane *current = nullptr;
  bool awaited = false; // the running block has waited for the previous kernel
  fiber home;
  std::vector<std::unique_ptr<fiber>> fibers;
  std::vector<fiber *> idle;
  range static_lds, dynamic_lds; // an inaccessible page follows the dynamic one
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
  die("kernel %s, block %s: not all threads reach one barrier: %s, %s", all.request->kernel,
      text(blockIdx).c_str(), text(one).c_str(), text(other).c_str());
}

// ---- lanes ----

void lane_loop();

fiber *idle_fiber() {
  if (all.idle.empty()) {
    all.fibers.push_back(std::make_unique<fiber>());
    if (!start_fiber(*all.fibers.back(), lane_loop, all.fibers.size())) {
      die("no memory for the stack of a lane");
    }
    return all.fibers.back().get();
  }
  fiber *idle = all.idle.back();
  all.idle.pop_back();
  return idle;
}

// Makes the next lane of the sweep that can run the current one and returns its fiber, or the
// scheduler's fiber at the end of the sweep. A lane that has not begun gets the offered fiber.
fiber *next(fiber *offered) {
  while (all.cursor < all.sweep_end) {
    lane &each = all.lanes[all.order[all.cursor++]];
    if (each.doing == state::fresh) {
      each.on = offered ? offered : idle_fiber();
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

copy_queue &queue_of(const lane &each) {
  return all.queues[&each - all.lanes];
}

void leave() {
  for (const copy &each : queue_of(*all.current).copies) {
    die("leaves the kernel without waiting for a copy that it started at %s:%d", each.at.file,
        each.at.line);
  }
  all.current->doing = state::left;
}

// The code of a fiber. It runs lane after lane until one of them waits, which keeps the fiber.
void lane_loop() {
  for (;;) {
    fiber *own = all.current->on;
    all.request->lane();
    leave();
    fiber *to = next(own);
    if (to != own) {
      all.idle.push_back(own);
      switch_fiber(*own, *to);
    }
  }
}

lane &running(const char *what) {
  if (!all.current) {
    die("%s outside of a kernel", what);
  }
  return *all.current;
}

void wait(lane &self, state how, const char *what, call_site at, wave_operation operation) {
  self.doing = how;
  self.what = what;
  self.at = at;
  self.operation = operation;
  switch_fiber(*self.on, *next(nullptr));
}

// ---- waves and blocks ----

bool together(const lane &one, const lane &other) {
  return one.what == other.what && one.operation == other.operation &&
         one.at.line == other.at.line &&
         (one.at.file == other.at.file || strcmp(one.at.file, other.at.file) == 0);
}

void operate(unsigned first, unsigned end, const lane &waiting) {
  wave lanes = {{}, waiting.what, waiting.at};
  for (unsigned i = first; i < end; i++) {
    lane &each = all.lanes[i];
    lanes.brought[i - first] = each.doing == state::at_wave ? each.brought : nullptr;
  }
  all.wave_start = first;
  waiting.operation(lanes);
}

// Wakes the lanes first..end-1, which must all wait together in state `how` unless they have left.
// An operation of the wave is computed first. Returns false if no lane waits.
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
  if (waiting && how == state::at_wave) {
    operate(first, end, *waiting);
  }
  for (unsigned i = first; waiting && i < end; i++) {
    if (all.lanes[i].doing == how) {
      all.lanes[i].doing = state::ready;
    }
  }
  return waiting != nullptr;
}

// Runs one wave until every lane has left or waits for the block.
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
  all.awaited = false;
  for (unsigned i = 0; i < all.count; i++) {
    all.lanes[i].doing = state::fresh;
  }
  // NaN, so that no block can use what the previous one left
  for (const range &each : {all.static_lds, all.dynamic_lds}) {
    std::fill(each.start, each.end, '\xff');
  }
  do {
    for (unsigned wave : all.waves) {
      unsigned first = wave * SIMT_WAVE;
      run_wave(first, first + SIMT_WAVE < all.count ? first + SIMT_WAVE : all.count);
    }
  } while (release(0, all.count, state::at_block));
  if (all.request->early && !all.awaited) {
    die("kernel %s, block %s: ends without waiting for the previous kernel, which may still run",
        all.request->kernel, text(blockIdx).c_str());
  }
}

// ---- launches ----

// The static LDS of the program is all of its thread-local storage.
range find_static_lds() {
  range found;
  auto note = [](dl_phdr_info *object, size_t, void *to) {
    for (int i = 0; i < object->dlpi_phnum; i++) {
      const auto &segment = object->dlpi_phdr[i];
      if (segment.p_type != PT_TLS) {
        continue;
      }
      if (segment.p_filesz > 0) {
        die("the program has thread-local variables that are no LDS: they have initial values");
      }
      char *start = static_cast<char *>(object->dlpi_tls_data);
      *static_cast<range *>(to) = {start, start + segment.p_memsz};
    }
    return 1; // stops after the program itself, which comes before its libraries
  };
  dl_iterate_phdr(note, &found);
  return found;
}

// The LDS ends at an inaccessible page. Returns its end.
char *map_dynamic_lds() {
  int flags = MAP_PRIVATE | MAP_ANONYMOUS;
  size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  size_t usable = (lds_bytes + page - 1) / page * page;
  void *mapping = mmap(nullptr, usable + page, PROT_NONE, flags, -1, 0);
  if (mapping == MAP_FAILED || mprotect(mapping, usable, PROT_READ | PROT_WRITE) != 0) {
    die("no memory for the LDS");
  }
  return static_cast<char *>(mapping) + usable;
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
  if (!all.dynamic_lds.end) {
    all.static_lds = find_static_lds();
    all.dynamic_lds.end = map_dynamic_lds();
  }
  all.dynamic_lds.start = all.dynamic_lds.end - (request.shared + 15) / 16 * 16;
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
  return all.dynamic_lds.start;
}

void await_kernels() {
  running("a wait for the previous kernel");
  all.awaited = true;
}

void block_barrier(const char *what, call_site at) {
  wait(running(what), state::at_block, what, at, nullptr);
}

// ---- operations of a wave ----

int lane_id() {
  return static_cast<int>((all.current - all.lanes) % SIMT_WAVE);
}

void meet(void *brought, wave_operation operation, const char *what, call_site at) {
  lane &self = running(what);
  self.brought = brought;
  wait(self, state::at_wave, what, at, operation);
}

void die_absent(const wave &lanes, int reader, int absent) {
  all.current = &all.lanes[all.wave_start + static_cast<unsigned>(reader)];
  die("%s at %s:%d: reads lane %d, which is not active", lanes.what, lanes.at.file, lanes.at.line,
      absent);
}

void want_all(const wave &lanes) {
  for (int i = 0; i < SIMT_WAVE; i++) {
    if (!lanes.brought[i]) {
      die("kernel %s, block %s: %s at %s:%d: want every lane of a wave, lane %d is not active",
          all.request->kernel, text(blockIdx).c_str(), lanes.what, lanes.at.file, lanes.at.line, i);
    }
  }
}

// ---- copies to LDS ----

void start_copy(void *lds, const void *from, call_site at) {
  copy_queue &queue = queue_of(running("a copy to LDS"));
  char *to = static_cast<char *>(lds);
  auto inside = [to](const range &each) { return to >= each.start && to + copy_bytes <= each.end; };
  if (!inside(all.static_lds) && !inside(all.dynamic_lds)) {
    die("a copy at %s:%d: its target is not in LDS", at.file, at.line);
  }
  if (reinterpret_cast<uintptr_t>(lds) % copy_bytes != 0 ||
      reinterpret_cast<uintptr_t>(from) % copy_bytes != 0) {
    die("a copy at %s:%d: an address is no multiple of %d bytes", at.file, at.line, copy_bytes);
  }
  copy made = {lds, from, {}, queue.group, at};
  memcpy(made.bytes, from, copy_bytes);
  memset(lds, 0xff, copy_bytes);
  queue.copies.push_back(made);
}

void close_copies() {
  queue_of(running("a group of copies to LDS")).group++;
}

namespace {

// The device may read the source at any time until now, so the source must not have changed.
void finish(const copy &each) {
  if (memcmp(each.bytes, each.from, copy_bytes) != 0) {
    die("the source of a copy at %s:%d changed before the lane waited for it", each.at.file,
        each.at.line);
  }
  memcpy(each.to, each.bytes, copy_bytes);
}

} // namespace

void finish_copies() {
  copy_queue &queue = queue_of(running("a wait for copies to LDS"));
  for (const copy &each : queue.copies) {
    finish(each);
  }
  queue.copies.clear();
}

void finish_copies_but(size_t groups) {
  copy_queue &queue = queue_of(running("a wait for copies to LDS"));
  auto unfinished = queue.copies.begin();
  while (unfinished != queue.copies.end() && unfinished->group + groups < queue.group) {
    finish(*unfinished++);
  }
  queue.copies.erase(queue.copies.begin(), unfinished);
}

} // namespace simt
