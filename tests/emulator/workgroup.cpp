#include "workgroup.h"

#include "lanes.h"
#include "timing.h"

#include <new>

enum { LANES = 64 };

static u64 next_random(u64 *state) {
  *state ^= *state << 13;
  *state ^= *state >> 7;
  *state ^= *state << 17;
  return *state;
}

static u32 threads_of(const Launch &launch) {
  return launch.block[0] * launch.block[1] * launch.block[2];
}

// ---- the first state of a wave ----

// Work item ids, ten bits each, in v0.
static void set_work_items(Wave &wave) {
  const u32 *block = wave.launch->block, first = wave.number * LANES;
  const u32 count = std::min<u32>(LANES, threads_of(*wave.launch) - first);
  wave.exec() = count == LANES ? ~0ull : (1ull << count) - 1;
  for (u32 lane = 0; lane < count; ++lane) {
    const u32 item = first + lane, row = item / block[0];
    wave.vgpr[0][lane] = item % block[0] | row % block[1] << 10 | row / block[1] << 20;
  }
}

// The buffer descriptor of scratch memory for all waves.
static u32 set_scratch_descriptor(Wave &wave, u32 reg, u64 base) {
  enum : u32 { SWIZZLED = 1u << 31, ADD_THREAD = 1u << 23, STRIDE_64 = 3u << 21 };
  wave.sgpr[reg] = (u32)base;
  wave.sgpr[reg + 1] = (u32)(base >> 32) | SWIZZLED;
  wave.sgpr[reg + 2] = ~0u;
  wave.sgpr[reg + 3] = ADD_THREAD | STRIDE_64;
  return reg + 4;
}

// The SGPRs that the kernel descriptor asks for, in the order of the ABI.
static void set_scalars(Wave &wave, u64 scratch_base) {
  const Launch &launch = *wave.launch;
  const u64 pairs[] = {launch.dispatch, launch.queue, launch.kernarg, 1, scratch_base};
  const u32 wanted = launch.properties;
  u32 reg = 0;
  if (wanted & 1)
    reg = set_scratch_descriptor(wave, reg, scratch_base);
  for (int i = 0; i < 5; ++i)
    if (wanted >> (i + 1) & 1) {
      wave.set_sgpr64(reg, pairs[i]);
      reg += 2;
    }
  if (wanted & 64)
    wave.sgpr[reg++] = launch.scratch_bytes;
  reg = (launch.rsrc2 >> 1) & 31;
  for (int axis = 0; axis < 3; ++axis)
    if (launch.rsrc2 >> (7 + axis) & 1)
      wave.sgpr[reg++] = wave.group[axis];
  if (launch.rsrc2 & (1 << 10)) // workgroup information
    wave.sgpr[reg++] = 0;
  if (launch.rsrc2 & 1)
    wave.sgpr[reg] = (u32)(wave.scratch - scratch_base);
}

void begin_wave(Wave &wave, u64 group) {
  const Launch &launch = *wave.launch;
  const u32 vgprs = launch.vgprs ? std::min(launch.vgprs, 256u) : 256;
  std::fill_n(&wave.vgpr[0][0], vgprs * LANES, FILL);
  std::fill_n(&wave.agpr[0][0], std::min(launch.agprs, 256u) * LANES, FILL);
  std::fill_n(wave.sgpr, 128, FILL);
  wave.scc = wave.stop = wave.index = wave.index_enable = 0;
  wave.instructions = 0;
  wave.last_range = {1, 0, 0, nullptr};
  wave.pc = launch.entry;
  wave.group[0] = (u32)(group % launch.grid[0]);
  wave.group[1] = (u32)(group / launch.grid[0] % launch.grid[1]);
  wave.group[2] = (u32)(group / launch.grid[0] / launch.grid[1]);
  wave.mode = ((launch.rsrc1 >> 12) & 0xff) | ((launch.rsrc1 >> 21) & 1) << 8 |
              ((launch.rsrc1 >> 23) & 1) << 9;
  update_flushing(wave);
  wave.epoch = 1;
  wave.vcc() = 0;
  set_work_items(wave);
  set_scalars(wave, wave.scratch - (u64)launch.scratch_bytes * LANES * wave.number);
}

// ---- a workgroup ----

Workgroup::Workgroup(Launch &of) : launch(of) {
  const u32 count = (threads_of(launch) + LANES - 1) / LANES;
  lds.resize(launch.lds_bytes + LANES);
  if (launch.settings->race) {
    lds_writer.resize(lds.size());
    lds_reader.resize(lds.size());
  }
  scratch.resize((size_t)launch.scratch_bytes * LANES / sizeof(u32) * count);
  for (u32 i = 0; i < count; ++i) {
    Wave *wave = new Wave();
    wave->launch = &launch;
    wave->module = launch.module;
    wave->number = i;
    wave->lds = lds.data();
    wave->lds_size = launch.lds_bytes;
    wave->lds_writer = lds_writer.empty() ? nullptr : lds_writer.data();
    wave->lds_reader = lds_reader.empty() ? nullptr : lds_reader.data();
    wave->scratch = (u64)scratch.data() + (u64)launch.scratch_bytes * LANES * i;
    wave->scratch_lane = launch.scratch_bytes;
    waves.push_back(wave);
    order.push_back(i);
  }
}

Workgroup::~Workgroup() {
  for (Wave *each : waves)
    delete each;
}

void Workgroup::begin(u64 group, std::vector<std::vector<u32>> *traces) {
  u32 *words = (u32 *)lds.data();
  std::fill_n(words, lds.size() / sizeof(u32), FILL);
  std::fill(scratch.begin(), scratch.end(), FILL);
  std::fill(lds_writer.begin(), lds_writer.end(), 0);
  std::fill(lds_reader.begin(), lds_reader.end(), 0);
  for (Wave *each : waves) {
    begin_wave(*each, group);
    each->trace = traces ? &(*traces)[each->number] : nullptr;
  }
  is_running = true;
}

void Workgroup::choose_order(u64 *random) {
  const u32 count = (u32)order.size();
  if (launch.settings->order == 1)
    for (u32 i = 0; i < count; ++i)
      order[i] = count - 1 - i;
  if (launch.settings->order == 2)
    for (u32 i = count; i > 1; --i)
      std::swap(order[i - 1], order[next_random(random) % i]);
}

void Workgroup::pass_barrier() {
  for (Wave *each : waves)
    if (each->stop == STOP_BARRIER) {
      each->stop = STOP_NOT;
      each->epoch++;
    }
}

bool Workgroup::run(u64 *random) {
  enum { SLICE = 200000, SLICE_OF_MANY = 2000, MOST_RANDOM = 200 };
  const Settings &settings = *launch.settings;
  choose_order(random);
  for (const u32 i : order) {
    Wave &wave = *waves[i];
    if (wave.stop != STOP_NOT || launch.stopped)
      continue;
    if (wave.trace)
      run_traced(wave);
    else if (settings.order == 2)
      run_wave(wave, 1 + next_random(random) % MOST_RANDOM);
    else
      run_wave(wave, settings.resident > 1 ? SLICE_OF_MANY : SLICE);
  }
  bool can_run = false, waits = false;
  for (const Wave *each : waves) {
    can_run |= each->stop == STOP_NOT;
    waits |= each->stop == STOP_BARRIER;
  }
  if (!can_run && waits)
    pass_barrier();
  is_running = can_run || waits;
  return is_running;
}

static void check_end(Wave &wave, const Instruction &inst) {
  if (LIKELY((size_t)wave.pc < wave.module->code.size() || wave.stop == STOP_END))
    return;
  wave.pc = (s32)(&inst - wave.module->code.data());
  raise_fault(wave, inst, "the code goes on after its last instruction");
}

static void count(Launch &launch, u64 instructions) {
  const u64 all = launch.instructions += instructions, most = launch.settings->most_instructions;
  if (most && all > most)
    throw Fault{format("want at most %llu instructions in a launch, found more: an endless loop?",
                       (unsigned long long)most)};
}

void Workgroup::run_wave(Wave &wave, u64 slice) {
  const Instruction *code = wave.module->code.data();
  u64 done = 0;
  while (done < slice && wave.stop == STOP_NOT) {
    const Instruction &inst = code[wave.pc];
    wave.next_pc = wave.pc + 1;
    inst.run(wave, inst);
    wave.pc = wave.next_pc;
    ++done;
    ++wave.instructions;
    check_end(wave, inst);
  }
  count(launch, done);
}

void Workgroup::run_traced(Wave &wave) {
  const Instruction *code = wave.module->code.data();
  const TraceInstruction *traced = wave.module->traced.data();
  const u64 before = wave.instructions;
  while (wave.stop == STOP_NOT) {
    const Instruction &inst = code[wave.pc];
    const TraceInstruction &about = traced[wave.pc];
    wave.next_pc = wave.pc + 1;
    if (trace_has_addresses(about))
      trace_addresses(wave, inst, about, *wave.trace);
    inst.run(wave, inst);
    if (about.kind == TRACE_BRANCH)
      wave.trace->push_back((u32)wave.next_pc);
    wave.pc = wave.next_pc;
    ++wave.instructions;
    check_end(wave, inst);
  }
  count(launch, wave.instructions - before);
}
