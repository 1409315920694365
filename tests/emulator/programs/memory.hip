// Memory: LDS, atomics, scratch, calls, pointers of every kind, grids of three dimensions,
// variables.
#include "check.h"

enum { COUNT = 1000, BLOCK = 256 };

// ---- LDS ----

__global__ void sum_blocks(const int *in, int *out) {
  __shared__ int part[BLOCK];
  const int t = threadIdx.x, i = blockIdx.x * BLOCK + t;
  part[t] = i < COUNT ? in[i] : 0;
  __syncthreads();
  for (int s = BLOCK / 2; s > 0; s /= 2) {
    if (t < s)
      part[t] += part[t + s];
    __syncthreads();
  }
  if (t == 0)
    out[blockIdx.x] = part[0];
}

extern __shared__ int dynamic_part[];
__global__ void reverse_blocks(const int *in, int *out) {
  __shared__ int fixed[4];
  const int t = threadIdx.x, i = blockIdx.x * blockDim.x + t;
  dynamic_part[t] = in[i];
  if (t < 4)
    fixed[t] = 10 * t;
  __syncthreads();
  out[i] = dynamic_part[blockDim.x - 1 - t] + fixed[t & 3];
}

// ---- atomics ----

enum { ATOMICS = 8 };
__global__ void change(const int *in, int *out, float *sum) {
  __shared__ int in_block;
  if (threadIdx.x == 0)
    in_block = 0;
  __syncthreads();
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < COUNT) {
    const int v = in[i];
    atomicAdd(&out[0], v);
    atomicMax(&out[1], v);
    atomicMin(&out[2], v);
    atomicOr(&out[3], 1 << (v & 31));
    atomicXor(&out[4], v);
    for (int old = out[5], assumed = ~old; old != assumed;) {
      assumed = old;
      old = atomicCAS(&out[5], assumed, assumed + (v & 3));
    }
    atomicAdd(&in_block, v & 7);
    atomicAdd(sum, (float)(v & 15));
  }
  __syncthreads();
  if (threadIdx.x == 0)
    atomicAdd(&out[6], in_block);
}

static int wanted_atomic(Array<int> &in, int which) {
  int value = which == 1 ? INT32_MIN : which == 2 ? INT32_MAX : 0;
  for (int i = 0; i < COUNT; i++) {
    const int v = in[i];
    const int next[ATOMICS] = {
        value + v, value > v ? value : v, value < v ? value : v, value | 1 << (v & 31),
        value ^ v, value + (v & 3),       value + (v & 7),       0};
    value = next[which];
  }
  return value;
}

// ---- private arrays, calls, branches ----

__host__ __device__ __attribute__((noinline)) static int fibonacci(int n) {
  return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

__host__ __device__ static int wander(int v) {
  int steps[20], s = 0;
  for (int k = 0; k < 20; k++)
    steps[k] = k * 3 + v;
  for (int k = 0; k < (v & 31); k++) {
    if (k == 17 && (v & 64))
      break;
    if (k % 3 == (v & 1))
      continue;
    steps[(v >> k) & 15] ^= k;
    s = s * 31 + steps[(v + k) & 15];
  }
  switch (v & 7) {
  case 0:
    s += 1; // and the next
  case 1:
    return s * 3;
  case 5:
    return ~s;
  default:
    return s + fibonacci(v & 7);
  }
}

__global__ void wander_all(const int *in, int *out) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < COUNT)
    out[i] = wander(in[i]);
}

// ---- a pointer to memory, LDS or scratch ----

__global__ void follow(int *global, int *out) {
  __shared__ int shared[64];
  const int t = threadIdx.x;
  int own[4] = {10 * t, 1, 2, 3};
  shared[t] = 1000 + t;
  __syncthreads();
  int *pointer = t % 3 == 0 ? global + t : t % 3 == 1 ? &shared[t] : &own[t & 3];
  asm volatile("" : "+v"(pointer));
  *pointer += 5;
  out[t] = t % 3 == 0 ? global[t] : t % 3 == 1 ? shared[t] : own[t & 3];
}

static int wanted_follow(size_t t) {
  const int own[4] = {10 * (int)t, 1, 2, 3};
  return 5 + (t % 3 == 0 ? 7 * (int)t : t % 3 == 1 ? 1000 + (int)t : own[t & 3]);
}

// ---- sizes and variables ----

__device__ int counted;
__constant__ int table[4] = {3, 1, 4, 1};

__global__ void where(int *out) {
  const int block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
  const int thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  const int threads = blockDim.x * blockDim.y * blockDim.z;
  out[block * threads + thread] = (block << 16 | thread) + table[thread & 3];
  atomicAdd(&counted, 1);
}

int main() {
  Array<int> in(1024), out(1024), some(ATOMICS), global(64);
  Array<float> sum(1);
  for (int i = 0; i < 1024; i++)
    in[i] = (int)(random_bits() % 100000) - 50000;
  in.send();

  sum_blocks<<<4, BLOCK>>>(in.device, out.device);
  out.fetch();
  compare("sums of blocks", out, 0, 4, 0, [&](size_t block) {
    int all = 0;
    for (size_t i = block * BLOCK; i < (block + 1) * BLOCK && i < COUNT; i++)
      all += in[i];
    return all;
  });
  reverse_blocks<<<4, BLOCK, BLOCK * sizeof(int)>>>(in.device, out.device);
  out.fetch();
  compare("dynamic LDS", out, 0, 1024, 0,
          [&](size_t i) { return in[(i & ~255u) + 255 - i % 256] + 10 * (int)(i & 3); });

  for (int i = 0; i < ATOMICS; i++)
    some[i] = i == 1 ? INT32_MIN : i == 2 ? INT32_MAX : 0;
  some.send();
  sum[0] = 0;
  sum.send();
  change<<<4, BLOCK>>>(in.device, some.device, sum.device);
  some.fetch();
  sum.fetch();
  compare("atomics", some, 0, 7, 0, [&](size_t which) { return wanted_atomic(in, (int)which); });
  compare("atomic sums of floats", sum, 0, 1, 0, [&](size_t) {
    float all = 0;
    for (int i = 0; i < COUNT; i++)
      all += (float)(in[i] & 15);
    return all;
  });

  wander_all<<<4, BLOCK>>>(in.device, out.device);
  out.fetch();
  compare("scratch, calls, branches", out, 0, COUNT, 0, [&](size_t i) { return wander(in[i]); });

  for (int i = 0; i < 64; i++)
    global[i] = 7 * i;
  global.send();
  follow<<<1, 64>>>(global.device, out.device);
  out.fetch();
  compare("flat pointers", out, 0, 64, 0, wanted_follow);

  where<<<dim3(2, 3, 2), dim3(4, 2, 3)>>>(out.device);
  out.fetch();
  compare("three dimensions", out, 0, 12 * 24, 0, [](size_t i) {
    const int numbers[4] = {3, 1, 4, 1}, thread = (int)i % 24;
    return ((int)i / 24 << 16 | thread) + numbers[thread & 3];
  });
  Array<int> threads(1);
  MUST(
      hipMemcpyFromSymbol(&threads[0], HIP_SYMBOL(counted), sizeof(int), 0, hipMemcpyDeviceToHost));
  compare("a variable", threads, 0, 1, 0, [](size_t) { return 12 * 24; });
  return failures != 0;
}
