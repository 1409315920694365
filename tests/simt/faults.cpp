// Settings from the environment, and the ways in which a program ends: an abort after misuse, a
// fault, and the report at exit of what was not freed.

#include "host.h"

#include <algorithm>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <unistd.h>

namespace simt {
namespace {

constexpr int leak_status = 86;

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
  auto count = [](const auto &objects) {
    return std::count_if(objects.begin(), objects.end(),
                         [](const auto &each) { return each->live; });
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

void report_at_exit() {
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

struct sigaction before[2]; // the handlers of SIGSEGV and SIGBUS before ours

// Reports an access to inaccessible memory. The handlers that were installed before deal with all
// other faults.
void report_fault(int number, siginfo_t *info, void *) {
  if (find(info->si_addr) && !all().device_runs) {
    die("the host touches %s", describe(info->si_addr).c_str());
  }
  if (all().device_runs) {
    die("touches %p, %s", info->si_addr, describe(info->si_addr).c_str());
  }
  sigaction(number, &before[number == SIGBUS], nullptr);
}

void catch_faults() {
  static char stack[64 << 10]; // a lane may have used up its own
  stack_t alternate = {};
  alternate.ss_sp = stack;
  alternate.ss_size = sizeof stack;
  sigaltstack(&alternate, nullptr);
  struct sigaction action = {};
  action.sa_sigaction = report_fault;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigaction(SIGSEGV, &action, &before[0]);
  sigaction(SIGBUS, &action, &before[1]);
}

} // namespace

// Never destroyed, because the report at exit uses it.
host_state &all() {
  static host_state *one = [] {
    catch_faults();
    atexit(report_at_exit);
    return new host_state;
  }();
  return *one;
}

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

} // namespace simt
