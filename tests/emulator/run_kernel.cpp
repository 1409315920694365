// Launches of kernels: their arguments, and what the hardware is given with them.
#include "device.h"

#include "environment.h"
#include "report.h"
#include "timing.h"

#include <chrono>

// What a kernel is passed without being asked; the names are those of the code object's metadata.
static u64 hidden_value(const std::string &kind, u64 queue, Size3 grid, Size3 block,
                        u32 dynamic_lds) {
  const u32 blocks[] = {grid.x, grid.y, grid.z}, threads[] = {block.x, block.y, block.z};
  const char last = kind.back();
  const int axis = last >= 'x' && last <= 'z' ? last - 'x' : 0;
  if (kind.rfind("hidden_block_count", 0) == 0)
    return blocks[axis];
  if (kind.rfind("hidden_group_size", 0) == 0)
    return threads[axis];
  if (kind == "hidden_grid_dims")
    return grid.z * block.z > 1 ? 3 : grid.y * block.y > 1 ? 2 : 1;
  if (kind == "hidden_queue_ptr")
    return queue;
  if (kind == "hidden_dynamic_lds_size")
    return dynamic_lds;
  if (kind == "hidden_private_base")
    return PRIVATE_APERTURE;
  return kind == "hidden_shared_base" ? (u64)SHARED_APERTURE : 0;
}

static u64 queue_page() {
  static const u64 page = reserve(4096, RANGE_READ | RANGE_WRITE, "the queue");
  return page;
}

std::vector<u8> pack_arguments(const Kernel &kernel, void **values, Size3 grid, Size3 block,
                               u32 dynamic_lds) {
  size_t bytes = kernel.kernarg_bytes;
  for (const KernelArgument &each : kernel.arguments)
    bytes = std::max<size_t>(bytes, each.offset + each.bytes);
  std::vector<u8> packed(bytes);
  for (const KernelArgument &each : kernel.arguments) {
    if (each.kind.rfind("hidden_", 0) != 0) {
      memcpy(&packed[each.offset], *values++, each.bytes);
      continue;
    }
    const u64 value = hidden_value(each.kind, queue_page(), grid, block, dynamic_lds);
    memcpy(&packed[each.offset], &value, std::min<size_t>(sizeof value, each.bytes));
  }
  return packed;
}

// The packet by which HSA dispatches a kernel; kernels read the sizes in it.
struct DispatchPacket {
  u16 header, setup, block[3], reserved;
  u32 threads[3], scratch_bytes, lds_bytes;
  u64 kernel, arguments, reserved_too, signal;
};
static_assert(sizeof(DispatchPacket) == 64, "the format of HSA");

// Memory for the arguments of the kernel that runs, and after them its packet.
enum { ARGUMENT_BYTES = 65536 - sizeof(DispatchPacket) };
static u64 argument_memory() {
  static const u64 at = reserve(65536, RANGE_READ, "the arguments of the kernel");
  return at;
}

static u64 write_packet(const LoadedCode &code, const Kernel &kernel, Size3 grid, Size3 block,
                        u32 lds_bytes) {
  DispatchPacket packet = {};
  packet.header = 2; // a kernel
  packet.setup = 3;  // dimensions
  const u32 blocks[] = {grid.x, grid.y, grid.z}, threads[] = {block.x, block.y, block.z};
  for (int axis = 0; axis < 3; ++axis) {
    packet.block[axis] = (u16)threads[axis];
    packet.threads[axis] = blocks[axis] * threads[axis];
  }
  packet.scratch_bytes = kernel.scratch_bytes;
  packet.lds_bytes = lds_bytes;
  packet.kernel = code.base + kernel.descriptor;
  packet.arguments = argument_memory();
  memcpy((void *)(argument_memory() + ARGUMENT_BYTES), &packet, sizeof packet);
  return argument_memory() + ARGUMENT_BYTES;
}

static u32 scratch_of(const Kernel &kernel) {
  enum { DYNAMIC_STACK = 1 << 11, DYNAMIC_BYTES = 16384 };
  const bool grows = kernel.has_dynamic_stack || (kernel.properties & DYNAMIC_STACK);
  return ((kernel.scratch_bytes + 3) & ~3u) + (grows ? DYNAMIC_BYTES : 0);
}

static double seconds_now() {
  using namespace std::chrono;
  return duration<double>(steady_clock::now().time_since_epoch()).count();
}

static void run_and_report(Launch &launch, const std::string &name) {
  const double began = seconds_now();
  if (environment().settings.time)
    report_time(name, launch, time_launch(launch));
  else
    run_launch(launch);
  const double seconds = seconds_now() - began;
  std::string faults;
  for (const std::string &each : launch.faults)
    faults += (faults.empty() ? "" : "\n") + each;
  if (launch.stopped) // perhaps on several threads, for one reason
    give_up(name + ": " + launch.faults.front());
  if (!faults.empty())
    fprintf(stderr, "emulator: %s: %s\n", name.c_str(), faults.c_str());
  if (environment().verbose && !environment().settings.time)
    fprintf(stderr, "emulator: %s: %llu blocks of %u threads, %llu instructions of waves, %.4f s\n",
            name.c_str(), (unsigned long long)launch.groups,
            launch.block[0] * launch.block[1] * launch.block[2],
            (unsigned long long)launch.instructions.load(), seconds);
}

void run_kernel(LoadedCode &code, const Kernel &kernel, Size3 grid, Size3 block, u32 dynamic_lds,
                const std::vector<u8> &arguments) {
  if (arguments.size() > ARGUMENT_BYTES)
    give_up(kernel.name + ": want fewer bytes of arguments");
  memcpy((void *)argument_memory(), arguments.data(), arguments.size());
  Launch launch;
  launch.settings = &environment().settings;
  launch.module = &code.module;
  const u32 blocks[] = {grid.x, grid.y, grid.z}, threads[] = {block.x, block.y, block.z};
  std::copy_n(blocks, 3, launch.grid);
  std::copy_n(threads, 3, launch.block);
  launch.entry = code.module.index[(kernel.entry - code.object.text_address) / 4];
  launch.lds_bytes = kernel.lds_bytes + dynamic_lds;
  launch.kernarg = argument_memory();
  launch.queue = queue_page();
  launch.dispatch = write_packet(code, kernel, grid, block, launch.lds_bytes);
  launch.properties = kernel.properties;
  launch.rsrc1 = kernel.rsrc1;
  launch.rsrc2 = kernel.rsrc2;
  launch.scratch_bytes = scratch_of(kernel);
  launch.vgprs = kernel.vgprs;
  launch.agprs = kernel.agprs;
  launch.groups = (u64)grid.x * grid.y * grid.z;
  launch.ranges = &ranges();
  run_and_report(launch, kernel.name);
}
