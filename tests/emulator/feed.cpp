// Runs the workgroups of a launch for the timing model, in the order of dispatch.
#include "timing.h"
#include "workgroup.h"

#include <condition_variable>
#include <map>
#include <memory>
#include <thread>

namespace {

// Threads run workgroups at most `ahead_mb` of traces before the core.
class Feed : public TraceFeed {
public:
  Feed(Launch &launch, u32 threads);
  ~Feed() override;
  Traces *next() override;
  void done(Traces *traces) override;

private:
  void run_thread();
  void run_groups();
  bool begin(u64 *group, Traces **traces);
  void finish(u64 group, Traces *traces);

  Launch &launch;
  std::vector<std::thread> threads;
  std::mutex mutex;
  std::condition_variable changed;
  std::map<u64, Traces *> ready; // by workgroup
  std::vector<Traces *> unused;
  u64 wanted = 0;
  size_t bytes = 0;
  bool is_over = false;
};

size_t bytes_of(const Traces &traces) {
  size_t words = 0;
  for (const auto &each : traces)
    words += each.size();
  return words * sizeof(u32);
}

Feed::Feed(Launch &of, u32 count) : launch(of) {
  for (u32 i = 0; i < count; ++i)
    threads.emplace_back([this] { run_thread(); });
}

Feed::~Feed() {
  {
    std::lock_guard<std::mutex> lock(mutex);
    is_over = true;
  }
  changed.notify_all();
  for (auto &each : threads)
    each.join();
  for (auto &each : ready)
    delete each.second;
  for (Traces *each : unused)
    delete each;
}

// Waits for its turn and takes the next workgroup; false: there is none.
bool Feed::begin(u64 *group, Traces **traces) {
  std::unique_lock<std::mutex> lock(mutex);
  changed.wait(lock, [this] {
    return is_over || bytes < (size_t)(parameters.ahead_mb * 1e6) || ready.empty();
  });
  if (is_over || launch.stopped || launch.next_group >= launch.groups)
    return false;
  *group = launch.next_group++;
  if (unused.empty())
    unused.push_back(new Traces((launch.block[0] * launch.block[1] * launch.block[2] + 63) / 64));
  *traces = unused.back();
  unused.pop_back();
  for (auto &each : **traces)
    each.clear();
  return true;
}

void Feed::finish(u64 group, Traces *traces) {
  {
    std::lock_guard<std::mutex> lock(mutex);
    bytes += bytes_of(*traces);
    ready[group] = traces;
  }
  changed.notify_all();
}

void Feed::run_groups() {
  Workgroup workgroup(launch);
  u64 random = 1, group;
  Traces *traces;
  while (begin(&group, &traces)) {
    workgroup.begin(group, traces);
    while (workgroup.run(&random)) {
    }
    finish(group, traces);
  }
}

void Feed::run_thread() {
  use_default_arithmetic();
  try {
    run_groups();
  } catch (const Fault &fault) {
    std::lock_guard<std::mutex> lock(launch.mutex);
    launch.faults.push_back(fault.message);
    launch.stopped = true;
  }
  changed.notify_all();
}

Traces *Feed::next() {
  std::unique_lock<std::mutex> lock(mutex);
  changed.wait(lock, [this] { return launch.stopped || ready.count(wanted); });
  const auto found = ready.find(wanted);
  if (found == ready.end())
    return nullptr;
  Traces *traces = found->second;
  ready.erase(found);
  ++wanted;
  return traces;
}

void Feed::done(Traces *traces) {
  {
    std::lock_guard<std::mutex> lock(mutex);
    bytes -= bytes_of(*traces);
    unused.push_back(traces);
  }
  changed.notify_all();
}

} // namespace

TimeResult time_launch(Launch &launch) {
  enum { MOST_THREADS = 2 }; // more would run further ahead than the core follows
  const u64 all = launch.groups;
  if (parameters.sample >= 1)
    launch.groups = std::min(all, (u64)parameters.sample);
  Feed feed(launch, std::min<u32>(launch.settings->threads, MOST_THREADS));
  return time_traces(launch, all, feed);
}
