// mistakes WHICH: a kernel with one mistake. What the emulator says about it is in
// test_emulator.lua.
#include "check.h"

enum { THREADS = 128 };

__global__ void load_outside(const int *in, int *out) {
  out[threadIdx.x] = in[threadIdx.x + 1];
}
__global__ void store_outside(const int *in, int *out) {
  out[(int)threadIdx.x - 1] = in[threadIdx.x];
}

__global__ void lds_outside(const int *in, int *out) {
  __shared__ int part[THREADS];
  part[threadIdx.x] = in[threadIdx.x];
  __syncthreads();
  out[threadIdx.x] = part[threadIdx.x + (in[0] & 0x7fff) + 1];
}

// Without the barrier a wave may read what the other has not written yet.
__global__ void race(const int *in, int *out) {
  __shared__ int part[THREADS];
  part[threadIdx.x] = in[threadIdx.x];
  out[threadIdx.x] = part[THREADS - 1 - threadIdx.x];
}

// The blocks wait for each other.
__global__ void wait(const int *in, int *out) {
  if (threadIdx.x == 0 && blockIdx.x == 0)
    while (atomicAdd(&out[1], 0) == 0)
      __builtin_amdgcn_s_sleep(1);
  if (threadIdx.x == 0 && blockIdx.x == 1)
    atomicExch(&out[1], 1 + (in[0] & 0));
}

__global__ void trap(const int *in, int *out) {
  if (in[threadIdx.x] >= 0)
    __builtin_trap();
  out[threadIdx.x] = 0;
}

typedef void (*Kernel)(const int *, int *);

static Kernel kernel_of(const char *name) {
  static const struct {
    const char *name;
    Kernel kernel;
  } KERNELS[] = {{"load", load_outside}, {"store", store_outside}, {"lds", lds_outside},
                 {"race", race},         {"wait", wait},           {"trap", trap}};
  for (const auto &each : KERNELS)
    if (!strcmp(each.name, name))
      return each.kernel;
  return nullptr;
}

int main(int argc, char **argv) {
  Array<int> in(THREADS), out(THREADS);
  for (int i = 0; i < THREADS; i++)
    in[i] = i, out[i] = 0;
  in.send();
  out.send();
  if (argc > 1 && !strcmp(argv[1], "threads")) {
    race<<<1, 2048>>>(in.device, out.device);
    printf("%s\n", hipGetErrorName(hipGetLastError()));
    return 0;
  }
  kernel_of(argv[1])<<<!strcmp(argv[1], "wait") ? 2 : 1, THREADS>>>(in.device, out.device);
  MUST(hipDeviceSynchronize());
  out.fetch();
  int wrong = 0;
  for (int i = 0; i < THREADS; i++)
    wrong += out[i] != in[THREADS - 1 - i];
  printf("%d wrong\n", wrong);
  return 0;
}
