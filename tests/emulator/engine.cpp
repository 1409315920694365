// The list of instructions, and what becomes of mistakes of a kernel.
#include "lanes.h"

#include <unordered_map>

static std::unordered_map<std::string, Handler> &handlers() {
  static std::unordered_map<std::string, Handler> map;
  return map;
}

Registered::Registered(const char *mnemonic, Handler handler) {
  handlers()[mnemonic] = handler;
}

Handler find_handler(const std::string &mnemonic) {
  const auto found = handlers().find(mnemonic);
  return found == handlers().end() ? nullptr : found->second;
}

// ---- the patterns of DPP ----

s8 dpp_source[DPP_PATTERNS][64];

// Within a row of 16 lanes; -1: none.
static int shifted(int lane, int by) {
  const int to = (lane & 15) + by;
  return to < 0 || to > 15 ? -1 : (lane & ~15) + to;
}

// The lane from which a lane reads with a dpp_ctrl of the ISA manual; -1: none.
static int source_of(int control, int lane) {
  const int by = control & 15;
  switch (control >> 4) {
  case 0x10: // row_shl
    return shifted(lane, by);
  case 0x11: // row_shr
    return shifted(lane, -by);
  case 0x12: // row_ror
    return (lane & ~15) + ((lane - by) & 15);
  case 0x15: // row_newbcast
    return (lane & ~15) + by;
  }
  switch (control) {
  case 0x130: // wave_shl
    return lane < 63 ? lane + 1 : -1;
  case 0x134: // wave_rol
    return (lane + 1) & 63;
  case 0x138: // wave_shr
    return lane - 1;
  case 0x13c: // wave_ror
    return (lane - 1) & 63;
  case 0x140: // row_mirror
    return lane ^ 15;
  case 0x141: // row_half_mirror
    return lane ^ 7;
  case 0x142: // row_bcast of lane 15
    return lane >= 16 ? (lane & ~15) - 1 : -1;
  case 0x143: // row_bcast of lane 31
    return lane >= 32 ? 31 : -1;
  }
  const bool is_quad = control < 0x100; // quad_perm
  return is_quad ? (lane & ~3) | ((control >> (2 * (lane & 3))) & 3) : lane;
}

static bool fill_patterns() {
  for (int control = 0; control < DPP_PATTERNS; ++control)
    EACH_LANE dpp_source[control][lane] = (s8)source_of(control, lane);
  return true;
}

static const bool patterns_are_filled = fill_patterns();

// ---- mistakes ----

static std::string where(const Wave &wave, const Instruction &inst) {
  const auto &code = wave.module->code;
  // An instruction that writes two registers is run as two copies, which are not in the code.
  const bool in_code = &inst >= code.data() && &inst < code.data() + code.size();
  const size_t number = in_code ? (size_t)(&inst - code.data()) : (size_t)wave.pc;
  return format("block (%u,%u,%u) wave %u pc 0x%x `%s`: ", wave.group[0], wave.group[1],
                wave.group[2], wave.number, code[number].address,
                wave.module->text[number].c_str());
}

void raise_fault(const Wave &wave, const Instruction &inst, const std::string &message) {
  throw Fault{where(wave, inst) + message};
}

void report_bounds(Wave &wave, const Instruction &inst, const std::string &message) {
  enum { MOST_WARNINGS = 20 };
  Launch &launch = *wave.launch;
  if (!launch.settings->out_of_bounds_goes_on)
    raise_fault(wave, inst, message);
  std::lock_guard<std::mutex> lock(launch.mutex);
  if (launch.faults.size() < MOST_WARNINGS)
    launch.faults.push_back(where(wave, inst) + message);
}

// Where an address is beside memory that it should be in.
static std::string position_beside(u64 address, const Range *below, const Range *above) {
  if (above && (!below || above->low - address < address - below->high))
    return format("%llu bytes before %s", (unsigned long long)(above->low - address), above->name);
  if (below)
    return format("at offset %llu of %s", (unsigned long long)(address - below->low), below->name);
  return "no memory is allocated";
}

// A sentence about an access that no range allows. below: the last range that begins at or below
// the address, or NULL; above: the next one, or NULL.
static std::string refusal(u64 address, u32 bytes, u32 access, int lane, const Range *below,
                           const Range *above) {
  const char *what = !(access & RANGE_WRITE) ? "load" : access & RANGE_READ ? "atomic" : "store";
  const bool inside = below && address + bytes <= below->high;
  return format("%s of %u bytes by lane %d %s: %s", what, bytes, lane,
                inside ? "to memory that is only read" : "out of bounds",
                position_beside(address, below, above).c_str());
}

bool find_range(Wave &wave, const Instruction &inst, u64 address, u32 bytes, u32 access, int lane) {
  const auto &ranges = *wave.launch->ranges;
  const auto after =
      std::upper_bound(ranges.begin(), ranges.end(), address,
                       [](u64 value, const Range &range) { return value < range.low; });
  const Range *below = after == ranges.begin() ? nullptr : &after[-1];
  const Range *above = after == ranges.end() ? nullptr : &*after;
  if (below && address + bytes <= below->high && !(access & ~below->access)) {
    wave.last_range = *below;
    return true;
  }
  report_bounds(wave, inst, refusal(address, bytes, access, lane, below, above));
  return false;
}
