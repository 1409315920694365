// Runs the workgroups of a launch on the threads of the host.
#include "timing.h"
#include "workgroup.h"

#include <immintrin.h>
#include <thread>

static void stop(Launch &launch, const std::string &why) {
  std::lock_guard<std::mutex> lock(launch.mutex);
  launch.faults.push_back(why);
  launch.stopped = true;
}

void use_default_arithmetic() {
  enum { ROUND_TO_EVEN_NO_FLUSH = 0x1f80 };
  _mm_setcsr(ROUND_TO_EVEN_NO_FLUSH);
}

// The next workgroup, or false if there is none.
static bool begin_next(Launch &launch, Workgroup &workgroup) {
  const u64 number = launch.next_group++;
  if (number >= launch.groups)
    return false;
  workgroup.begin(number, nullptr);
  return true;
}

static void run_groups(Launch &launch) {
  const Settings &settings = *launch.settings;
  std::vector<std::unique_ptr<Workgroup>> resident;
  for (u32 i = 0; i < std::max(settings.resident, 1u); ++i)
    resident.push_back(std::make_unique<Workgroup>(launch));
  u64 random = (settings.seed + 1) * 0x9e3779b97f4a7c15ull;
  for (bool any = true; any && !launch.stopped;) {
    any = false;
    for (auto &each : resident)
      if (each->is_running || begin_next(launch, *each)) {
        each->run(&random);
        any = true;
      }
  }
}

static void run_thread(Launch &launch) {
  use_default_arithmetic();
  try {
    run_groups(launch);
  } catch (const Fault &fault) {
    stop(launch, fault.message);
  }
}

void run_launch(Launch &launch) {
  const u64 wanted = std::min<u64>(launch.settings->threads, launch.groups);
  std::vector<std::thread> threads;
  for (u64 i = 0; i < std::max<u64>(wanted, 1); ++i)
    threads.emplace_back(run_thread, std::ref(launch));
  for (auto &each : threads)
    each.join();
}
