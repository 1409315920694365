// The memory of the devices and the code in it. All devices have one address space.
#ifndef EMULATOR_DEVICE_H
#define EMULATOR_DEVICE_H

#include "code_object.h"

#include <memory>

// Held by every call that changes what is declared here.
extern std::recursive_mutex device_mutex;

// ---- memory ----

enum : u64 { DEVICE_BYTES = 64ull << 30 };

// New memory. That of a device has no content that makes sense, unless it is large or the run is
// timed: then it has no page until it is used.
void *allocate(size_t bytes, const char *call, bool on_device);

// False: the pointer is none of allocate's.
bool release(void *pointer);

// False, after a message, if bytes of the devices are not inside one allocation. Memory of the host
// is not checked.
bool check_inside(const void *pointer, size_t bytes, const char *what);

// Bytes that are allocated.
size_t allocated_bytes();

// Addresses for the emulator itself, which kernels may use like this.
u64 reserve(size_t bytes, u32 access, const char *name);

// The memory that kernels may use, by address.
const std::vector<Range> &ranges();

// ---- code ----

struct LoadedCode {
  CodeObject object;
  Module module;
  u64 base; // address of what has address 0 in the file
};

// Loads code objects of a program.
std::vector<std::unique_ptr<LoadedCode>> load_codes(const std::vector<const void *> &images);

struct Size3 {
  u32 x, y, z;
};

// Runs a kernel to its end. arguments: as the kernel's descriptor wants them.
void run_kernel(LoadedCode &code, const Kernel &kernel, Size3 grid, Size3 block, u32 dynamic_lds,
                const std::vector<u8> &arguments);

// The memory with a kernel's arguments. values: a pointer to each, in the order of the kernel.
std::vector<u8> pack_arguments(const Kernel &kernel, void **values, Size3 grid, Size3 block,
                               u32 dynamic_lds);

#endif
