#include "device.h"

#include "environment.h"
#include "timing.h"

#include <cstdio>
#include <map>
#include <sys/mman.h>

std::recursive_mutex device_mutex;

namespace {

struct Allocation {
  u64 low, high;
  u32 access;
  std::string name;
};

// A part of the address space that the devices have for themselves. Pages exist when they are used.
// It begins at the same address in each run, if that is free: the time of a launch depends a little
// on its addresses.
struct Arena {
  enum : u64 { GAP = 1 << 20, LEAST = 1ull << 30, WANTED = 1ull << 45 };
  u64 begin, next, end;

  Arena() {
    u64 bytes = 1ull << 40;
    void *found;
    while ((found = mmap((void *)WANTED, bytes, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)) == MAP_FAILED) {
      bytes /= 2;
      if (bytes < LEAST)
        give_up("device memory: out of addresses for it");
    }
    begin = (u64)found;
    next = begin + GAP;
    end = begin + bytes;
  }

  u64 reserve_addresses(size_t bytes, u64 alignment) {
    const u64 at = (next + alignment - 1) / alignment * alignment;
    next = at + bytes + GAP;
    if (next > end)
      give_up("device memory: out of addresses for an allocation");
    return at;
  }
};

Arena &arena() {
  static Arena one;
  return one;
}

std::map<u64, Allocation> allocations; // by address
std::vector<Range> sorted;
bool is_sorted = false;
size_t allocated = 0;
u32 numbers = 0;

void add(u64 low, u64 bytes, u32 access, const std::string &name) {
  allocations[low] = {low, low + bytes, access, name};
  is_sorted = false;
}

} // namespace

void *allocate(size_t bytes, const char *call, bool on_device) {
  enum { ALIGNMENT = 256, FILL_BYTE = 0xaa, MOST_FILLED = 64 << 20 };
  const u64 at = arena().reserve_addresses(bytes, ALIGNMENT);
  add(at, bytes, RANGE_READ | RANGE_WRITE,
      format("%s number %u of %zu bytes", call, ++numbers, bytes));
  allocated += bytes;
  if (on_device && bytes <= MOST_FILLED && !environment().settings.time)
    memset((void *)at, FILL_BYTE, bytes);
  return (void *)at;
}

bool release(void *pointer) {
  enum : u64 { PAGE = 4096 };
  const auto found = allocations.find((u64)pointer);
  if (found == allocations.end())
    return false;
  const u64 first = (found->second.low + PAGE - 1) & ~(PAGE - 1),
            end = found->second.high & ~(PAGE - 1);
  allocated -= found->second.high - found->second.low;
  if (end > first)
    madvise((void *)first, end - first, MADV_DONTNEED);
  allocations.erase(found);
  is_sorted = false;
  return true;
}

bool check_inside(const void *pointer, size_t bytes, const char *what) {
  const u64 at = (u64)pointer;
  if (at < arena().begin || at >= arena().end)
    return true;
  const auto after = allocations.upper_bound(at);
  if (after != allocations.begin() && at + bytes <= std::prev(after)->second.high)
    return true;
  fprintf(stderr, "emulator: %s: want %zu bytes inside one allocation, found others at %p\n", what,
          bytes, pointer);
  return false;
}

size_t allocated_bytes() {
  return allocated;
}

u64 reserve(size_t bytes, u32 access, const char *name) {
  enum { ALIGNMENT = 4096 };
  const u64 at = arena().reserve_addresses(bytes, ALIGNMENT);
  if (access)
    add(at, bytes, access, name);
  return at;
}

const std::vector<Range> &ranges() {
  if (is_sorted)
    return sorted;
  sorted.clear();
  for (const auto &[low, each] : allocations)
    if (each.high > each.low)
      sorted.push_back({low, each.high, each.access, each.name.c_str()});
  is_sorted = true;
  return sorted;
}

// ---- code ----

static void relocate(const CodeObject &object, u64 base) {
  for (const Relocation &each : object.relocations) {
    const u64 value = base + each.value;
    const u32 half = (u32)(each.kind == Relocation::HIGH32 ? value >> 32 : value);
    if (each.kind == Relocation::WORD64)
      memcpy((void *)(base + each.offset), &value, sizeof value);
    else
      memcpy((void *)(base + each.offset), &half, sizeof half);
  }
}

// Copies the segments of a code object to memory of the device.
static void place(LoadedCode &code) {
  u64 bytes = 0;
  for (const Segment &each : code.object.segments)
    bytes = std::max(bytes, each.address + each.bytes);
  code.base = reserve(bytes, 0, "");
  for (const Segment &each : code.object.segments) {
    memcpy((void *)(code.base + each.address), each.content.data(), each.content.size());
    add(code.base + each.address, each.bytes,
        RANGE_READ | (each.is_writable ? (u32)RANGE_WRITE : 0u), "a segment of the code object");
  }
  relocate(code.object, code.base);
  code.module.text_base = code.base + code.object.text_address;
  if (environment().settings.time)
    trace_classify(code.module);
}

std::vector<std::unique_ptr<LoadedCode>> load_codes(const std::vector<const void *> &images) {
  std::vector<std::unique_ptr<LoadedCode>> codes;
  std::vector<const CodeObject *> objects;
  std::vector<Module *> modules;
  try {
    for (const void *each : images) {
      codes.push_back(std::make_unique<LoadedCode>());
      codes.back()->object = read_code_object(each);
      objects.push_back(&codes.back()->object);
      modules.push_back(&codes.back()->module);
    }
    decode(objects, modules);
  } catch (const Fault &fault) {
    give_up(fault.message);
  }
  for (auto &each : codes)
    place(*each);
  return codes;
}
