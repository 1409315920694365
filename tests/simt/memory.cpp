// Allocations of the harness and their guard pages.

#include "host.h"

#include <algorithm>
#include <cstdio>
#include <sys/mman.h>
#include <unistd.h>

namespace simt {
namespace {

constexpr size_t alignment = 16; // the widest access of a lane

// New memory is filled with this value. It is a NaN as a half and, twice, as a float; as an index
// it is out of every range.
constexpr uint16_t NEW = 0x7fff;

size_t round_up(size_t n, size_t to) {
  return (n + to - 1) / to * to;
}

size_t page() {
  static const size_t bytes = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  return bytes;
}

void protect(const allocation &each, int how) {
  if (mprotect(each.pages, each.page_bytes, how) != 0) {
    die("mprotect failed");
  }
}

hipError_t allocate(void **pointer, size_t bytes, kind of) {
  *pointer = nullptr;
  if (bytes == 0) {
    return hipSuccess;
  }
  if (of == kind::device && bytes > options().memory - all().used[0]) {
    return fail(hipErrorOutOfMemory);
  }
  size_t page_bytes = round_up(bytes, page());
  void *mapping = mmap(nullptr, page_bytes + 2 * page(), PROT_NONE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapping == MAP_FAILED) {
    return fail(hipErrorOutOfMemory);
  }
  char *guard = static_cast<char *>(mapping), *pages = guard + page();
  allocation made = {of,   true, pages, page_bytes, pages + page_bytes - round_up(bytes, alignment),
                     bytes};
  protect(made, PROT_READ | PROT_WRITE);
  std::fill_n(reinterpret_cast<uint16_t *>(pages), page_bytes / sizeof(uint16_t), NEW);
  if (of == kind::device) {
    protect(made, PROT_NONE);
  }
  size_t which = static_cast<size_t>(of);
  all().used[which] += bytes;
  all().peak[which] = std::max(all().peak[which], all().used[which]);
  all().memory[guard] = made;
  *pointer = made.start;
  return hipSuccess;
}

// True if all bytes are still those of new memory.
bool untouched(const char *from, const char *end) {
  const auto is_new = [](const char *at) {
    return *at == static_cast<char>(reinterpret_cast<uintptr_t>(at) % 2 == 0 ? NEW : NEW >> 8);
  };
  size_t bytes = static_cast<size_t>(end - from);
  return bytes == 0 || (is_new(from) && (bytes == 1 || is_new(from + 1)) &&
                        (bytes <= 2 || memcmp(from, from + 2, bytes - 2) == 0));
}

hipError_t release(const char *call, void *pointer, kind of) {
  if (!pointer) {
    return hipSuccess;
  }
  if (break_waiting_captures()) {
    return fail(hipErrorStreamCaptureUnsupported);
  }
  synchronize_device();
  const allocation *found = find(pointer);
  if (!found || !found->live || found->start != pointer || found->of != of) {
    fprintf(stderr, "simt: %s: %s: %s\n", call,
            found && !found->live ? "freed twice" : "not what an allocation returned",
            describe(pointer).c_str());
    all().misused = true;
    return fail(hipErrorInvalidValue);
  }
  allocation &each = all().memory.find(found->pages - page())->second;
  each.live = false;
  protect(each, PROT_NONE);
  madvise(each.pages, each.page_bytes, MADV_DONTNEED);
  all().used[static_cast<size_t>(of)] -= each.bytes;
  return hipSuccess;
}

} // namespace

const allocation *find(const void *address) {
  char *at = static_cast<char *>(const_cast<void *>(address));
  auto next = all().memory.upper_bound(at);
  if (next == all().memory.begin()) {
    return nullptr;
  }
  const allocation &each = std::prev(next)->second;
  return at < each.pages + each.page_bytes + page() ? &each : nullptr;
}

std::string describe(const void *address) {
  const allocation *near = find(address);
  const char *at = static_cast<const char *>(address);
  if (!near) {
    return "no memory of the device, and not pinned";
  }
  std::string name = (near->live ? "an allocation of " : "a freed allocation of ") +
                     std::to_string(near->bytes) + " bytes";
  if (at < near->start) {
    return std::to_string(near->start - at) + " bytes before " + name;
  }
  if (at >= near->start + near->bytes) {
    return std::to_string(at - near->start - static_cast<ptrdiff_t>(near->bytes)) +
           " bytes past the end of " + name;
  }
  return std::to_string(at - near->start) + " bytes into " + name;
}

void open_device_memory(bool accessible) {
  for (const auto &[guard, each] : all().memory) {
    if (each.live && each.of == kind::device) {
      protect(each, accessible ? PROT_READ | PROT_WRITE : PROT_NONE);
    }
  }
  all().device_runs = accessible;
}

void check_margins(const char *operation) {
  for (const auto &[guard, each] : all().memory) {
    if (each.live && (!untouched(each.pages, each.start) ||
                      !untouched(each.start + each.bytes, each.pages + each.page_bytes))) {
      die("%s: wrote just outside of an allocation of %zu bytes", operation, each.bytes);
    }
  }
}

} // namespace simt

using namespace simt;

hipError_t hipMemGetInfo(size_t *unused, size_t *total) {
  if (!begin("hipMemGetInfo")) {
    return fail(hipErrorUnknown);
  }
  *total = options().memory;
  *unused = *total - all().used[0];
  return hipSuccess;
}

hipError_t hipMalloc(void **pointer, size_t bytes) {
  if (!begin("hipMalloc")) {
    return fail(hipErrorOutOfMemory);
  }
  return break_waiting_captures() ? fail(hipErrorStreamCaptureUnsupported)
                                  : allocate(pointer, bytes, kind::device);
}

hipError_t hipHostMalloc(void **pointer, size_t bytes, unsigned flags) {
  if (!begin("hipHostMalloc")) {
    return fail(hipErrorOutOfMemory);
  }
  if (flags > (hipHostMallocPortable | hipHostMallocMapped)) {
    return fail(hipErrorInvalidValue);
  }
  return break_waiting_captures() ? fail(hipErrorStreamCaptureUnsupported)
                                  : allocate(pointer, bytes, kind::pinned);
}

// Calls that free are not counted as calls that can fail, because their resource could not be freed
// afterwards.
hipError_t hipFree(void *pointer) {
  return release("hipFree", pointer, kind::device);
}

hipError_t hipHostFree(void *pointer) {
  return release("hipHostFree", pointer, kind::pinned);
}
