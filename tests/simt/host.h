// State and helpers that the files of the harness's host side share: memory.cpp, copies.cpp,
// streams.cpp, graphs.cpp, launch.cpp, device.cpp and faults.cpp.
//
// The harness takes every liberty that HIP's documentation allows. Work is queued on its stream and
// runs only when the host waits for it, or for later work. The host cannot touch device memory.
// Each allocation is a mapping of its own that ends at an inaccessible page; its bytes are NaN at
// first and inaccessible after it is freed. Misuse ends the program with one line on stderr.
// Anything still allocated at exit makes the status 86. There is one device, and one host thread
// may call it.
#ifndef SIMT_HOST_H
#define SIMT_HOST_H

#include "simt.h"

#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <pthread.h>
#include <random>

// The n-th operation of a stream, counted from 1.
struct point {
  ihipStream_t *stream;
  size_t number;
};

struct operation {
  const char *name;
  std::vector<point> after; // all must be done before this operation runs
  std::function<void()> run;
  std::function<void()> check; // dies if an address is not valid for `run`
};

// The work that a stream receives between hipStreamBeginCapture and hipStreamEndCapture.
struct capture {
  size_t number; // counted from 1
  hipStreamCaptureMode mode;
  bool valid;
  std::vector<operation> nodes;
};

// Destroyed objects are kept, so that their use is detected.
struct ihipStream_t {
  bool live, blocking;
  size_t queued, done; // operations so far
  std::deque<operation> queue;
  std::unique_ptr<struct capture> capture;
};

struct ihipEvent_t {
  bool live, timed;
  point at;       // stream NULL if the event was never recorded, or was recorded in a capture
  size_t capture; // number of that capture, or 0
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

enum class kind { device, pinned };

struct allocation {
  kind of;
  bool live;
  char *pages; // accessible; an inaccessible page lies on either side
  size_t page_bytes;
  char *start; // as near to the end of the pages as the alignment allows
  size_t bytes;
};

constexpr int multiprocessors = 104; // of one half of an MI250

struct host_state {
  long calls = 0;
  size_t used[2] = {}, peak[2] = {}; // bytes by kind
  bool misused = false;              // the exit status says so
  hipError_t last_error = hipSuccess;
  pthread_t thread = pthread_self();
  std::map<char *, allocation> memory; // by the address of the guard page before it
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

// The one state. Its first use installs the handlers of faults and of the exit.
host_state &all();

// ---- errors ----

// Sets the last error and returns it.
hipError_t fail(hipError_t error);

// Counts a call that can fail; false if SIMT_FAIL selects it.
bool begin(const char *call);

// The object of a handle; dies if the handle is unknown or destroyed. A NULL stream is the default
// stream.
ihipStream_t *checked(const char *call, hipStream_t stream);
ihipEvent_t *checked(const char *call, hipEvent_t event);
ihipGraph_t *checked(const char *call, hipGraph_t graph);
ihipGraphExec_t *checked(const char *call, hipGraphExec_t exec);

// ---- memory ----

// The allocation, live or freed, whose pages or guard pages contain the address, or NULL.
const allocation *find(const void *address);

// Says where the address lies relative to an allocation.
std::string describe(const void *address);

// Makes all device memory accessible, or inaccessible.
void open_device_memory(bool accessible);

// Dies if a byte between a live allocation and its guard pages was written.
void check_margins(const char *operation);

// ---- streams ----

// The latest operation of a stream.
point tail(ihipStream_t *stream);

// Appends an operation. The default stream and blocking streams wait for each other.
void append(ihipStream_t *stream, operation added);

// Runs operations until `last` is done.
void wait_for(point last);
void synchronize_device();

// ---- captures ----

// Invalidates every capture that forbids a call which may wait for the device; false if there is
// none.
bool break_waiting_captures();

// Invalidates every capture; false if there is none.
bool break_all_captures();

// Invalidates the captures of blocking streams if `used` is the default stream; false if there is
// none.
bool break_captures_by(const ihipStream_t *used);

// Appends an operation to the stream, or to its capture.
hipError_t submit(ihipStream_t *stream, operation added);

} // namespace simt

#endif
