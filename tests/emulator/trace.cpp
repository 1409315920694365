// The functional side of the timing model.
#include "memory.h"
#include "timing.h"

enum { LINE_BYTES = 64 };

static u32 line_of(u64 address) {
  return (u32)(address / LINE_BYTES);
}

// ---- classes of instructions ----

// A mnemonic, and questions about it.
struct Mnemonic {
  std::string name;
  bool has(const char *part) const {
    return name.find(part) != std::string::npos;
  }
  bool begins(const char *part) const {
    return name.rfind(part, 0) == 0;
  }
  bool begins_with_one_of(std::initializer_list<const char *> parts) const {
    return std::any_of(parts.begin(), parts.end(), [&](const char *each) { return begins(each); });
  }
};

static Registers registers_of(const Instruction &inst, int number) {
  if (number >= inst.operands)
    return {0, 0};
  const Operand &operand = inst.operand[number];
  if (operand.kind == OPERAND_VGPR)
    return {(u16)operand.reg, operand.count};
  if (operand.kind == OPERAND_AGPR)
    return {(u16)(operand.reg + 256), operand.count};
  return {0, 0};
}

static void add_sources(TraceInstruction &about, const Instruction &inst, int from) {
  for (int i = from; i < inst.operands && about.sources < 3; ++i) {
    const Registers found = registers_of(inst, i);
    if (found.count)
      about.source[about.sources++] = found;
  }
}

static void classify_mfma(TraceInstruction &about, const Instruction &inst, const Mnemonic &is) {
  about.kind = TRACE_MFMA;
  about.passes = is.has("32x32") ? 16 : is.has("16x16") ? 8 : is.has("f64_4x4") ? 4 : 2;
  about.result = registers_of(inst, 0);
  about.sources = 3;
  for (int i = 0; i < 3; ++i)
    about.source[i] = registers_of(inst, i + 1);
}

static void classify_vector(TraceInstruction &about, const Instruction &inst, const Mnemonic &is) {
  const bool is_quarter_rate = is.begins_with_one_of(
      {"v_exp_", "v_log_", "v_rcp_", "v_rsq_", "v_sqrt_", "v_sin_", "v_cos_", "v_mul_lo_u32",
       "v_mul_hi_u32", "v_mul_hi_i32", "v_mad_u64_u32", "v_mad_i64_i32"});
  const bool is_half_rate =
      is.begins_with_one_of({"v_lshlrev_b64", "v_lshrrev_b64", "v_ashrrev_i64"});
  about.kind = is_quarter_rate ? TRACE_TRANSCENDENTAL : TRACE_VALU;
  about.passes = is_half_rate ? 2 : 1;
  about.result = registers_of(inst, 0);
  add_sources(about, inst, 0);
}

static LdsKind lds_kind(const Mnemonic &is) {
  const bool reads = is.has("read"), twice = is.has("read2") || is.has("write2");
  if (is.name == "ds_nop")
    return LDS_NOTHING;
  if (is.has("permute") || is.has("swizzle"))
    return LDS_PERMUTE;
  if (twice)
    return reads ? LDS_READ_TWICE : LDS_WRITE_TWICE;
  if (reads)
    return LDS_READ;
  if (is.has("write"))
    return LDS_WRITE;
  return is.has("_rtn") ? LDS_ATOMIC_RETURNS : LDS_ATOMIC_ONLY;
}

static void classify_lds(TraceInstruction &about, const Instruction &inst, const Mnemonic &is) {
  const bool is_wide = is.has("b64") || is.has("u64") || is.has("i64") || is.has("f64");
  about.kind = TRACE_LDS;
  about.lds = lds_kind(is);
  about.width = is.has("b128") ? 16 : is.has("b96") ? 12 : is_wide ? 8 : 4;
  about.strides_64 = is.has("st64");
  if (is.has("read") || about.lds == LDS_PERMUTE)
    about.result = registers_of(inst, 0);
  add_sources(about, inst, 0);
}

static u8 width_of(const Mnemonic &is) {
  if (is.has("dwordx4"))
    return 16;
  if (is.has("dwordx3"))
    return 12;
  if (is.has("x2"))
    return 8;
  return is.has("short") ? 2 : is.has("byte") ? 1 : 4;
}

static void classify_memory(TraceInstruction &about, const Instruction &inst, const Mnemonic &is) {
  if (is.has("wbl2") || is.has("wbinv") || is.has("invl2")) {
    about.kind = TRACE_SALU;
    return;
  }
  about.kind = is.has("_load") ? TRACE_LOAD : is.has("_store") ? TRACE_STORE : TRACE_ATOMIC;
  about.width = width_of(is);
  about.lanes = about.width >= 12 ? 4 : about.width == 8 ? 8 : 16;
  about.space = is.begins("global")    ? SPACE_GLOBAL
                : is.begins("flat")    ? SPACE_FLAT
                : is.begins("scratch") ? SPACE_SCRATCH
                                       : SPACE_BUFFER;
  const bool has_result = about.kind == TRACE_LOAD && !(inst.flags & FLAG_LDS);
  if (has_result)
    about.result = registers_of(inst, 0);
  add_sources(about, inst, has_result ? 1 : 0);
}

static void classify_wait(TraceInstruction &about, const Instruction &inst, const Mnemonic &is) {
  enum { NO_VMCNT = 63, NO_LGKMCNT = 15 };
  const u32 bits = inst.immediate;
  const u32 vmcnt = (bits & 15) | ((bits >> 14) & 3) << 4, lgkmcnt = (bits >> 8) & 15;
  about.kind = TRACE_WAIT;
  if (is.name != "s_waitcnt") {
    about.vmcnt = about.lgkmcnt = 0;
    return;
  }
  about.vmcnt = vmcnt == NO_VMCNT ? (u8)ANY : (u8)vmcnt;
  about.lgkmcnt = lgkmcnt == NO_LGKMCNT ? (u8)ANY : (u8)lgkmcnt;
}

static void classify_scalar(TraceInstruction &about, const Instruction &inst, const Mnemonic &is) {
  enum { MOST_SLEEP = 250 };
  about.kind = TRACE_SALU;
  if (is.begins("s_waitcnt")) {
    classify_wait(about, inst, is);
  } else if (is.name == "s_barrier") {
    about.kind = TRACE_BARRIER;
  } else if (is.name == "s_nop" || is.name == "s_sleep") {
    const u32 sleep = 16 * (inst.immediate & 127) + 1;
    about.kind = TRACE_NOP;
    about.nops =
        is.name == "s_nop" ? (u8)((inst.immediate & 15) + 1) : (u8)std::min<u32>(MOST_SLEEP, sleep);
  } else if (is.begins("s_endpgm")) {
    about.kind = TRACE_END;
  } else if (is.begins_with_one_of({"s_branch", "s_cbranch", "s_setpc", "s_swappc", "s_call"})) {
    about.kind = TRACE_BRANCH;
  } else if (is.begins_with_one_of(
                 {"s_load", "s_buffer_load", "s_scratch_load", "s_memtime", "s_memrealtime"})) {
    about.kind = TRACE_SMEM;
  }
}

void trace_classify(Module &module) {
  for (size_t i = 0; i < module.code.size(); ++i) {
    const Instruction &inst = module.code[i];
    const Mnemonic is = {module.text[i].substr(0, module.text[i].find(' '))};
    TraceInstruction about = {};
    about.vmcnt = about.lgkmcnt = ANY;
    about.passes = 1;
    about.line = inst.address / LINE_BYTES;
    if (is.begins("v_mfma"))
      classify_mfma(about, inst, is);
    else if (is.begins("v_"))
      classify_vector(about, inst, is);
    else if (is.begins("ds_"))
      classify_lds(about, inst, is);
    else if (is.begins_with_one_of({"global_", "flat_", "scratch_", "buffer_"}))
      classify_memory(about, inst, is);
    else
      classify_scalar(about, inst, is);
    module.traced.push_back(about);
  }
}

// ---- banks of LDS ----

// The order of the lanes in a read of 16 bytes: 8 lanes in each phase, as AMD documents them.
static const u8 WIDE_READ[64] = {0,  1,  2,  3,  20, 21, 22, 23, 4,  5,  6,  7,  16, 17, 18, 19,
                                 8,  9,  10, 11, 28, 29, 30, 31, 12, 13, 14, 15, 24, 25, 26, 27,
                                 32, 33, 34, 35, 52, 53, 54, 55, 36, 37, 38, 39, 48, 49, 50, 51,
                                 40, 41, 42, 43, 60, 61, 62, 63, 44, 45, 46, 47, 56, 57, 58, 59};

struct BankCycles {
  u32 taken, least; // with no conflict
};

// The words that the lanes of one phase want, by bank.
struct Phase {
  enum { BANKS = 32 };
  u32 words[BANKS][BANKS];
  u8 count[BANKS] = {0};
  u32 most = 0, all = 0;

  void add(u32 word) {
    const u32 bank = word % BANKS;
    u32 at = 0;
    while (at < count[bank] && words[bank][at] != word)
      ++at;
    if (at < count[bank] || at == BANKS)
      return;
    words[bank][at] = word;
    most = std::max<u32>(most, ++count[bank]);
    ++all;
  }
};

// Wide accesses go in phases of 8 lanes, narrower ones in phases of 32.
static BankCycles bank_cycles(const u32 *address, u64 active, u32 bytes, bool reads) {
  const u32 words = std::max(1u, bytes / 4), lanes = words >= 3 ? 8 : 32;
  BankCycles cycles = {0, 0};
  for (u32 first = 0; first < 64; first += lanes) {
    Phase phase;
    for (u32 i = first; i < first + lanes; ++i) {
      const u32 lane = words >= 3 && reads ? WIDE_READ[i] : i;
      if ((active >> lane) & 1)
        for (u32 word = 0; word < words; ++word)
          phase.add(address[lane] / 4 + word);
    }
    cycles.taken += phase.most;
    cycles.least += (phase.all + Phase::BANKS - 1) / Phase::BANKS;
  }
  return cycles;
}

// ---- addresses that repeat ----

// What an instruction asked for last time. Relative to the first lane it mostly holds again.
struct Pattern {
  const Module *module = nullptr;
  u64 active = 0, base = 0;
  u32 relative[64];
  std::vector<u32> lines; // their number, then each of them relative to the first lane's
  BankCycles cycles = {0, 0};

  // True if this is the pattern; else it becomes the pattern. The base counts modulo `period`.
  bool repeats(const Wave &wave, u64 active_now, u64 base_now, const u32 *relative_now,
               u64 period) {
    u32 difference = 0;
    EACH_LANE difference |= relative[lane] ^ relative_now[lane];
    if (module == wave.module && !difference && active == active_now &&
        (base_now ^ base) % period == 0)
      return true;
    module = wave.module;
    active = active_now;
    base = base_now;
    memcpy(relative, relative_now, sizeof relative);
    return false;
  }
};

// The pattern of an instruction; two accesses to LDS have one each.
static Pattern &pattern_of(const Wave &wave, const Instruction &inst, u32 access) {
  static thread_local std::vector<Pattern> patterns;
  const size_t number = (size_t)(&inst - wave.module->code.data()) * 2 + access;
  if (number >= patterns.size())
    patterns.resize(wave.module->code.size() * 2);
  return patterns[number];
}

static BankCycles lds_cycles(Wave &wave, const Instruction &inst, u32 access, const u32 *address,
                             u32 bytes, bool reads) {
  enum { BANK_PERIOD = 128 };
  Pattern &pattern = pattern_of(wave, inst, access);
  u32 relative[64];
  EACH_LANE relative[lane] = address[lane] - address[0];
  if (!pattern.repeats(wave, wave.exec(), address[0], relative, BANK_PERIOD))
    pattern.cycles = bank_cycles(address, wave.exec(), bytes, reads);
  return pattern.cycles;
}

// Appends the lines that the lanes touch: `about.lanes` lanes are looked up at a time.
static void add_lines(const u64 *address, u64 active, const TraceInstruction &about,
                      std::vector<u32> &lines) {
  enum { MOST = 32 };
  const size_t head = lines.size();
  lines.push_back(0);
  for (u32 first = 0; first < 64; first += about.lanes) {
    const size_t begin = lines.size();
    for (u32 lane = first; lane < first + about.lanes; ++lane) {
      if (!((active >> lane) & 1))
        continue;
      const u32 last = line_of(address[lane] + about.width - 1);
      for (u32 line = line_of(address[lane]);; line = last) {
        if (std::find(lines.begin() + begin, lines.end(), line) == lines.end() &&
            lines.size() - begin < MOST)
          lines.push_back(line);
        if (line == last)
          break;
      }
    }
  }
  lines[head] = (u32)(lines.size() - head - 1);
}

static void add_repeating_lines(Wave &wave, const Instruction &inst, const u64 *address, u64 active,
                                const TraceInstruction &about, std::vector<u32> &trace) {
  u32 relative[64];
  u64 far = 0;
  EACH_LANE {
    const u64 distance = address[lane] - address[0];
    relative[lane] = (u32)distance;
    far |= (distance + (1ull << 31)) >> 32;
  }
  if (far || active != ~0ull)
    return add_lines(address, active, about, trace);
  Pattern &pattern = pattern_of(wave, inst, 0);
  const u32 base = line_of(address[0]);
  if (!pattern.repeats(wave, active, address[0], relative, LINE_BYTES)) {
    pattern.lines.clear();
    add_lines(address, active, about, pattern.lines);
    for (size_t i = 1; i < pattern.lines.size(); ++i)
      pattern.lines[i] -= base;
  }
  trace.push_back(pattern.lines[0]);
  for (size_t i = 1; i < pattern.lines.size(); ++i)
    trace.push_back(pattern.lines[i] + base);
}

// ---- one instruction ----

static void trace_scalar(Wave &wave, const Instruction &inst, std::vector<u32> &trace) {
  u64 address = 0;
  if (inst.operands >= 3 && inst.operand[1].kind == OPERAND_SGPR) {
    const u64 base = wave.sgpr64(inst.operand[1].reg);
    const bool is_descriptor = inst.operand[1].count >= 4;
    const Operand &offset = inst.operand[2];
    address = (is_descriptor ? base & 0xffffffffffff : base) + (s64)inst.offset +
              (offset.kind == OPERAND_SGPR ? wave.sgpr[offset.reg] : (u32)offset.imm);
  }
  trace.push_back(line_of(address));
}

static BankCycles lds_access(Wave &wave, const Instruction &inst, const TraceInstruction &about) {
  const bool reads = about.lds == LDS_READ || about.lds == LDS_READ_TWICE;
  const bool twice = about.lds == LDS_READ_TWICE || about.lds == LDS_WRITE_TWICE;
  const u32 *from = registers(wave, inst.operand[reads || about.lds == LDS_ATOMIC_RETURNS ? 1 : 0]);
  u32 address[64];
  if (twice) {
    const u32 stride = about.width * (about.strides_64 ? 64 : 1);
    EACH_LANE address[lane] = from[lane] + inst.offset0 * stride;
    const BankCycles one = lds_cycles(wave, inst, 0, address, about.width, reads);
    EACH_LANE address[lane] = from[lane] + inst.offset1 * stride;
    const BankCycles two = lds_cycles(wave, inst, 1, address, about.width, reads);
    return {one.taken + two.taken, one.least + two.least};
  }
  EACH_LANE address[lane] = from[lane] + inst.offset;
  BankCycles cycles = lds_cycles(wave, inst, 0, address, about.width, reads);
  if (about.lds == LDS_ATOMIC_RETURNS || about.lds == LDS_ATOMIC_ONLY)
    cycles.taken *= 2;
  return cycles;
}

static void trace_lds(Wave &wave, const Instruction &inst, const TraceInstruction &about,
                      std::vector<u32> &trace) {
  enum { PERMUTE_CYCLES = 4, MOST = 0xffff };
  if (about.lds == LDS_NOTHING || about.lds == LDS_PERMUTE)
    return trace.push_back(about.lds == LDS_PERMUTE ? PERMUTE_CYCLES : 0);
  const BankCycles cycles = lds_access(wave, inst, about);
  const u32 lost = cycles.taken > cycles.least ? cycles.taken - cycles.least : 0;
  trace.push_back(std::min<u32>(cycles.taken, MOST) | std::min<u32>(lost, MOST) << 16);
}

static void trace_buffer(Wave &wave, const Instruction &inst, const TraceInstruction &about,
                         std::vector<u32> &trace) {
  const int first = about.kind != TRACE_STORE && (inst.flags & FLAG_LDS) ? 0 : 1;
  const Buffer buffer = read_buffer(wave, inst.operand[first + 1]);
  const u32 offset = scalar32(wave, inst.operand[first + 2]);
  u64 address[64], active = 0;
  EACH_ACTIVE(wave.exec()) {
    address[lane] = buffer_address(wave, inst, buffer, first, offset, lane, 0, 4);
    if (address[lane])
      active |= 1ull << lane;
  }
  add_lines(address, active, about, trace);
}

static void trace_memory(Wave &wave, const Instruction &inst, const TraceInstruction &about,
                         std::vector<u32> &trace) {
  u64 address[64], active = wave.exec();
  const bool returns = about.kind == TRACE_ATOMIC && (inst.flags & FLAG_GLC);
  const int first = about.kind == TRACE_LOAD || returns ? 1 : 0;
  switch (about.space) {
  case SPACE_BUFFER:
    return trace_buffer(wave, inst, about, trace);
  case SPACE_SCRATCH:
    EACH_LANE address[lane] = wave.scratch + lane * 4;
    return add_lines(address, active, about, trace);
  case SPACE_GLOBAL:
    addresses<GLOBAL>(wave, inst, first, first + (about.kind == TRACE_LOAD ? 1 : 2), address);
    break;
  case SPACE_FLAT:
    addresses<FLAT>(wave, inst, first, 0, address);
    EACH_LANE {
      const u64 aperture = address[lane] >> 32;
      if (aperture == SHARED_APERTURE || aperture == PRIVATE_APERTURE)
        active &= ~(1ull << lane);
    }
    break;
  }
  add_repeating_lines(wave, inst, address, active, about, trace);
}

void trace_addresses(Wave &wave, const Instruction &inst, const TraceInstruction &about,
                     std::vector<u32> &trace) {
  if (about.kind == TRACE_SMEM)
    trace_scalar(wave, inst, trace);
  else if (about.kind == TRACE_LDS)
    trace_lds(wave, inst, about, trace);
  else
    trace_memory(wave, inst, about, trace);
}
