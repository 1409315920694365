// A HIP runtime on this CPU that takes every liberty that HIP's documentation leaves it. Whatever a
// stream is given, kernels too, is done only once the host waits for it, or for something after it.
// Memory of the device is no memory of the host: the host may not touch it, each allocation is its
// own mapping that ends at a page that nobody may touch, it is full of NaNs when it is new, and out
// of reach once it is freed. Misuse ends the program with one line on stderr; what is still
// allocated at exit makes the status 86. One device, one host thread.

#include "simt.h"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <map>
#include <memory>
#include <numeric>
#include <pthread.h>
#include <random>
#include <sys/mman.h>
#include <unistd.h>

// An operation of a stream, counted from 1.
struct point {
  ihipStream_t *stream;
  size_t number;
};

struct operation {
  const char *name;
  std::vector<point> after;
  std::function<void()> run;
  std::function<void()> check; // dies if an address is not what `run` needs
};

// What a stream is given between hipStreamBeginCapture and hipStreamEndCapture.
struct capture {
  size_t number; // counted from 1
  hipStreamCaptureMode mode;
  bool valid;
  std::vector<operation> nodes;
};

// What was destroyed stays as it is, so that its use is seen.
struct ihipStream_t {
  bool live, blocking;
  size_t given, done;
  std::deque<operation> queue;
  std::unique_ptr<struct capture> capture;
};

struct ihipEvent_t {
  bool live, timed;
  point at;       // stream NULL if it was never recorded, or in a capture
  size_t capture; // the number of that, or 0
  std::chrono::steady_clock::time_point time;
};

struct ihipGraph_t {
  bool live;
  std::vector<operation> nodes;
};

struct ihipGraphExec_t {
  bool live;
  std::vector<operation> nodes;
  point last; // of its latest launch; stream NULL if there was none
};

namespace simt {
namespace {

enum class kind { device, pinned };

struct allocation {
  kind of;
  bool live;
  char *pages; // that may be touched; a guard page lies on either side
  size_t page_bytes;
  char *start; // as near to the end of the pages as `alignment` allows
  size_t bytes;
};

constexpr size_t alignment = 16; // the widest access of a lane
constexpr int leak_status = 86;
constexpr int multiprocessors = 104; // of one half of an MI250

struct runtime {
  long calls = 0;
  size_t used[2] = {}, peak[2] = {}; // by kind
  bool misused = false;
  hipError_t last_error = hipSuccess;
  pthread_t thread = pthread_self();
  std::map<char *, allocation> memory; // by the guard page before it
  ihipStream_t default_stream = {true, true, 0, 0, {}, nullptr};
  std::vector<std::unique_ptr<ihipStream_t>> streams;
  std::vector<std::unique_ptr<ihipEvent_t>> events;
  std::vector<std::unique_ptr<ihipGraph_t>> graphs;
  std::vector<std::unique_ptr<ihipGraphExec_t>> execs;
  size_t captures = 0;
  std::map<const void *, size_t> allowed_lds; // by kernel
  std::mt19937 random{options().seed};
  bool device_runs = false;
};

runtime &all();

hipError_t fail(hipError_t error) {
  all().last_error = error;
  return error;
}

// Counts a call that can fail; false if it is the one that shall.
bool begin(const char *call) {
  if (!pthread_equal(pthread_self(), all().thread)) {
    die("%s: called by a second thread", call);
  }
  return ++all().calls != options().fail;
}

// ---- memory ----

size_t round_up(size_t n, size_t to) {
  return (n + to - 1) / to * to;
}

size_t page() {
  static const size_t bytes = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  return bytes;
}

// The allocation, live or freed, that holds the address or whose guards do.
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

void protect(const allocation &each, int how) {
  if (mprotect(each.pages, each.page_bytes, how) != 0) {
    die("mprotect refuses");
  }
}

// What new memory is full of: a NaN as a half and, twice, as a float; as an index far from
// everything.
constexpr uint16_t NEW = 0x7fff;

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

// Whether all bytes are as new memory is.
bool untouched(const char *from, const char *end) {
  const auto is_new = [](const char *at) {
    return *at == static_cast<char>(reinterpret_cast<uintptr_t>(at) % 2 == 0 ? NEW : NEW >> 8);
  };
  size_t bytes = static_cast<size_t>(end - from);
  return bytes == 0 || (is_new(from) && (bytes == 1 || is_new(from + 1)) &&
                        (bytes <= 2 || memcmp(from, from + 2, bytes - 2) == 0));
}

// An allocation's pages hold some bytes that are not its own.
void check_margins(const char *after) {
  for (const auto &[guard, each] : all().memory) {
    if (each.live && (!untouched(each.pages, each.start) ||
                      !untouched(each.start + each.bytes, each.pages + each.page_bytes))) {
      die("%s: wrote just outside of an allocation of %zu bytes", after, each.bytes);
    }
  }
}

void synchronize_device();
bool breaks_capture();

hipError_t release(const char *call, void *pointer, kind of) {
  if (!pointer) {
    return hipSuccess;
  }
  if (breaks_capture()) {
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

// ---- streams ----

template <class T>
T *checked(const char *call, T *handle, const std::vector<std::unique_ptr<T>> &known,
           const char *what) {
  for (const auto &each : known) {
    if (each.get() == handle) {
      if (!each->live) {
        die("%s: %s that was destroyed", call, what);
      }
      return handle;
    }
  }
  die("%s: not %s", call, what);
}

ihipStream_t *checked(const char *call, hipStream_t stream) {
  return stream ? checked(call, stream, all().streams, "a stream") : &all().default_stream;
}

ihipEvent_t *checked(const char *call, hipEvent_t event) {
  return checked(call, event, all().events, "an event");
}

ihipGraph_t *checked(const char *call, hipGraph_t graph) {
  return checked(call, graph, all().graphs, "a graph");
}

ihipGraphExec_t *checked(const char *call, hipGraphExec_t exec) {
  return checked(call, exec, all().execs, "an executable graph");
}

point tail(ihipStream_t *stream) {
  return {stream, stream->given};
}

// The default stream and the blocking ones wait for each other.
void give(ihipStream_t *stream, operation given) {
  std::vector<point> &after = given.after;
  if (stream == &all().default_stream) {
    for (const auto &each : all().streams) {
      if (each->blocking) {
        after.push_back(tail(each.get()));
      }
    }
  } else if (stream->blocking) {
    after.push_back(tail(&all().default_stream));
  }
  stream->given++;
  stream->queue.push_back(std::move(given));
}

// ---- captures ----

// Ends the captures for which `broken` holds, as a call does that they forbid; false if there is
// none.
template <class Broken> bool break_captures(Broken broken) {
  bool any = false;
  for (const auto &each : all().streams) {
    if (each->capture && broken(*each)) {
      each->capture->valid = false;
      any = true;
    }
  }
  return any;
}

// A call that may wait for the device, while a stream captures.
bool breaks_capture() {
  return break_captures(
      [](const ihipStream_t &each) { return each.capture->mode != hipStreamCaptureModeRelaxed; });
}

// The default stream is used, while one captures that would wait for it.
bool breaks_capture(const ihipStream_t *used) {
  return used == &all().default_stream &&
         break_captures([](const ihipStream_t &each) { return each.blocking; });
}

// Gives work to a stream, or to its capture.
hipError_t submit(ihipStream_t *stream, operation given) {
  if (stream->capture && !stream->capture->valid) {
    return fail(hipErrorStreamCaptureInvalidated);
  }
  if (breaks_capture(stream)) {
    return fail(hipErrorStreamCaptureImplicit);
  }
  given.check();
  if (stream->capture) {
    stream->capture->nodes.push_back(std::move(given));
  } else {
    give(stream, std::move(given));
  }
  return hipSuccess;
}

// ---- waiting ----

void run_until(point last) {
  while (last.stream->done < last.number) {
    operation next = std::move(last.stream->queue.front());
    last.stream->queue.pop_front();
    for (const point &each : next.after) {
      run_until(each);
    }
    next.run();
    check_margins(next.name);
    last.stream->done++;
  }
}

// The host waits. Only now is the memory of the device within reach.
void wait_for(point last) {
  if (last.stream->done >= last.number) {
    return;
  }
  auto open = [](int how) {
    for (const auto &[guard, each] : all().memory) {
      if (each.live && each.of == kind::device) {
        protect(each, how);
      }
    }
    all().device_runs = how != PROT_NONE;
  };
  open(PROT_READ | PROT_WRITE);
  run_until(last);
  open(PROT_NONE);
}

// The youngest stream first, as nothing says that it comes after the others.
void synchronize_device() {
  unsigned n = static_cast<unsigned>(all().streams.size());
  for (unsigned i : visiting_order(n)) {
    wait_for(tail(all().streams[n - 1 - i].get()));
  }
  wait_for(tail(&all().default_stream));
}

// ---- copies ----

// Whether a range lies on the device; refuses one that leaves its allocation, or lies where the
// kind of the copy says that it does not.
bool on_device(const char *call, const void *address, size_t bytes, bool want_device, bool any) {
  const allocation *found = find(address);
  const char *start = static_cast<const char *>(address);
  if (found && (!found->live || start < found->start ||
                bytes > static_cast<size_t>(found->start + found->bytes - start))) {
    die("%s: %zu bytes from %s", call, bytes, describe(address).c_str());
  }
  bool device = found && found->of == kind::device;
  if (!any && device != want_device) {
    die("%s: the kind of the copy says %s memory, the address is %s", call,
        want_device ? "device" : "host", describe(address).c_str());
  }
  return device;
}

void check_copy(const char *call, void *to, const void *from, size_t bytes, hipMemcpyKind how,
                bool must_pin) {
  bool any = how == hipMemcpyDefault;
  bool to_device = how == hipMemcpyHostToDevice || how == hipMemcpyDeviceToDevice;
  bool from_device = how == hipMemcpyDeviceToHost || how == hipMemcpyDeviceToDevice;
  on_device(call, to, bytes, to_device, any);
  on_device(call, from, bytes, from_device, any);
  if (must_pin && (!find(to) || !find(from))) {
    die("%s: host memory that is not pinned: take it from hipHostMalloc", call);
  }
}

hipError_t submit_copy(const char *call, ihipStream_t *stream, void *to, const void *from,
                       size_t bytes, hipMemcpyKind how, bool must_pin) {
  if (bytes == 0) {
    return hipSuccess;
  }
  return submit(stream, {call,
                         {},
                         [=] { memmove(to, from, bytes); },
                         [=] { check_copy(call, to, from, bytes, how, must_pin); }});
}

// ---- the environment, errors, the end ----

long number(const char *name, long otherwise) {
  const char *text = getenv(name);
  char *end;
  if (!text) {
    return otherwise;
  }
  long value = strtol(text, &end, 10);
  if (end == text || *end || value < 0) {
    die("%s: want a number, got \"%s\"", name, text);
  }
  return value;
}

std::string leaked() {
  std::string list;
  for (const auto &[guard, each] : all().memory) {
    if (each.live) {
      list += std::string(each.of == kind::device ? ", hipMalloc of " : ", hipHostMalloc of ") +
              std::to_string(each.bytes) + " bytes";
    }
  }
  auto count = [](const auto &known) {
    return std::count_if(known.begin(), known.end(), [](const auto &each) { return each->live; });
  };
  auto streams = count(all().streams), events = count(all().events);
  if (streams + events > 0) {
    list += ", " + std::to_string(streams) + " streams, " + std::to_string(events) + " events";
  }
  auto graphs = count(all().graphs), execs = count(all().execs);
  if (graphs + execs > 0) {
    list +=
        ", " + std::to_string(graphs) + " graphs, " + std::to_string(execs) + " executable graphs";
  }
  return list;
}

void finish() {
  std::string list = leaked();
  if (options().count) {
    fprintf(stderr, "simt: calls=%ld device_bytes=%zu pinned_bytes=%zu\n", all().calls,
            all().peak[0], all().peak[1]);
  }
  if (!list.empty()) {
    fprintf(stderr, "simt: not freed at exit: %s\n", list.c_str() + 2);
  }
  if (!list.empty() || all().misused) {
    fflush(nullptr);
    _exit(leak_status);
  }
}

struct sigaction before[2]; // of SIGSEGV, SIGBUS

// A touch of what may not be touched; of others' faults the handler that was there before takes
// care.
void fault(int number, siginfo_t *info, void *) {
  if (find(info->si_addr) && !all().device_runs) {
    die("the host touches %s", describe(info->si_addr).c_str());
  }
  if (all().device_runs) {
    die("touches %p, %s", info->si_addr, describe(info->si_addr).c_str());
  }
  sigaction(number, &before[number == SIGBUS], nullptr);
}

void catch_faults() {
  static char stack[64 << 10]; // a lane may have none left
  stack_t alternate = {};
  alternate.ss_sp = stack;
  alternate.ss_size = sizeof stack;
  sigaltstack(&alternate, nullptr);
  struct sigaction action = {};
  action.sa_sigaction = fault;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigaction(SIGSEGV, &action, &before[0]);
  sigaction(SIGBUS, &action, &before[1]);
}

// Never destroyed: it is needed until the very end.
runtime &all() {
  static runtime *one = [] {
    catch_faults();
    atexit(finish);
    return new runtime;
  }();
  return *one;
}

} // namespace

const settings &options() {
  static const settings read = {number("SIMT_FAIL", 0),
                                static_cast<size_t>(number("SIMT_MEMORY", 2L << 30)),
                                number("SIMT_COUNT", 0) != 0, number("SIMT_ORDER", 0),
                                static_cast<unsigned>(number("SIMT_SEED", 1))};
  return read;
}

void die(const char *format, ...) {
  char line[1024];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  fprintf(stderr, "simt: %s%s\n", running_lane().c_str(), line);
  abort();
}

std::vector<unsigned> visiting_order(unsigned n) {
  std::vector<unsigned> order(n);
  std::iota(order.begin(), order.end(), 0u);
  if (options().order == 1) {
    std::reverse(order.begin(), order.end());
  } else if (options().order == 2) {
    std::shuffle(order.begin(), order.end(), all().random);
  }
  return order;
}

static void check_arguments(const char *kernel, const std::vector<const void *> &pointers) {
  for (const void *pointer : pointers) {
    const allocation *found = find(pointer);
    if (pointer && (!found || !found->live)) {
      die("kernel %s: an argument points %s", kernel, describe(pointer).c_str());
    }
  }
}

void allow_dynamic_lds(const void *function, size_t bytes) {
  all().allowed_lds[function] = bytes;
}

static size_t dynamic_lds_limit(const void *function) {
  auto allowed = all().allowed_lds.find(function);
  return allowed == all().allowed_lds.end() ? lds_unasked : std::min(allowed->second, lds_bytes);
}

// A launch that the device could not run sets the last error, as in HIP.
void enqueue(launch request) {
  if (!begin("hipLaunchKernelGGL")) {
    fail(hipErrorUnknown);
    return;
  }
  if (request.wave != SIMT_WAVE) {
    die("kernel %s: compiled for waves of %d, the harness for %d", request.kernel, request.wave,
        SIMT_WAVE);
  }
  ihipStream_t *stream = checked("hipLaunchKernelGGL", request.stream);
  const dim3 &grid = request.grid, &block = request.block;
  double blocks = static_cast<double>(grid.x) * grid.y * grid.z;
  double threads = static_cast<double>(block.x) * block.y * block.z;
  if (blocks < 1 || threads < 1 || threads > threads_limit || blocks * threads > UINT32_MAX ||
      request.shared > dynamic_lds_limit(request.function)) {
    fail(hipErrorInvalidConfiguration);
    return;
  }
  const char *name = request.kernel;
  auto check = [name, pointers = request.pointers] { check_arguments(name, pointers); };
  submit(stream, {name, {}, [request = std::move(request)] { run(request); }, std::move(check)});
}

} // namespace simt

using namespace simt;

// ---- errors and the device ----

namespace {
const struct {
  hipError_t error;
  const char *name, *text;
} errors[] = {
    {hipSuccess, "hipSuccess", "no error"},
    {hipErrorInvalidValue, "hipErrorInvalidValue", "invalid argument"},
    {hipErrorOutOfMemory, "hipErrorOutOfMemory", "out of memory"},
    {hipErrorInvalidConfiguration, "hipErrorInvalidConfiguration",
     "invalid configuration argument"},
    {hipErrorInvalidDevice, "hipErrorInvalidDevice", "invalid device ordinal"},
    {hipErrorInvalidHandle, "hipErrorInvalidHandle", "invalid resource handle"},
    {hipErrorIllegalState, "hipErrorIllegalState",
     "the operation cannot be performed in the present state"},
    {hipErrorNotReady, "hipErrorNotReady", "device not ready"},
    {hipErrorStreamCaptureUnsupported, "hipErrorStreamCaptureUnsupported",
     "operation not permitted when stream is capturing"},
    {hipErrorStreamCaptureInvalidated, "hipErrorStreamCaptureInvalidated",
     "operation failed due to a previous error during capture"},
    {hipErrorStreamCaptureIsolation, "hipErrorStreamCaptureIsolation",
     "dependency created on uncaptured work in another stream"},
    {hipErrorStreamCaptureImplicit, "hipErrorStreamCaptureImplicit",
     "operation would make the legacy stream depend on a capturing blocking stream"},
    {hipErrorCapturedEvent, "hipErrorCapturedEvent",
     "operation not permitted on an event last recorded in a capturing stream"},
    {hipErrorUnknown, "hipErrorUnknown", "unknown error"},
};
} // namespace

const char *hipGetErrorName(hipError_t error) {
  for (const auto &each : errors) {
    if (each.error == error) {
      return each.name;
    }
  }
  return "hipErrorUnknown";
}

const char *hipGetErrorString(hipError_t error) {
  for (const auto &each : errors) {
    if (each.error == error) {
      return each.text;
    }
  }
  return "unknown error";
}

hipError_t hipGetLastError() {
  hipError_t last = all().last_error;
  all().last_error = hipSuccess;
  return last;
}

hipError_t hipPeekAtLastError() {
  return all().last_error;
}

hipError_t hipGetDeviceCount(int *count) {
  if (!begin("hipGetDeviceCount")) {
    return fail(hipErrorUnknown);
  }
  *count = 1;
  return hipSuccess;
}

hipError_t hipSetDevice(int device) {
  if (!begin("hipSetDevice")) {
    return fail(hipErrorUnknown);
  }
  return device == 0 ? hipSuccess : fail(hipErrorInvalidDevice);
}

hipError_t hipGetDeviceProperties(hipDeviceProp_t *properties, int device) {
  if (!begin("hipGetDeviceProperties")) {
    return fail(hipErrorUnknown);
  }
  if (device != 0) {
    return fail(hipErrorInvalidDevice);
  }
  *properties = {"simt", options().memory, SIMT_WAVE, multiprocessors};
  return hipSuccess;
}

hipError_t hipDeviceGetAttribute(int *value, hipDeviceAttribute_t attribute, int device) {
  if (!begin("hipDeviceGetAttribute")) {
    return fail(hipErrorUnknown);
  }
  if (device != 0) {
    return fail(hipErrorInvalidDevice);
  }
  switch (attribute) {
  case hipDeviceAttributeClockRate:
    *value = 1700000;
    return hipSuccess;
  case hipDeviceAttributeMultiprocessorCount:
    *value = multiprocessors;
    return hipSuccess;
  }
  return fail(hipErrorInvalidValue);
}

hipError_t hipDeviceSynchronize() {
  if (!begin("hipDeviceSynchronize")) {
    return fail(hipErrorUnknown);
  }
  if (break_captures([](const ihipStream_t &) { return true; })) {
    return fail(hipErrorStreamCaptureUnsupported);
  }
  synchronize_device();
  return hipSuccess;
}

// ---- memory ----

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
  return breaks_capture() ? fail(hipErrorStreamCaptureUnsupported)
                          : allocate(pointer, bytes, kind::device);
}

hipError_t hipHostMalloc(void **pointer, size_t bytes, unsigned flags) {
  if (!begin("hipHostMalloc")) {
    return fail(hipErrorOutOfMemory);
  }
  if (flags > (hipHostMallocPortable | hipHostMallocMapped)) {
    return fail(hipErrorInvalidValue);
  }
  return breaks_capture() ? fail(hipErrorStreamCaptureUnsupported)
                          : allocate(pointer, bytes, kind::pinned);
}

// What releases is not counted as a call that can fail: nobody could release it then.
hipError_t hipFree(void *pointer) {
  return release("hipFree", pointer, kind::device);
}

hipError_t hipHostFree(void *pointer) {
  return release("hipHostFree", pointer, kind::pinned);
}

hipError_t hipMemcpy(void *to, const void *from, size_t bytes, hipMemcpyKind how) {
  if (!begin("hipMemcpy")) {
    return fail(hipErrorUnknown);
  }
  if (breaks_capture()) {
    return fail(hipErrorStreamCaptureUnsupported);
  }
  hipError_t error = submit_copy("hipMemcpy", &all().default_stream, to, from, bytes, how, false);
  if (error == hipSuccess) {
    wait_for(tail(&all().default_stream));
  }
  return error;
}

hipError_t hipMemcpyAsync(void *to, const void *from, size_t bytes, hipMemcpyKind how,
                          hipStream_t stream) {
  if (!begin("hipMemcpyAsync")) {
    return fail(hipErrorUnknown);
  }
  return submit_copy("hipMemcpyAsync", checked("hipMemcpyAsync", stream), to, from, bytes, how,
                     true);
}

hipError_t hipMemsetAsync(void *to, int value, size_t bytes, hipStream_t stream) {
  if (!begin("hipMemsetAsync")) {
    return fail(hipErrorUnknown);
  }
  ihipStream_t *on = checked("hipMemsetAsync", stream);
  if (bytes == 0) {
    return hipSuccess;
  }
  return submit(on, {"hipMemsetAsync",
                     {},
                     [=] { memset(to, value, bytes); },
                     [=] { on_device("hipMemsetAsync", to, bytes, true, false); }});
}

// ---- streams and events ----

hipError_t hipStreamCreateWithFlags(hipStream_t *stream, unsigned flags) {
  if (!begin("hipStreamCreateWithFlags")) {
    return fail(hipErrorOutOfMemory);
  }
  if (flags > hipStreamNonBlocking) {
    return fail(hipErrorInvalidValue);
  }
  all().streams.emplace_back(new ihipStream_t{true, flags == hipStreamDefault, 0, 0, {}, nullptr});
  *stream = all().streams.back().get();
  return hipSuccess;
}

hipError_t hipStreamDestroy(hipStream_t stream) {
  ihipStream_t *each = checked("hipStreamDestroy", stream);
  if (!stream) {
    return fail(hipErrorInvalidHandle);
  }
  if (each->capture) {
    fprintf(stderr, "simt: hipStreamDestroy: a stream that captures: end its capture first\n");
    all().misused = true;
    each->capture.reset();
  }
  wait_for(tail(each));
  each->live = false;
  return hipSuccess;
}

hipError_t hipStreamSynchronize(hipStream_t stream) {
  if (!begin("hipStreamSynchronize")) {
    return fail(hipErrorUnknown);
  }
  ihipStream_t *each = checked("hipStreamSynchronize", stream);
  if (each->capture) {
    each->capture->valid = false;
    return fail(hipErrorStreamCaptureUnsupported);
  }
  if (breaks_capture(each)) {
    return fail(hipErrorStreamCaptureImplicit);
  }
  wait_for(tail(each));
  return hipSuccess;
}

// A stream waits for what it was given itself, which is no node of the graph. What HIP makes of
// another stream's wait, a second branch of the capture, is not in the harness.
static hipError_t wait_in_capture(const ihipStream_t *waits, size_t number) {
  if (waits->capture && waits->capture->number == number) {
    return waits->capture->valid ? hipSuccess : fail(hipErrorStreamCaptureInvalidated);
  }
  for (const auto &each : all().streams) {
    if (each->capture && each->capture->number == number) {
      die("hipStreamWaitEvent: a second stream joins a capture: the harness knows captures of one");
    }
  }
  return fail(hipErrorCapturedEvent);
}

hipError_t hipStreamWaitEvent(hipStream_t stream, hipEvent_t event, unsigned flags) {
  if (!begin("hipStreamWaitEvent")) {
    return fail(hipErrorUnknown);
  }
  if (flags != 0) {
    return fail(hipErrorInvalidValue);
  }
  ihipStream_t *waits = checked("hipStreamWaitEvent", stream);
  const ihipEvent_t *each = checked("hipStreamWaitEvent", event);
  if (each->capture) {
    return wait_in_capture(waits, each->capture);
  }
  if (!each->at.stream) {
    return hipSuccess;
  }
  if (waits->capture) {
    waits->capture->valid = false;
    return fail(hipErrorStreamCaptureIsolation);
  }
  return submit(waits, {"hipStreamWaitEvent", {each->at}, [] {}, [] {}});
}

hipError_t hipEventCreateWithFlags(hipEvent_t *event, unsigned flags) {
  if (!begin("hipEventCreateWithFlags")) {
    return fail(hipErrorOutOfMemory);
  }
  if (flags > (hipEventBlockingSync | hipEventDisableTiming)) {
    return fail(hipErrorInvalidValue);
  }
  all().events.emplace_back(
      new ihipEvent_t{true, !(flags & hipEventDisableTiming), {nullptr, 0}, 0, {}});
  *event = all().events.back().get();
  return hipSuccess;
}

hipError_t hipEventDestroy(hipEvent_t event) {
  checked("hipEventDestroy", event)->live = false;
  return hipSuccess;
}

hipError_t hipEventRecord(hipEvent_t event, hipStream_t stream) {
  if (!begin("hipEventRecord")) {
    return fail(hipErrorUnknown);
  }
  ihipEvent_t *each = checked("hipEventRecord", event);
  ihipStream_t *on = checked("hipEventRecord", stream);
  if (on->capture && on->capture->valid) {
    each->at = {};
    each->capture = on->capture->number;
    return hipSuccess;
  }
  hipError_t error = submit(
      on, {"hipEventRecord", {}, [each] { each->time = std::chrono::steady_clock::now(); }, [] {}});
  if (error == hipSuccess) {
    each->at = tail(on);
    each->capture = 0;
  }
  return error;
}

hipError_t hipEventSynchronize(hipEvent_t event) {
  if (!begin("hipEventSynchronize")) {
    return fail(hipErrorUnknown);
  }
  const ihipEvent_t *each = checked("hipEventSynchronize", event);
  if (each->capture) {
    return fail(hipErrorCapturedEvent);
  }
  if (each->at.stream) {
    wait_for(each->at);
  }
  return hipSuccess;
}

hipError_t hipEventElapsedTime(float *milliseconds, hipEvent_t start, hipEvent_t stop) {
  if (!begin("hipEventElapsedTime")) {
    return fail(hipErrorUnknown);
  }
  for (ihipEvent_t *each :
       {checked("hipEventElapsedTime", start), checked("hipEventElapsedTime", stop)}) {
    if (each->capture) {
      return fail(hipErrorCapturedEvent);
    }
    if (!each->timed || !each->at.stream) {
      return fail(hipErrorInvalidHandle);
    }
    if (each->at.stream->done < each->at.number) {
      return hipErrorNotReady; // an answer, not an error
    }
  }
  *milliseconds = std::chrono::duration<float, std::milli>(stop->time - start->time).count();
  return hipSuccess;
}

// ---- graphs ----

hipError_t hipStreamBeginCapture(hipStream_t stream, hipStreamCaptureMode mode) {
  if (!begin("hipStreamBeginCapture")) {
    return fail(hipErrorUnknown);
  }
  ihipStream_t *each = checked("hipStreamBeginCapture", stream);
  if (mode > hipStreamCaptureModeRelaxed) {
    return fail(hipErrorInvalidValue);
  }
  if (!stream) {
    return fail(hipErrorStreamCaptureUnsupported);
  }
  if (each->capture) {
    return fail(hipErrorIllegalState);
  }
  each->capture.reset(new capture{++all().captures, mode, true, {}});
  return hipSuccess;
}

// Ends the capture even if it fails: nobody could end it then.
hipError_t hipStreamEndCapture(hipStream_t stream, hipGraph_t *graph) {
  bool works = begin("hipStreamEndCapture");
  std::unique_ptr<capture> ended = std::move(checked("hipStreamEndCapture", stream)->capture);
  *graph = nullptr;
  if (!works) {
    return fail(hipErrorUnknown);
  }
  if (!ended) {
    return fail(hipErrorIllegalState);
  }
  if (!ended->valid) {
    return fail(hipErrorStreamCaptureInvalidated);
  }
  all().graphs.emplace_back(new ihipGraph_t{true, std::move(ended->nodes)});
  *graph = all().graphs.back().get();
  return hipSuccess;
}

hipError_t hipGraphInstantiate(hipGraphExec_t *exec, hipGraph_t graph, hipGraphNode_t *, char *,
                               size_t) {
  if (!begin("hipGraphInstantiate")) {
    return fail(hipErrorOutOfMemory);
  }
  const ihipGraph_t *of = checked("hipGraphInstantiate", graph);
  all().execs.emplace_back(new ihipGraphExec_t{true, of->nodes, {nullptr, 0}});
  *exec = all().execs.back().get();
  return hipSuccess;
}

// A launch comes after the one before it of the same graph, on whatever stream that was.
hipError_t hipGraphLaunch(hipGraphExec_t exec, hipStream_t stream) {
  if (!begin("hipGraphLaunch")) {
    return fail(hipErrorUnknown);
  }
  ihipGraphExec_t *each = checked("hipGraphLaunch", exec);
  ihipStream_t *on = checked("hipGraphLaunch", stream);
  if (on->capture) {
    on->capture->valid = false;
    return fail(hipErrorStreamCaptureUnsupported);
  }
  if (breaks_capture(on)) {
    return fail(hipErrorStreamCaptureImplicit);
  }
  for (const operation &node : each->nodes) {
    node.check();
    std::vector<point> after;
    if (each->last.stream) {
      after.push_back(each->last);
    }
    give(on, {node.name, std::move(after), [&node] { node.run(); }, {}});
    each->last = tail(on);
  }
  return hipSuccess;
}

hipError_t hipGraphExecDestroy(hipGraphExec_t exec) {
  ihipGraphExec_t *each = checked("hipGraphExecDestroy", exec);
  if (each->last.stream && each->last.stream->done < each->last.number) {
    die("hipGraphExecDestroy: a launch of the graph is not waited for");
  }
  each->live = false;
  return hipSuccess;
}

hipError_t hipGraphDestroy(hipGraph_t graph) {
  checked("hipGraphDestroy", graph)->live = false;
  return hipSuccess;
}
