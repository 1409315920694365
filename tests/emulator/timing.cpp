// The core of the timing model: one GCD of an MI250, driven by the traces of all workgroups.
//
// A CU has four SIMDs. SIMD s looks at its waves at cycles = s (mod 4). It starts at most one
// instruction of each kind (VALU or MFMA, SALU, SMEM, VMEM, LDS, branch), each of another wave, the
// oldest first; waves run in order. What an instruction takes is known when it starts: pipes and
// queues are times from which on they are free, a request walks L1, L2 and memory at once and
// returns when it ends, and s_waitcnt compares with those times. So a wave that cannot go on knows
// when it can, and SIMDs sleep until then; only barriers wait for other waves. CUs take turns of
// `quantum` cycles. What they have in common books capacity by slots of time, so the order of turns
// matters little.
#include "timing.h"

#include "caches.h"

#include <memory>

namespace {

enum { SIMDS = 4, LANES = 64, ISSUE_CYCLES = 4, CU_TO_L2 = 40, LDS_GRANULE = 512 };

// The next turn of a SIMD at or after a time.
inline u64 turn_of(u64 time, u32 simd) {
  return ((time + ISSUE_CYCLES - 1 - simd) & ~3ull) + simd;
}

struct Group;

// When the requests of a wave end, in the order in which s_waitcnt counts them.
template <u32 SIZE> class Pending {
public:
  void clear() {
    first = count = last = 0;
  }
  // Requests of a kind end in order.
  void add(u64 end) {
    last = std::max(last, end);
    end_of[(first + count++) % SIZE] = last;
  }
  void drop_ended(u64 now) {
    while (count && end_of[first] <= now) {
      first = (first + 1) % SIZE;
      --count;
    }
  }
  bool is_full(u64 now) {
    if (count >= SIZE - 1)
      drop_ended(now);
    return count >= SIZE - 1;
  }
  u64 first_end() const {
    return end_of[first];
  }
  // When only `left` of them are left; 0: they are.
  u64 end_with(u32 left) const {
    return left != ANY && count > left ? end_of[(first + count - left - 1) % SIZE] : 0;
  }

private:
  u32 first = 0, count = 0;
  u64 last = 0, end_of[SIZE];
};

// The last MFMAs of a wave: when another MFMA may add to their results, and when all may read them.
struct Product {
  u16 first, end;
  u64 added_at, read_at;
};

struct TimedWave {
  const u32 *trace;
  s32 pc;
  u64 ready;
  bool at_barrier;
  u32 simd, line; // the line of code that it has
  Group *group;
  Pending<64> vector;
  Pending<16> lds_and_scalar;
  Product product[4];
  u32 products;
  u64 last_product;
};

struct Group {
  Traces *traces;
  std::vector<TimedWave *> waves;
  u32 left, arrived;
};

struct Simd {
  std::vector<TimedWave *> waves;
  u64 next = ~0ull, valu_free = 0, mfma_free = 0;
};

struct CodeAndScalars {
  SmallCache<4> scalars;
  SmallCache<8> code;
};

struct Cu {
  Simd simd[SIMDS];
  L1 l1;
  CodeAndScalars *small;
  u64 lds_free = 0, l1_free = 0, busy_since = 0, busy = 0;
  u32 lds_used = 0, groups = 0, waves = 0, next_simd = 0;
  std::vector<u64> miss; // when each line under way arrives
  u32 next_miss = 0;
};

// One turn of a SIMD.
struct Turn {
  Cu &cu;
  Simd &simd;
  u32 number;
  u64 now, next;
  u32 used; // ports
};

class Core {
public:
  Core(Launch &launch, TraceFeed &feed, L2 &l2);
  ~Core();
  void run();
  TimeResult result() const;
  std::vector<u64> ends; // of the groups

private:
  enum Port {
    PORT_VALU = 1,
    PORT_SALU = 2,
    PORT_SMEM = 4,
    PORT_VMEM = 8,
    PORT_LDS = 16,
    PORT_BRANCH = 32
  };

  bool fits(const Cu &cu) const;
  Cu *find_cu();
  bool dispatch(u64 until);
  void place(Cu &cu, Traces *traces);
  void begin_wave(Cu &cu, Group *group, const std::vector<u32> &trace);
  void end_wave(Turn &turn, u32 index);
  void release(Cu &cu, Group *group, u64 now);

  u64 read_line(Cu &cu, u32 line, u64 *at);
  u64 access_vector(Cu &cu, u64 now, const u32 *lines, u32 count, TraceKind kind);
  u64 access_scalar(Cu &cu, u64 now, u32 line);
  u64 fetch(Cu &cu, u64 now, u32 line);

  void step(Cu &cu, u32 number);
  bool step_wave(Turn &turn, u32 index);
  bool issue(Turn &turn, TimedWave &wave, const TraceInstruction &about, u64 *until, Stall *why);
  bool wait(Turn &turn, TimedWave &wave, u64 until, Stall why);
  bool take(Turn &turn, TimedWave &wave, u32 port);
  bool wait_for_products(Turn &turn, TimedWave &wave, const TraceInstruction &about);
  bool wait_for_room(Turn &turn, TimedWave &wave);
  bool pass_wait(Turn &turn, TimedWave &wave, const TraceInstruction &about);
  bool issue_branch(Turn &turn, TimedWave &wave, u64 *until);
  bool issue_scalar_load(Turn &turn, TimedWave &wave);
  bool issue_lds(Turn &turn, TimedWave &wave, const TraceInstruction &about);
  bool issue_memory(Turn &turn, TimedWave &wave, const TraceInstruction &about);
  bool issue_mfma(Turn &turn, TimedWave &wave, const TraceInstruction &about);
  bool issue_vector(Turn &turn, TimedWave &wave, const TraceInstruction &about, u64 *until);
  void arrive(Turn &turn, TimedWave &wave);
  u64 run_cu(Cu &cu, u64 until);
  u64 waves_now() const;

  Launch &launch;
  TraceFeed &feed;
  L2 &l2;
  const TraceInstruction *code;
  u32 code_line, waves_per_group, waves_per_simd, lds_bytes;
  double lds_scale;
  std::vector<Cu> cus;
  std::vector<CodeAndScalars> small;
  std::vector<TimedWave *> unused;
  u64 started = 0, finished = 0, next_dispatch = 0, end = 0;
  u32 next_cu = 0;
  bool has_room = true;
  u64 mfma_busy = 0, valu_busy = 0, lds_busy = 0, l1_busy = 0, lds_conflicts = 0;
  u64 l1_requests = 0, l1_hits = 0, instructions = 0, mfmas = 0, occupancy = 0;
  u64 stall[STALLS] = {0};
};

Core::Core(Launch &of, TraceFeed &from, L2 &with)
    : launch(of), feed(from), l2(with), code(of.module->traced.data()) {
  const u32 count = (u32)parameters.cus, threads = of.block[0] * of.block[1] * of.block[2];
  const u32 registers = ((of.rsrc1 & 63) + 1) * 8;
  waves_per_group = (threads + LANES - 1) / LANES;
  waves_per_simd = std::min((u32)parameters.waves_simd, (u32)parameters.vgprs / registers);
  lds_bytes = (of.lds_bytes + LDS_GRANULE - 1) & ~(LDS_GRANULE - 1);
  code_line = (u32)(of.module->text_base >> 6);
  lds_scale = 128 / parameters.lds_bytes;
  small.resize((count + 1) / 2);
  for (CodeAndScalars &each : small) {
    each.scalars.open(parameters.scalar_kb);
    each.code.open(parameters.code_kb);
  }
  cus.resize(count);
  for (u32 i = 0; i < count; ++i) {
    cus[i].small = &small[i / 2];
    cus[i].miss.assign((u32)parameters.l1_misses, 0);
  }
}

Core::~Core() {
  for (TimedWave *each : unused)
    delete each;
}

// ---- memory ----

// Reads a line through L1. *at is when it is looked up, and later if no miss can be under way.
u64 Core::read_line(Cu &cu, u32 line, u64 *at) {
  ++l1_requests;
  const int found = cu.l1.find(line);
  if (found >= 0) {
    ++l1_hits;
    return std::max(*at + (u64)parameters.l1_latency, cu.l1.ready_at(found));
  }
  u64 &oldest = cu.miss[cu.next_miss];
  cu.next_miss = (cu.next_miss + 1) % (u32)cu.miss.size();
  if (oldest > *at) {
    *at = oldest;
    cu.l1_free = std::max(cu.l1_free, *at);
  }
  oldest = l2.read(line, *at + CU_TO_L2) - CU_TO_L2;
  cu.l1.put(line, oldest);
  return oldest;
}

u64 Core::access_vector(Cu &cu, u64 now, const u32 *lines, u32 count, TraceKind kind) {
  const u64 begin = std::max(now, cu.l1_free);
  const u32 cycles = std::max<u32>(count, ISSUE_CYCLES);
  u64 done = begin + ISSUE_CYCLES;
  cu.l1_free = begin + cycles;
  l1_busy += cycles;
  for (u32 i = 0; i < count; ++i) {
    u64 at = begin + i;
    if (kind == TRACE_LOAD) {
      done = std::max(done, read_line(cu, lines[i], &at));
      continue;
    }
    done = std::max(done,
                    l2.write(lines[i], at + CU_TO_L2) + (u64)parameters.store_latency - CU_TO_L2);
    const int found = kind == TRACE_ATOMIC ? cu.l1.find(lines[i]) : -1;
    if (found >= 0)
      cu.l1.drop(found);
  }
  return done;
}

u64 Core::access_scalar(Cu &cu, u64 now, u32 line) {
  const u64 *found = cu.small->scalars.find(line);
  if (found)
    return std::max(now + (u64)parameters.scalar_latency, *found);
  const u64 ready = l2.read(line, now + CU_TO_L2);
  cu.small->scalars.put(line, ready);
  return ready;
}

// When a line of code is there.
u64 Core::fetch(Cu &cu, u64 now, u32 line) {
  if (parameters.ifetch == 0)
    return now;
  auto &cache = cu.small->code;
  const u64 *found = cache.find(line);
  const u64 ready = found ? *found : l2.read(code_line + line, now + CU_TO_L2);
  if (!found)
    cache.put(line, ready);
  for (u32 next = line + 1; next <= line + (u32)parameters.code_ahead; ++next)
    if (!cache.find(next))
      cache.put(next, l2.read(code_line + next, now + CU_TO_L2));
  return std::max(ready, now);
}

// ---- workgroups ----

bool Core::fits(const Cu &cu) const {
  if (cu.groups >= (u32)parameters.groups_cu && waves_per_group > 1)
    return false;
  if (cu.lds_used + lds_bytes > (u32)parameters.lds_kb * 1024)
    return false;
  u32 free = 0;
  for (const Simd &each : cu.simd)
    free += waves_per_simd - std::min<u32>(waves_per_simd, (u32)each.waves.size());
  return free >= waves_per_group;
}

Cu *Core::find_cu() {
  const u32 count = (u32)cus.size();
  for (u32 i = 0; i < count; ++i) {
    Cu &cu = cus[(next_cu + i) % count];
    if (fits(cu)) {
      next_cu = (next_cu + i + 1) % count;
      return &cu;
    }
  }
  return nullptr;
}

// Places workgroups in order, each in the next CU that has room. False: the launch has failed.
bool Core::dispatch(u64 until) {
  while (started < launch.groups && has_room && next_dispatch < until) {
    Cu *cu = find_cu();
    if (!cu) {
      has_room = false;
      break;
    }
    Traces *traces = feed.next();
    if (!traces)
      return false;
    place(*cu, traces);
    ++started;
    next_dispatch += (u64)parameters.group_gap;
  }
  if (started == launch.groups || !has_room)
    next_dispatch = std::max(next_dispatch, until);
  return true;
}

void Core::place(Cu &cu, Traces *traces) {
  Group *group = new Group{traces, {}, waves_per_group, 0};
  cu.lds_used += lds_bytes;
  if (!cu.groups++)
    cu.busy_since = next_dispatch;
  cu.waves += waves_per_group;
  for (u32 i = 0; i < waves_per_group; ++i)
    begin_wave(cu, group, (*traces)[i]);
}

void Core::begin_wave(Cu &cu, Group *group, const std::vector<u32> &trace) {
  u32 best = cu.next_simd;
  for (u32 i = 1; i < SIMDS; ++i) {
    const u32 other = (cu.next_simd + i) % SIMDS;
    if (cu.simd[other].waves.size() < cu.simd[best].waves.size())
      best = other;
  }
  cu.next_simd = (best + 1) % SIMDS;
  if (unused.empty())
    unused.push_back(new TimedWave());
  TimedWave *wave = unused.back();
  unused.pop_back();
  wave->trace = trace.data();
  wave->pc = launch.entry;
  wave->ready = turn_of(next_dispatch + (u64)parameters.wave_start, best);
  wave->at_barrier = false;
  wave->simd = best;
  wave->line = NO_TAG;
  wave->group = group;
  wave->vector.clear();
  wave->lds_and_scalar.clear();
  std::fill_n(wave->product, 4, Product());
  wave->products = 0;
  wave->last_product = 0;
  stall[STALL_START] += (u64)parameters.wave_start;
  Simd &simd = cu.simd[best];
  simd.waves.push_back(wave);
  simd.next = std::min(simd.next, wave->ready);
  group->waves.push_back(wave);
}

void Core::end_wave(Turn &turn, u32 index) {
  TimedWave *wave = turn.simd.waves[index];
  Group *group = wave->group;
  Cu &cu = turn.cu;
  turn.simd.waves.erase(turn.simd.waves.begin() + index);
  unused.push_back(wave);
  group->waves.erase(std::find(group->waves.begin(), group->waves.end(), wave));
  --cu.waves;
  end = std::max(end, turn.now);
  has_room = true;
  if (--group->left > 0) {
    if (group->arrived == group->left)
      release(cu, group, turn.now);
    return;
  }
  cu.lds_used -= lds_bytes;
  if (!--cu.groups)
    cu.busy += turn.now - cu.busy_since;
  ++finished;
  ends.push_back(turn.now);
  feed.done(group->traces);
  delete group;
}

// Lets the waves of a group go on after a barrier.
void Core::release(Cu &cu, Group *group, u64 now) {
  for (TimedWave *each : group->waves) {
    if (!each->at_barrier)
      continue;
    const u64 ready = turn_of(now + (u64)parameters.barrier, each->simd);
    each->at_barrier = false;
    stall[STALL_BARRIER] += ready - each->ready;
    each->ready = ready;
    cu.simd[each->simd].next = std::min(cu.simd[each->simd].next, ready);
  }
  group->arrived = 0;
}

// ---- instructions ----
// The functions below return false if the wave has to wait; then it knows until when.

bool Core::wait(Turn &turn, TimedWave &wave, u64 until, Stall why) {
  wave.ready = turn_of(std::max(until, turn.now + 1), turn.number);
  stall[why] += wave.ready - turn.now;
  turn.next = std::min(turn.next, wave.ready);
  return false;
}

// Uses a port that no other wave has used in this turn.
bool Core::take(Turn &turn, TimedWave &wave, u32 port) {
  if (turn.used & port)
    return wait(turn, wave, turn.now + ISSUE_CYCLES, STALL_PORT);
  return true;
}

inline bool overlap(const Registers &some, const Product &product) {
  return some.count && some.first < product.end && some.first + some.count > product.first;
}

bool Core::wait_for_products(Turn &turn, TimedWave &wave, const TraceInstruction &about) {
  u64 until = 0;
  if (wave.last_product <= turn.now)
    return true;
  for (const Product &each : wave.product) {
    if (each.read_at <= turn.now)
      continue;
    const Registers &c = about.source[2];
    const bool adds = about.kind == TRACE_MFMA && c.count && c.first == each.first &&
                      c.first + c.count == each.end;
    if (adds)
      until = std::max(until, each.added_at);
    for (u32 i = 0; i < about.sources; ++i)
      if (!(adds && i == 2) && overlap(about.source[i], each))
        until = std::max(until, each.read_at);
    if (!adds && overlap(about.result, each))
      until = std::max(until, each.read_at);
  }
  return until <= turn.now || wait(turn, wave, until, STALL_MFMA_RESULT);
}

// lgkmcnt counts up to 15.
bool Core::wait_for_room(Turn &turn, TimedWave &wave) {
  return !wave.lds_and_scalar.is_full(turn.now) ||
         wait(turn, wave, wave.lds_and_scalar.first_end(), STALL_LGKMCNT);
}

bool Core::pass_wait(Turn &turn, TimedWave &wave, const TraceInstruction &about) {
  wave.vector.drop_ended(turn.now);
  wave.lds_and_scalar.drop_ended(turn.now);
  const u64 vector = wave.vector.end_with(about.vmcnt);
  const u64 other = wave.lds_and_scalar.end_with(about.lgkmcnt);
  const u64 until = std::max(vector, other);
  return until <= turn.now || wait(turn, wave, until, other > vector ? STALL_LGKMCNT : STALL_VMCNT);
}

bool Core::issue_branch(Turn &turn, TimedWave &wave, u64 *until) {
  if (!take(turn, wave, PORT_BRANCH))
    return false;
  turn.used |= PORT_BRANCH;
  const s32 target = (s32)*wave.trace++;
  const bool is_taken = target != wave.pc + 1;
  *until = turn.now + (u64)(is_taken ? parameters.branch_taken : parameters.branch_not_taken);
  wave.pc = target - 1; // step_wave adds one
  return true;
}

bool Core::issue_scalar_load(Turn &turn, TimedWave &wave) {
  if (!take(turn, wave, PORT_SMEM) || !wait_for_room(turn, wave))
    return false;
  turn.used |= PORT_SMEM;
  wave.lds_and_scalar.add(access_scalar(turn.cu, turn.now, *wave.trace++));
  return true;
}

bool Core::issue_lds(Turn &turn, TimedWave &wave, const TraceInstruction &about) {
  Cu &cu = turn.cu;
  const u64 queue = (u64)parameters.lds_queue;
  if (!take(turn, wave, PORT_LDS) || !wait_for_products(turn, wave, about))
    return false;
  if (cu.lds_free > turn.now + queue)
    return wait(turn, wave, cu.lds_free - queue, STALL_LDS_QUEUE);
  if (!wait_for_room(turn, wave))
    return false;
  turn.used |= PORT_LDS;
  const u32 banks = *wave.trace++, lost = banks >> 16;
  const u32 forgiven = parameters.conflicts != 0 ? 0 : lost;
  const u32 cycles = (u32)(((banks & 0xffff) - forgiven) * lds_scale + 0.5);
  const u64 begin = std::max(turn.now, cu.lds_free);
  cu.lds_free = begin + cycles;
  lds_busy += cycles;
  lds_conflicts += lost;
  wave.lds_and_scalar.add(begin + cycles + (u64)parameters.lds_latency);
  return true;
}

bool Core::issue_memory(Turn &turn, TimedWave &wave, const TraceInstruction &about) {
  Cu &cu = turn.cu;
  const u64 queue = (u64)parameters.l1_queue;
  if (!take(turn, wave, PORT_VMEM) || !wait_for_products(turn, wave, about))
    return false;
  if (cu.l1_free > turn.now + queue)
    return wait(turn, wave, cu.l1_free - queue, STALL_VMEM_QUEUE);
  if (wave.vector.is_full(turn.now))
    return wait(turn, wave, wave.vector.first_end(), STALL_VMCNT);
  turn.used |= PORT_VMEM;
  const u32 lines = *wave.trace++;
  wave.vector.add(lines ? access_vector(cu, turn.now, wave.trace, lines, about.kind)
                        : turn.now + ISSUE_CYCLES);
  wave.trace += lines;
  return true;
}

bool Core::issue_mfma(Turn &turn, TimedWave &wave, const TraceInstruction &about) {
  Simd &simd = turn.simd;
  if (!take(turn, wave, PORT_VALU))
    return false;
  if (simd.valu_free > turn.now)
    return wait(turn, wave, simd.valu_free, STALL_VALU_PIPE);
  if (simd.mfma_free > turn.now)
    return wait(turn, wave, simd.mfma_free, STALL_MFMA_PIPE);
  if (!wait_for_products(turn, wave, about))
    return false;
  turn.used |= PORT_VALU;
  const u64 done = turn.now + ISSUE_CYCLES * about.passes;
  simd.mfma_free = done + (u64)parameters.mfma_gap;
  simd.valu_free = turn.now + ISSUE_CYCLES;
  mfma_busy += ISSUE_CYCLES * about.passes;
  ++mfmas;
  const Registers &result = about.result;
  wave.product[wave.products++ % 4] = {result.first, (u16)(result.first + result.count), done,
                                       done + (u64)parameters.mfma_latency};
  wave.last_product = std::max(wave.last_product, done + (u64)parameters.mfma_latency);
  return true;
}

bool Core::issue_vector(Turn &turn, TimedWave &wave, const TraceInstruction &about, u64 *until) {
  Simd &simd = turn.simd;
  if (!take(turn, wave, PORT_VALU))
    return false;
  if (simd.valu_free > turn.now)
    return wait(turn, wave, simd.valu_free, STALL_VALU_PIPE);
  if (!wait_for_products(turn, wave, about))
    return false;
  turn.used |= PORT_VALU;
  const u32 cycles = about.kind == TRACE_TRANSCENDENTAL ? (u32)parameters.transcendental
                                                        : (u32)parameters.valu * about.passes;
  simd.valu_free = *until = turn.now + cycles;
  valu_busy += cycles;
  return true;
}

// Starts an instruction. Sets *until when the wave can start its next one, and what it does till
// then.
bool Core::issue(Turn &turn, TimedWave &wave, const TraceInstruction &about, u64 *until,
                 Stall *why) {
  switch (about.kind) {
  case TRACE_WAIT:
    return pass_wait(turn, wave, about);
  case TRACE_NOP:
    *until = turn.now + ISSUE_CYCLES * about.nops;
    *why = STALL_NOP;
    return true;
  case TRACE_SALU:
    *until = turn.now + (u64)parameters.salu;
    if (!take(turn, wave, PORT_SALU))
      return false;
    turn.used |= PORT_SALU;
    return true;
  case TRACE_BRANCH:
    *why = STALL_BRANCH;
    return issue_branch(turn, wave, until);
  case TRACE_SMEM:
    return issue_scalar_load(turn, wave);
  case TRACE_LDS:
    return issue_lds(turn, wave, about);
  case TRACE_LOAD:
  case TRACE_STORE:
  case TRACE_ATOMIC:
    return issue_memory(turn, wave, about);
  case TRACE_MFMA:
    return issue_mfma(turn, wave, about);
  default:
    return issue_vector(turn, wave, about, until);
  }
}

void Core::arrive(Turn &turn, TimedWave &wave) {
  Group *group = wave.group;
  ++wave.pc;
  ++instructions;
  wave.at_barrier = true;
  wave.ready = turn.now;
  stall[STALL_ISSUE] += ISSUE_CYCLES;
  if (++group->arrived < group->left)
    return;
  release(turn.cu, group, turn.now);
  turn.next = std::min(turn.next, wave.ready);
}

// One wave in a turn. False: it has ended and is gone.
bool Core::step_wave(Turn &turn, u32 index) {
  TimedWave &wave = *turn.simd.waves[index];
  if (wave.at_barrier)
    return true;
  if (wave.ready > turn.now) {
    turn.next = std::min(turn.next, wave.ready);
    return true;
  }
  const TraceInstruction &about = code[wave.pc];
  if (about.line != wave.line) {
    wave.line = about.line;
    const u64 ready = fetch(turn.cu, turn.now, about.line);
    if (ready > turn.now) {
      wait(turn, wave, ready, STALL_IFETCH);
      return true;
    }
  }
  if (about.kind == TRACE_END) {
    ++instructions;
    end_wave(turn, index);
    return false;
  }
  if (about.kind == TRACE_BARRIER) {
    arrive(turn, wave);
    return true;
  }
  u64 until = turn.now + ISSUE_CYCLES;
  Stall why = STALL_ISSUE;
  if (!issue(turn, wave, about, &until, &why))
    return true;
  ++wave.pc;
  ++instructions;
  stall[why] += until - turn.now;
  wave.ready = turn_of(until, turn.number);
  turn.next = std::min(turn.next, wave.ready);
  return true;
}

void Core::step(Cu &cu, u32 number) {
  Simd &simd = cu.simd[number];
  Turn turn = {cu, simd, number, simd.next, ~0ull, 0};
  simd.next = ~0ull;
  for (u32 i = 0; i < simd.waves.size();)
    i += step_wave(turn, i);
  simd.next = std::min(simd.next, turn.next);
}

// ---- the run ----

// Runs the SIMDs of a CU, the earliest first, and returns when the next of them has something to
// do.
u64 Core::run_cu(Cu &cu, u64 until) {
  for (;;) {
    u32 first = 0;
    for (u32 i = 1; i < SIMDS; ++i)
      if (cu.simd[i].next < cu.simd[first].next)
        first = i;
    if (cu.simd[first].next >= until)
      return cu.simd[first].next;
    step(cu, first);
  }
}

u64 Core::waves_now() const {
  u64 all = 0;
  for (const Cu &each : cus)
    all += each.waves;
  return all;
}

void Core::run() {
  const u64 quantum = (u64)parameters.quantum;
  u64 now = 0;
  while (finished < launch.groups) {
    if (!dispatch(now + quantum))
      return;
    u64 next = ~0ull;
    for (Cu &each : cus) {
      if (!each.waves)
        continue;
      next = std::min(next, run_cu(each, now + quantum));
      occupancy += each.waves * quantum;
    }
    now += quantum;
    const bool can_dispatch = started < launch.groups && has_room;
    if (finished < launch.groups && next != ~0ull && next > now + quantum && !can_dispatch) {
      const u64 skipped = (next - now) / quantum;
      occupancy += waves_now() * quantum * skipped;
      now += skipped * quantum;
    }
  }
}

TimeResult Core::result() const {
  TimeResult made = {};
  const double cycles = (double)end, cu_count = parameters.cus, simds = cu_count * SIMDS;
  made.cycles = cycles;
  made.us = cycles / parameters.clock / 1e3;
  made.mfma = mfma_busy / cycles / simds;
  made.valu = valu_busy / cycles / simds;
  made.lds = lds_busy / cycles / cu_count;
  made.l1 = l1_busy / cycles / cu_count;
  u64 busy = 0;
  for (const Cu &each : cus)
    busy += each.busy;
  made.cu_busy = busy / cycles / cu_count;
  made.waves_per_simd = occupancy / cycles / simds;
  made.l1_requests = l1_requests;
  made.l1_hits = l1_hits;
  made.l2_requests = l2.requests;
  made.l2_hits = l2.hits;
  made.l2_writes = l2.writes;
  made.hbm_reads = l2.memory_reads;
  made.hbm_writes = l2.memory_writes;
  made.lds_conflicts = lds_conflicts;
  made.lds_cycles = lds_busy;
  made.instructions = instructions;
  made.mfmas = mfmas;
  made.groups = launch.groups;
  for (int i = 0; i < STALLS; ++i) {
    made.stall[i] = stall[i];
    made.wave_cycles += stall[i];
  }
  const u32 by_waves =
      std::min((u32)parameters.waves_simd, waves_per_simd) * SIMDS / waves_per_group;
  const u32 by_lds = lds_bytes ? (u32)parameters.lds_kb * 1024 / lds_bytes : ~0u;
  const u32 by_barriers = waves_per_group > 1 ? (u32)parameters.groups_cu : ~0u;
  made.groups_per_cu = std::min({by_waves, by_lds, by_barriers});
  return made;
}

// Extends the result of some groups to all of them. The others end at the rate of the middle ones.
void extrapolate(TimeResult &result, std::vector<u64> &ends, u64 some, u64 all) {
  std::sort(ends.begin(), ends.end());
  const size_t first = ends.size() * 35 / 100, last = ends.size() * 85 / 100;
  const double rate = (double)(ends[last] - ends[first]) / (last - first);
  const double more = rate * (all - some), groups = (double)all / some;
  const double time = (result.cycles + more) / result.cycles;
  for (double *each : {&result.mfma, &result.valu, &result.lds, &result.l1})
    *each *= groups / time;
  for (double *each : {&result.l1_requests, &result.l1_hits, &result.l2_requests, &result.l2_hits,
                       &result.hbm_reads, &result.hbm_writes, &result.l2_writes,
                       &result.lds_conflicts, &result.lds_cycles})
    *each *= groups;
  result.cu_busy = (result.cu_busy * result.cycles + more) / (result.cycles + more);
  result.instructions = (u64)(result.instructions * groups);
  result.mfmas = (u64)(result.mfmas * groups);
  result.cycles += more;
  result.us = result.cycles / parameters.clock / 1e3;
  result.groups = all;
}

} // namespace

TimeResult time_traces(Launch &launch, u64 all_groups, TraceFeed &feed) {
  enum { FEWEST_ENDS = 9 };
  static L2 l2;
  l2.begin_launch();
  Core core(launch, feed, l2);
  core.run();
  TimeResult result = core.result();
  if (all_groups > launch.groups && core.ends.size() >= FEWEST_ENDS)
    extrapolate(result, core.ends, launch.groups, all_groups);
  return result;
}
