// Tests of the harness itself, in TAP. Each case is a process of its own: some must end well, the
// mutants must be caught by an abort with a certain line, by a wrong result, or by what is left at
// exit.

#include "samples.h"
#include <algorithm>
#include <cfloat>
#include <climits>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <hip/hip_runtime.h>
#include <random>
#include <string>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>
#if SIMT_WAVE == 32
#include <hip/hip_matrix.h>
#endif

namespace {

enum { WRONG = 1, REFUSED = 3, LEFT = 86, ABORTED = 128 + SIGABRT };

int cases, failures;

// ---- what a case is made of ----

void check(bool good, const char *what, int line) {
  if (!good) {
    fprintf(stderr, "line %d: not so: %s\n", line, what);
    _exit(WRONG); // not by way of the report of what is not freed
  }
}
#define CHECK(condition) check(condition, #condition, __LINE__)
#define OK(call) CHECK((call) == hipSuccess)

template <class T> T *device(size_t n) {
  void *pointer;
  OK(hipMalloc(&pointer, n * sizeof(T)));
  return static_cast<T *>(pointer);
}

template <class T> T *device(const std::vector<T> &values) {
  T *pointer = device<T>(values.size());
  OK(hipMemcpy(pointer, values.data(), values.size() * sizeof(T), hipMemcpyHostToDevice));
  return pointer;
}

float *pinned(size_t n) {
  void *pointer;
  OK(hipHostMalloc(&pointer, n * sizeof(float), hipHostMallocDefault));
  return static_cast<float *>(pointer);
}

template <class T> std::vector<T> host(const T *pointer, size_t n) {
  std::vector<T> values(n);
  OK(hipMemcpy(values.data(), pointer, n * sizeof(T), hipMemcpyDeviceToHost));
  return values;
}

hipStream_t stream(unsigned flags = hipStreamNonBlocking) {
  hipStream_t made;
  OK(hipStreamCreateWithFlags(&made, flags));
  return made;
}

hipEvent_t event(unsigned flags = hipEventDefault) {
  hipEvent_t made;
  OK(hipEventCreateWithFlags(&made, flags));
  return made;
}

// Small integers: sums of them are exact in any order.
std::vector<float> numbers(int n) {
  std::vector<float> values;
  for (int i = 0; i < n; i++) {
    values.push_back(static_cast<float>(i * 37 % 19 - 9));
  }
  return values;
}

// ---- running cases ----

struct outcome {
  int status; // of exit, or 128 + the signal
  std::string text;
};

outcome run(const std::string &environment, const std::function<void()> &body) {
  int ends[2];
  if (pipe(ends) != 0) {
    return {-1, "no pipe"};
  }
  pid_t child = fork();
  if (child == 0) {
    struct rlimit none = {};
    setrlimit(RLIMIT_CORE, &none);
    dup2(ends[1], STDERR_FILENO);
    close(ends[0]);
    close(ends[1]);
    for (size_t at = 0; at < environment.size();) {
      size_t end = std::min(environment.find(' ', at), environment.size());
      putenv(strdup(environment.substr(at, end - at).c_str()));
      at = end + 1;
    }
    body();
    exit(0);
  }
  close(ends[1]);
  outcome got = {-1, ""};
  char buffer[512];
  for (ssize_t n; (n = read(ends[0], buffer, sizeof buffer)) > 0;) {
    got.text.append(buffer, static_cast<size_t>(n));
  }
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  got.status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  return got;
}

void report(bool good, const std::string &name, const outcome &got) {
  cases++;
  failures += !good;
  printf("%sok %d - %s\n", good ? "" : "not ", cases, name.c_str());
  if (!good) {
    printf("# status %d: %s\n", got.status, got.text.c_str());
  }
  fflush(stdout);
}

// Wants a status and a text on stderr; "" wants silence.
void expect(const std::string &name, int status, const std::string &text,
            const std::function<void()> &body, const std::string &environment = "") {
  outcome got = run(environment, body);
  bool found = text.empty() ? got.text.empty() : got.text.find(text) != std::string::npos;
  report(got.status == status && found, name, got);
}

// ---- kernels and their mutants ----

void reverse(mutant mutant) {
  int n = 1024;
  std::vector<float> x = numbers(n);
  float *from = device(x), *to = device<float>(x.size());
  OK(launch_reverse(mutant, to, from, n, nullptr));
  std::vector<float> y = host(to, x.size());
  OK(hipFree(from));
  OK(hipFree(to));
  for (int i = 0; i < n; i++) {
    CHECK(y[static_cast<size_t>(i)] == x[static_cast<size_t>(n - 1 - i)]);
  }
}

void matmul(mutant mutant) {
  size_t n = 48;
  std::vector<float> a = numbers(48 * 48), b(a.rbegin(), a.rend());
  float *da = device(a), *db = device(b), *dc = device<float>(n * n);
  OK(launch_matmul(mutant, dc, da, db, static_cast<int>(n), nullptr));
  std::vector<float> c = host(dc, n * n);
  OK(hipFree(da));
  OK(hipFree(db));
  OK(hipFree(dc));
  for (size_t at = 0; at < n * n; at++) {
    float sum = 0;
    for (size_t k = 0; k < n; k++) {
      sum += a[at / n * n + k] * b[k * n + at % n];
    }
    CHECK(c[at] == sum);
  }
}

void block_sum(mutant mutant) {
  int blocks = 3;
  std::vector<float> x = numbers(256 * blocks);
  float *from = device(x), *to = device<float>(3);
  OK(launch_block_sum(mutant, to, from, blocks, nullptr));
  std::vector<float> y = host(to, 3);
  OK(hipFree(from));
  OK(hipFree(to));
  for (size_t block = 0; block < 3; block++) {
    float sum = 0;
    for (size_t i = 0; i < 256; i++) {
      sum += x[block * 256 + i];
    }
    CHECK(y[block] == sum);
  }
}

void wave_sum(mutant mutant) {
  std::vector<float> x = numbers(256);
  size_t wave = SIMT_WAVE, waves = 256 / wave;
  float *from = device(x), *to = device<float>(256);
  auto *ballots = device<unsigned long long>(waves);
  OK(launch_wave_sum(mutant, to, ballots, from, nullptr));
  std::vector<float> y = host(to, 256);
  std::vector<unsigned long long> votes = host(ballots, waves);
  OK(hipFree(from));
  OK(hipFree(to));
  OK(hipFree(ballots));
  for (size_t i = 0; i < 256; i++) {
    float sum = 0;
    for (size_t lane = 0; lane < wave; lane++) {
      sum += x[i / wave * wave + lane];
    }
    CHECK(y[i] == sum);
    CHECK((votes[i / wave] >> i % wave & 1) == (x[i] > 0));
  }
}

// ---- matrices ----

enum { COLUMNS = SIMT_WAVE == 64 ? 16 : 8, INFINITE = 0x7c00, NOT_A_NUMBER = 0x7e00 };

struct tiles {
  std::vector<unsigned short> a, b; // halves: (16, 16), (16, COLUMNS)
  std::vector<float> c, d;          // (16, COLUMNS)
};

double from_half(unsigned short half) {
  int exponent = half >> 10 & 31, fraction = half & 1023;
  double value = exponent ? std::ldexp(fraction + 1024, exponent - 25) : std::ldexp(fraction, -24);
  if (exponent == 31) {
    value = fraction ? NAN : INFINITY;
  }
  return half & 0x8000 ? -value : value;
}

// As an operand: the MI200 takes subnormal ones for zeros.
double operand(unsigned short half) {
  return SIMT_WAVE == 64 && (half & INFINITE) == 0 ? 0 : from_half(half);
}

// The product in double: what a matrix instruction comes near to.
void check_product(const tiles &t) {
  for (size_t at = 0; at < t.d.size(); at++) {
    double sum = t.c[at], size = std::fabs(sum);
    for (size_t k = 0; k < 16; k++) {
      double product =
          operand(t.a[at / COLUMNS * 16 + k]) * operand(t.b[k * COLUMNS + at % COLUMNS]);
      sum += product;
      size += std::fabs(product);
    }
    bool same = t.d[at] == sum || (std::isnan(t.d[at]) && std::isnan(sum));
    CHECK(same || std::fabs(t.d[at] - sum) <= 17 * FLT_EPSILON * size);
  }
}

// d, by the kernel
void multiply(mutant which, tiles &t) {
  unsigned short *a = device(t.a), *b = device(t.b);
  float *c = device(t.c), *d = device<float>(t.c.size());
  OK(launch_tile_product(which, d, a, b, c, nullptr));
  t.d = host(d, t.c.size());
  for (void *each : {static_cast<void *>(a), static_cast<void *>(b), static_cast<void *>(c),
                     static_cast<void *>(d)}) {
    OK(hipFree(each));
  }
}

// Any half but infinities and NaNs, or only subnormal ones.
unsigned short random_half(std::mt19937 &random, bool subnormal) {
  unsigned half = random() & 0xffff;
  unsigned exponent = subnormal ? 0 : 1 + half / 1024 % 30;
  return static_cast<unsigned short>((half & 0x83ff) | exponent << 10);
}

// Every fourth row of a, every fifth column of b and some others are subnormal.
tiles random_tiles(unsigned seed) {
  std::mt19937 random(seed);
  tiles made;
  for (int i = 0; i < 256; i++) {
    made.a.push_back(random_half(random, i / 16 % 4 == 1 || random() % 16 == 0));
  }
  for (int i = 0; i < 16 * COLUMNS; i++) {
    made.b.push_back(random_half(random, i % COLUMNS % 5 == 2 || random() % 16 == 0));
    made.c.push_back(i % 3 ? std::ldexp(static_cast<float>(random() % 2048) - 1024, -20) : 0);
  }
  return made;
}

void tile_product(mutant which) {
  for (unsigned seed = 1; seed <= 20; seed++) {
    tiles random = random_tiles(seed);
    multiply(which, random);
    check_product(random);
  }
}

void infinite_tiles() {
  tiles t = random_tiles(1);
  t.a[3 * 16 + 7] = INFINITE;
  t.a[5 * 16 + 15] = NOT_A_NUMBER;
  t.b[2 * COLUMNS + 6] = INFINITE | 0x8000;
  t.c[9 * COLUMNS + 1] = INFINITY;
  multiply(SOUND, t);
  check_product(t);
  CHECK(std::isinf(t.d[3 * COLUMNS]) && std::isnan(t.d[5 * COLUMNS]));
}

// Sums in the order of k: what is lost when 1 is added to 2^24 is lost for good.
void order_of_sums() {
  tiles t = {std::vector<unsigned short>(256),
             std::vector<unsigned short>(16 * COLUMNS),
             std::vector<float>(16 * COLUMNS),
             {}};
  for (size_t k = 0; k < 16; k++) {
    t.a[k] = 0x3c00;                                                // 1
    t.b[k * COLUMNS] = k == 8 ? 0x7800 : k == 12 ? 0xf800 : 0x3c00; // 2^15 and -2^15, else 1
  }
  t.a[8] = t.a[12] = 0x6000; // 2^9
  multiply(SOUND, t);
  CHECK(t.d[0] == 8 + 0 + 3);
}

#if SIMT_WAVE == 64
void bits() {
  CHECK(__builtin_amdgcn_perm(0x89abcdef, 0x01234567, 0x00070304) == 0x6789'01ef);
  CHECK(__builtin_amdgcn_perm(0x80000000, 0x00008000, 0x0c0d0b08) == 0x00ffffff);
  CHECK(__builtin_amdgcn_perm(0x00800080, 0x7fff7fff, 0x080a0b09) == 0);
  CHECK(__builtin_bitreverse32(0x80000006) == 0x60000001);
  CHECK(__builtin_amdgcn_rcpf(4) == 0.25f && __builtin_amdgcn_rcpf(0x1p127f) == 0);
  float value = 3;
  __builtin_nontemporal_store(4, &value);
  CHECK(__builtin_nontemporal_load(&value) == 4);
}
#else
void bits() {
  CHECK(__byte_perm(0x01234567, 0x89abcdef, 0x7041) == 0x8967'ef45);
  CHECK(__brev(0x80000006) == 0x60000001);
  CHECK(pack_half2(1, -2) == 0xc0003c00 && pack_half2(2049, 2051) == 0x68026800);
  CHECK(multiply_half2(0x3c010001, 0x3c014000) == 0x3c020002);
  CHECK(exp2_approximate(-3) == 0.125f && exp2_approximate(-127) == 0);
  CHECK(reciprocal_approximate(4) == 0.25f && reciprocal_approximate(0x1p127f) == 0);
}

void copies(mutant which) {
  std::vector<float> x = numbers(512);
  float *from = device(x), *to = device<float>(512);
  OK(launch_copies(which, to, from, nullptr));
  std::vector<float> y = host(to, 512);
  OK(hipFree(from));
  OK(hipFree(to));
  for (size_t i = 0; i < 512; i++) {
    CHECK(y[i] == x[i / 256 * 256 + 255 - i % 256]);
  }
}
#endif

const char *const orders[] = {"SIMT_ORDER=0", "SIMT_ORDER=1", "SIMT_ORDER=2 SIMT_SEED=1",
                              "SIMT_ORDER=2 SIMT_SEED=2"};

void kernel_case(const char *name, void (*body)(mutant), mutant which, int status,
                 const std::string &text) {
  for (const char *order : orders) {
    expect(
        std::string(name) + ", " + order, status, text, [=] { body(which); }, order);
  }
}

void test_kernels() {
  kernel_case("reverse", reverse, SOUND, 0, "");
  kernel_case("reverse, no barrier", reverse, NO_BARRIER, WRONG, "not so");
  kernel_case("reverse, barrier in a branch", reverse, BARRIER_IN_BRANCH, ABORTED,
              "has left the kernel");
  kernel_case("reverse, two barriers for one", reverse, TWO_BARRIERS_FOR_ONE, ABORTED,
              "not all come to a barrier");
  kernel_case("reverse, wrong index", reverse, WRONG_INDEX, WRONG, "not so");
  kernel_case("reverse, one too far", reverse, ONE_TOO_FAR, ABORTED,
              "0 bytes past the end of an allocation of 4096 bytes");
  kernel_case("reverse, one too early", reverse, ONE_TOO_EARLY, ABORTED,
              "4 bytes before an allocation of 4096 bytes");
  kernel_case("reverse, LDS not written", reverse, LDS_NOT_WRITTEN, WRONG, "not so");
  kernel_case("matmul", matmul, SOUND, 0, "");
  kernel_case("matmul, no barrier", matmul, NO_BARRIER, WRONG, "not so");
  kernel_case("matmul, no second barrier", matmul, NO_SECOND_BARRIER, WRONG, "not so");
  kernel_case("matmul, wrong index", matmul, WRONG_INDEX, WRONG, "not so");
  kernel_case("matmul, LDS too small", matmul, LDS_TOO_SMALL, ABORTED, "kernel matmul, block (");
  kernel_case("block sum", block_sum, SOUND, 0, "");
  kernel_case("block sum, early return", block_sum, EARLY_RETURN, ABORTED, "has left the kernel");
  kernel_case("wave sum", wave_sum, SOUND, 0, "");
  kernel_case("wave sum, early return", wave_sum, EARLY_RETURN, ABORTED, "takes no part");
  kernel_case("wave sum, barrier in a branch", wave_sum, BARRIER_IN_BRANCH, ABORTED,
              "not all come to a barrier");
  kernel_case("wave sum, wrong lane", wave_sum, WRONG_LANE, WRONG, "not so");
}

void test_matrices() {
  kernel_case("tile product", tile_product, SOUND, 0, "");
  kernel_case("tile product, wrong index", tile_product, WRONG_INDEX, WRONG, "not so");
  kernel_case("tile product, early return", tile_product, EARLY_RETURN, ABORTED,
              "wants every lane of a wave, lane 5 takes no part");
  kernel_case("tile product, barrier in a branch", tile_product, BARRIER_IN_BRANCH, ABORTED,
              "not all come to a barrier");
  expect("tile product, infinities and NaNs", 0, "", infinite_tiles);
  expect("tile product, order of the sums", 0, "", order_of_sums);
  expect("bits", 0, "", bits);
#if SIMT_WAVE == 32
  kernel_case("copies", copies, SOUND, 0, "");
  kernel_case("copies, no barrier", copies, NO_BARRIER, WRONG, "not so");
  kernel_case("copies, buffer in use", copies, BUFFER_IN_USE, WRONG, "not so");
  kernel_case("copies, wait too late", copies, WAIT_TOO_LATE, WRONG, "not so");
  kernel_case("copies, wait for too few", copies, WAIT_FOR_TOO_FEW, WRONG, "not so");
  kernel_case("copies, no wait", copies, NO_WAIT, ABORTED, "leaves the kernel with a copy on its");
  kernel_case("copies, source changes", copies, SOURCE_CHANGES, ABORTED,
              "changes before it is waited for");
  kernel_case("copies, not to LDS", copies, NO_LDS, ABORTED, "goes to what is no LDS");
  kernel_case("copies, the kernel in front not awaited", copies, NOT_AWAITED, ABORTED,
              "ends without awaiting the kernel in front");
  kernel_case("copies, not aligned", copies, NOT_ALIGNED, ABORTED, "is no multiple of 16 bytes");
#endif
}

// Lanes that come in the right order by chance hide this one: one of the orders must show it.
void test_order_dependent() {
  bool caught = false;
  outcome got = {};
  for (const char *order : orders) {
    got = run(order, [] { block_sum(NO_BARRIER); });
    caught = caught || got.status == WRONG;
  }
  report(caught, "block sum, no barrier, in some order", got);
}

// ---- lanes ----

void indices() {
  size_t threads = 5 * 6 * 7, all = threads * 2 * 3 * 4;
  auto *seen = device<unsigned>(6 * all);
  OK(launch_indices(seen, nullptr));
  std::vector<unsigned> got = host(seen, 6 * all);
  for (unsigned i = 0; i < all; i++) {
    unsigned t = i % static_cast<unsigned>(threads), b = i / static_cast<unsigned>(threads);
    const unsigned want[] = {t % 5, t / 5 % 6, t / 30, b % 2, b / 2 % 3, b / 6};
    CHECK(memcmp(&got[6 * i], want, sizeof want) == 0);
  }
  OK(hipFree(seen));
}

void shuffles() {
  int *seen = device<int>(320);
  OK(launch_shuffles(seen, nullptr));
  std::vector<int> got = host(seen, 320);
  for (int i = 0; i < 64; i++) {
    const int *mine = &got[static_cast<size_t>(i)];
    int wave = i / SIMT_WAVE * SIMT_WAVE, any = wave + SIMT_WAVE == 64;
    CHECK(mine[0] == wave + 5);
    CHECK(mine[64] == i / 8 * 8 + 5);
    CHECK(mine[128] == (i % 16 < 3 ? i : i - 3));
    CHECK(mine[192] == (i % 16 >= 13 ? i : i + 3));
    CHECK(mine[256] == (i ^ 6) + 100 * any + 1000);
  }
  OK(hipFree(seen));
}

void read_lds() {
  auto *seen = device(std::vector<unsigned>(24));
  OK(launch_read_lds(seen, nullptr));
  for (unsigned each : host(seen, 24)) {
    CHECK(each == UINT_MAX);
  }
  OK(hipFree(seen));
}

// want[i]: the first ticket of block i
void tickets(const std::vector<unsigned> &want) {
  auto *ticket = device<unsigned>(512), *counter = device<unsigned>(1);
  OK(hipMemsetAsync(counter, 0, sizeof *counter, nullptr));
  OK(launch_tickets(ticket, counter, nullptr));
  std::vector<unsigned> got = host(ticket, 512), seen(512);
  for (unsigned each : got) {
    CHECK(each < 512 && !seen[each]++);
  }
  for (size_t block = 0; block < want.size(); block++) {
    CHECK(got[block * 128] == want[block]);
  }
  OK(hipFree(ticket));
  OK(hipFree(counter));
}

void bad_launches() {
  float *x = device<float>(64);
  CHECK(launch_plus_one(x, x, 64, 1025, nullptr) == hipErrorInvalidConfiguration);
  CHECK(launch_plus_one(x, x, 0, 64, nullptr) == hipErrorInvalidConfiguration);
  OK(hipGetLastError());
  CHECK(launch_matmul(SOUND, x, x, x, 0, nullptr) == hipErrorInvalidConfiguration);
  OK(hipFree(x));
}

void dynamic_lds() {
  const size_t unasked = (SIMT_WAVE == 64 ? 64 : 48) << 10, most = 227 << 10;
  OK(launch_dynamic_lds(unasked, 0, nullptr));
  CHECK(launch_dynamic_lds(unasked + 1, 0, nullptr) == hipErrorInvalidConfiguration);
  if (SIMT_WAVE == 32) {
    OK(launch_dynamic_lds(most, most, nullptr));
    CHECK(launch_dynamic_lds(most + 1, most + 1, nullptr) == hipErrorInvalidConfiguration);
  }
  OK(hipDeviceSynchronize());
}

void test_lanes() {
  expect("indices of threads and blocks", 0, "", indices);
  expect("shuffles", 0, "", shuffles);
  expect("LDS is NaN in every block", 0, "", read_lds);
  expect("dynamic LDS is bounded", 0, "", dynamic_lds);
  expect("order of blocks", 0, "", [] { tickets({0, 128, 256, 384}); });
  expect(
      "order of blocks, reversed", 0, "",
      [] {
        tickets({511, 383, 255, 127});
      },
      "SIMT_ORDER=1");
  expect(
      "order of blocks, shuffled", 0, "", [] { tickets({}); }, "SIMT_ORDER=2");
  expect("launches that no device runs", 0, "", bad_launches);
  expect("a million barriers", 0, "", [] {
    OK(launch_barriers(4000, nullptr));
    OK(hipDeviceSynchronize());
  });
}

// ---- memory ----

void test_memory() {
  expect("new memory is NaN, and no index", 0, "", [] {
    float *x = device<float>(100), *p = pinned(3);
    for (float each : host(x, 100)) {
      int32_t index;
      memcpy(&index, &each, sizeof index);
      CHECK(each != each && index > 1 << 30);
    }
    CHECK(p[0] != p[0]);
    OK(hipFree(x));
    OK(hipHostFree(p));
    OK(hipFree(nullptr));
  });
  expect("nothing costs nothing", 0, "", [] {
    void *none = &cases;
    OK(hipMalloc(&none, 0));
    CHECK(none == nullptr);
    OK(hipMemcpyAsync(nullptr, nullptr, 0, hipMemcpyHostToDevice, nullptr));
    OK(hipMemsetAsync(nullptr, 0, 0, nullptr));
    OK(hipDeviceSynchronize());
  });
  expect(
      "memory is bounded", 0, "",
      [] {
        size_t left, total;
        void *first = device<char>(900), *second;
        CHECK(hipMalloc(&second, 101) == hipErrorOutOfMemory);
        CHECK(hipPeekAtLastError() == hipErrorOutOfMemory);
        OK(hipMemGetInfo(&left, &total));
        CHECK(left == 100 && total == 1000);
        OK(hipFree(first));
        OK(hipFree(device<char>(1000)));
      },
      "SIMT_MEMORY=1000");
  expect("the host reads device memory", ABORTED, "the host touches 4 bytes into", [] {
    volatile float *x = device<float>(100);
    CHECK(x[1] != 0);
  });
  expect("freed memory is out of reach", ABORTED, "an argument points 0 bytes into a freed", [] {
    float *x = device<float>(64), *y = device<float>(64);
    OK(hipFree(x));
    (void)launch_plus_one(y, x, 64, 64, nullptr);
  });
  expect("a kernel gets memory of the host", ABORTED, "no memory of the device", [] {
    float x[64] = {};
    (void)launch_plus_one(x, x, 64, 64, nullptr);
  });
  expect("a write between the end and the guard", ABORTED, "wrote just outside", [] {
    float *x = device(numbers(64)), *y = device<float>(61);
    OK(launch_plus_one(y, x, 62, 64, nullptr));
    OK(hipDeviceSynchronize());
  });
  expect("freed twice", LEFT, "freed twice: 0 bytes into a freed allocation of 256 bytes", [] {
    float *x = device<float>(64);
    OK(hipFree(x));
    CHECK(hipFree(x) == hipErrorInvalidValue);
  });
  expect("free of what was not allocated", LEFT, "not what an allocation returned",
         [] { CHECK(hipFree(&cases) == hipErrorInvalidValue); });
  expect("free of the inside", LEFT, "not freed at exit: hipMalloc of 256 bytes",
         [] { CHECK(hipFree(device<float>(64) + 1) == hipErrorInvalidValue); });
  expect("free of the wrong kind", LEFT, "not what an allocation returned",
         [] { CHECK(hipFree(pinned(4)) == hipErrorInvalidValue); });
  expect("memory that is not freed", LEFT, "not freed at exit: hipHostMalloc of 16 bytes\n",
         [] { (void)pinned(4); });
  expect("streams and events that are not freed", LEFT, "at exit: 1 streams, 2 events\n", [] {
    (void)stream();
    (void)event();
    (void)event();
  });
}

// ---- streams ----

struct pipeline {
  hipStream_t copies = stream(), kernels = stream();
  hipEvent_t copied = event(hipEventDisableTiming);
  float *p = pinned(256), *x = device<float>(256), *y = device<float>(256);
  ~pipeline() {
    OK(hipFree(x));
    OK(hipFree(y));
    OK(hipHostFree(p));
    OK(hipEventDestroy(copied));
    OK(hipStreamDestroy(copies));
    OK(hipStreamDestroy(kernels));
  }
};

enum {
  NO_WAIT_FOR_COPY = MUTANTS,
  WAIT_FOR_ALL,
  NO_WAIT_AT_END,
  WAIT_FOR_WRONG_STREAM,
  RECORD_TOO_EARLY,
  REUSE
};

// p + 1 by way of two streams
void two_streams(int mutant) {
  pipeline use;
  size_t bytes = 256 * sizeof(float);
  std::vector<float> values = numbers(256);
  memcpy(use.p, values.data(), bytes);
  if (mutant == RECORD_TOO_EARLY) {
    OK(hipEventRecord(use.copied, use.copies));
  }
  OK(hipMemcpyAsync(use.x, use.p, bytes, hipMemcpyHostToDevice, use.copies));
  if (mutant == REUSE) {
    memset(use.p, 0, bytes);
  }
  if (mutant != RECORD_TOO_EARLY) {
    OK(hipEventRecord(use.copied, use.copies));
  }
  if (mutant != NO_WAIT_FOR_COPY && mutant != WAIT_FOR_ALL) {
    OK(hipStreamWaitEvent(use.kernels, use.copied, 0));
  }
  OK(launch_plus_one(use.y, use.x, 256, 64, use.kernels));
  OK(hipMemcpyAsync(use.p, use.y, bytes, hipMemcpyDeviceToHost, use.kernels));
  if (mutant == WAIT_FOR_WRONG_STREAM) {
    OK(hipStreamSynchronize(use.copies));
  } else if (mutant == WAIT_FOR_ALL) {
    OK(hipDeviceSynchronize());
  } else if (mutant != NO_WAIT_AT_END) {
    OK(hipStreamSynchronize(use.kernels));
  }
  for (size_t i = 0; i < 256; i++) {
    CHECK(use.p[i] == values[i] + 1);
  }
}

// The default stream and those that block wait for each other; no other does.
void default_after_stream(unsigned flags, bool want) {
  hipStream_t other = stream(flags);
  float *x = device(numbers(64)), *y = device<float>(64);
  OK(launch_plus_one(y, x, 64, 64, other));
  CHECK((host(y, 64)[0] == -8) == want);
  OK(hipFree(x));
  OK(hipFree(y));
  OK(hipStreamDestroy(other));
}

void stream_after_default(unsigned flags, bool want) {
  hipStream_t other = stream(flags);
  float *x = device<float>(64), *y = device<float>(64);
  OK(hipMemsetAsync(x, 0, 64 * sizeof *x, nullptr));
  OK(launch_plus_one(y, x, 64, 64, other));
  OK(hipStreamSynchronize(other));
  CHECK((host(y, 64)[0] == 1) == want);
  OK(hipFree(x));
  OK(hipFree(y));
  OK(hipStreamDestroy(other));
}

void events() {
  hipEvent_t start = event(), stop = event(), untimed = event(hipEventDisableTiming);
  hipStream_t on = stream();
  float time;
  CHECK(hipEventElapsedTime(&time, start, stop) == hipErrorInvalidHandle);
  CHECK(hipGetLastError() == hipErrorInvalidHandle);
  OK(hipEventRecord(start, on));
  OK(launch_barriers(100, on));
  OK(hipEventRecord(stop, on));
  OK(hipEventRecord(untimed, on));
  CHECK(hipEventElapsedTime(&time, start, stop) == hipErrorNotReady);
  OK(hipGetLastError());
  OK(hipEventSynchronize(stop));
  OK(hipEventElapsedTime(&time, start, stop));
  CHECK(time > 0 && time < 10000);
  OK(hipStreamSynchronize(on));
  CHECK(hipEventElapsedTime(&time, start, untimed) == hipErrorInvalidHandle);
  for (hipEvent_t each : {start, stop, untimed}) {
    OK(hipEventDestroy(each));
  }
  OK(hipStreamDestroy(on));
}

void test_streams() {
  const struct {
    const char *name;
    int mutant;
  } mutants[] = {{"two streams, no wait for the copy", NO_WAIT_FOR_COPY},
                 {"two streams, no wait for the copy, a wait for all at the end", WAIT_FOR_ALL},
                 {"two streams, no wait at the end", NO_WAIT_AT_END},
                 {"two streams, wait for the wrong one", WAIT_FOR_WRONG_STREAM},
                 {"two streams, event before the copy", RECORD_TOO_EARLY},
                 {"two streams, buffer used again", REUSE}};
  expect("two streams", 0, "", [] { two_streams(SOUND); });
  for (const auto &each : mutants) {
    expect(each.name, WRONG, "use.p[i] == values[i] + 1", [=] { two_streams(each.mutant); });
  }
  for (unsigned flags : {hipStreamDefault, hipStreamNonBlocking}) {
    bool blocks = flags == hipStreamDefault;
    const char *which = blocks ? ", one that blocks" : ", another";
    expect(std::string("default stream after a stream") + which, 0, "",
           [=] { default_after_stream(flags, blocks); });
    expect(std::string("stream after the default stream") + which, 0, "",
           [=] { stream_after_default(flags, blocks); });
  }
  expect("events", 0, "", events);
}

// ---- graphs ----

// y = x + 1 of 64 floats by the graph, between pinned and device memory
struct recording {
  hipStream_t on = stream();
  float *p = pinned(64), *q = pinned(64), *x = device<float>(64), *y = device<float>(64);
  hipGraph_t graph = nullptr;
  hipGraphExec_t exec = nullptr;

  void begin(hipStreamCaptureMode mode = hipStreamCaptureModeThreadLocal) {
    OK(hipStreamBeginCapture(on, mode));
  }
  void end() {
    OK(hipStreamEndCapture(on, &graph));
    OK(hipGraphInstantiate(&exec, graph, nullptr, nullptr, 0));
  }
  void record() {
    begin();
    OK(hipMemcpyAsync(x, p, 256, hipMemcpyHostToDevice, on));
    OK(launch_plus_one(y, x, 64, 64, on));
    OK(hipMemcpyAsync(q, y, 256, hipMemcpyDeviceToHost, on));
    end();
  }
  void fill(float value) {
    std::fill(p, p + 64, value);
  }
  ~recording() {
    OK(hipStreamDestroy(on));
    if (exec) {
      OK(hipGraphExecDestroy(exec));
    }
    if (graph) {
      OK(hipGraphDestroy(graph));
    }
    OK(hipFree(x));
    OK(hipFree(y));
    OK(hipHostFree(p));
    OK(hipHostFree(q));
  }
};

void replay() {
  recording r;
  r.fill(1);
  r.record();
  OK(hipStreamSynchronize(r.on));
  CHECK(r.q[0] != r.q[0] && host(r.y, 64)[0] != host(r.y, 64)[0]); // nothing has run
  for (float value : {3.0f, 5.0f}) {
    r.fill(value);
    OK(hipGraphLaunch(r.exec, r.on));
    CHECK(r.q[0] != value + 1);
    OK(hipStreamSynchronize(r.on));
    CHECK(r.q[0] == value + 1 && r.q[63] == value + 1);
  }
}

// The graph has y = y + 1 twice; other work comes before and after it.
void replay_on_device() {
  recording r;
  r.begin();
  OK(launch_plus_one(r.y, r.y, 64, 64, r.on));
  OK(launch_plus_one(r.x, r.y, 64, 64, r.on));
  OK(hipMemcpyAsync(r.y, r.x, 256, hipMemcpyDeviceToDevice, r.on));
  r.end();
  for (float value : {10.0f, 20.0f}) {
    std::vector<float> start(64, value);
    OK(hipMemcpy(r.y, start.data(), 256, hipMemcpyHostToDevice));
    OK(launch_plus_one(r.y, r.y, 64, 64, r.on));
    OK(hipGraphLaunch(r.exec, r.on));
    OK(launch_plus_one(r.y, r.y, 64, 64, r.on));
    OK(hipGraphLaunch(r.exec, r.on));
    OK(hipMemcpyAsync(r.q, r.y, 256, hipMemcpyDeviceToHost, r.on));
    OK(hipStreamSynchronize(r.on));
    CHECK(r.q[63] == value + 6);
  }
}

// A second launch waits for the first, on whatever stream that is.
void replay_on_two_streams() {
  recording r;
  hipStream_t other = stream();
  r.begin();
  OK(launch_plus_one(r.y, r.y, 64, 64, r.on));
  r.end();
  OK(hipMemsetAsync(r.y, 0, 256, r.on));
  OK(hipGraphLaunch(r.exec, r.on));
  OK(hipGraphLaunch(r.exec, other));
  OK(hipMemcpyAsync(r.q, r.y, 256, hipMemcpyDeviceToHost, other));
  OK(hipStreamSynchronize(other));
  CHECK(r.q[0] == 2);
  OK(hipStreamDestroy(other));
}

// A call that a capture forbids ends it; then the stream is as before.
void forbidden(const char *name, hipError_t error,
               const std::function<hipError_t(recording &)> &call,
               unsigned flags = hipStreamNonBlocking) {
  expect(name, 0, "", [=] {
    recording r;
    OK(hipStreamDestroy(r.on));
    r.on = stream(flags);
    r.begin();
    CHECK(call(r) == error);
    (void)hipGetLastError();
    CHECK(launch_plus_one(r.y, r.x, 64, 64, r.on) == hipErrorStreamCaptureInvalidated);
    r.graph = reinterpret_cast<hipGraph_t>(&r);
    CHECK(hipStreamEndCapture(r.on, &r.graph) == hipErrorStreamCaptureInvalidated && !r.graph);
    CHECK(hipGetLastError() == hipErrorStreamCaptureInvalidated);
    r.fill(7);
    r.record();
    OK(hipGraphLaunch(r.exec, r.on));
    OK(hipStreamSynchronize(r.on));
    CHECK(r.q[0] == 8);
  });
}

void test_forbidden_calls() {
  void *none = nullptr;
  forbidden("capture, the host waits for the stream", hipErrorStreamCaptureUnsupported,
            [](recording &r) { return hipStreamSynchronize(r.on); });
  forbidden("capture, the host waits for the device", hipErrorStreamCaptureUnsupported,
            [](recording &) { return hipDeviceSynchronize(); });
  forbidden("capture, hipMalloc", hipErrorStreamCaptureUnsupported,
            [=](recording &) mutable { return hipMalloc(&none, 4); });
  forbidden("capture, hipHostMalloc", hipErrorStreamCaptureUnsupported,
            [=](recording &) mutable { return hipHostMalloc(&none, 4, hipHostMallocDefault); });
  forbidden("capture, hipFree", hipErrorStreamCaptureUnsupported,
            [](recording &r) { return hipFree(r.x); });
  forbidden("capture, hipMemcpy", hipErrorStreamCaptureUnsupported,
            [](recording &r) { return hipMemcpy(r.x, r.p, 256, hipMemcpyHostToDevice); });
  forbidden("capture, a graph is launched in it", hipErrorStreamCaptureUnsupported,
            [](recording &r) {
              hipStream_t other = stream();
              hipGraph_t graph;
              hipGraphExec_t exec;
              OK(hipStreamBeginCapture(other, hipStreamCaptureModeRelaxed));
              OK(hipStreamEndCapture(other, &graph));
              OK(hipGraphInstantiate(&exec, graph, nullptr, nullptr, 0));
              hipError_t error = hipGraphLaunch(exec, r.on);
              OK(hipGraphLaunch(exec, other));
              OK(hipGraphExecDestroy(exec));
              OK(hipGraphDestroy(graph));
              OK(hipStreamDestroy(other));
              return error;
            });
  forbidden(
      "capture, work on the default stream", hipErrorStreamCaptureImplicit,
      [](recording &r) { return launch_plus_one(r.y, r.x, 64, 64, nullptr); }, hipStreamDefault);
  forbidden(
      "capture, a wait for the default stream", hipErrorStreamCaptureImplicit,
      [](recording &) { return hipStreamSynchronize(nullptr); }, hipStreamDefault);
  forbidden("capture, a wait for an event before it", hipErrorStreamCaptureIsolation,
            [](recording &r) {
              hipStream_t other = stream();
              hipEvent_t before = event();
              OK(hipEventRecord(before, other));
              hipError_t error = hipStreamWaitEvent(r.on, before, 0);
              OK(hipEventDestroy(before));
              OK(hipStreamDestroy(other));
              return error;
            });
}

void events_in_capture() {
  recording r;
  hipEvent_t inside = event(), outside = event();
  float time;
  r.begin();
  OK(hipEventRecord(inside, r.on));
  OK(launch_plus_one(r.y, r.x, 64, 64, r.on));
  OK(hipStreamWaitEvent(r.on, inside, 0));
  OK(hipStreamWaitEvent(r.on, outside, 0)); // never recorded
  CHECK(hipEventSynchronize(inside) == hipErrorCapturedEvent);
  r.end();
  CHECK(hipStreamWaitEvent(r.on, inside, 0) == hipErrorCapturedEvent);
  CHECK(hipEventElapsedTime(&time, inside, inside) == hipErrorCapturedEvent);
  for (hipEvent_t each : {inside, outside}) {
    OK(hipEventRecord(each, r.on));
    OK(hipGraphLaunch(r.exec, r.on));
  }
  OK(hipStreamSynchronize(r.on));
  OK(hipEventElapsedTime(&time, inside, outside));
  CHECK(time > 0);
  OK(hipEventDestroy(inside));
  OK(hipEventDestroy(outside));
}

void attributes() {
  int clock = 0, units = 0;
  hipDeviceProp_t properties;
  OK(hipGetDeviceProperties(&properties, 0));
  OK(hipDeviceGetAttribute(&clock, hipDeviceAttributeClockRate, 0));
  OK(hipDeviceGetAttribute(&units, hipDeviceAttributeMultiprocessorCount, 0));
  CHECK(clock > 0 && units == properties.multiProcessorCount);
  CHECK(hipDeviceGetAttribute(&units, hipDeviceAttributeClockRate, 1) == hipErrorInvalidDevice);
}

void states_of_capture() {
  recording r;
  hipGraph_t none = reinterpret_cast<hipGraph_t>(&r);
  CHECK(hipStreamBeginCapture(nullptr, hipStreamCaptureModeGlobal) ==
        hipErrorStreamCaptureUnsupported);
  CHECK(hipStreamEndCapture(r.on, &none) == hipErrorIllegalState && !none);
  (void)hipGetLastError();
  OK(launch_plus_one(r.y, r.x, 64, 64, r.on)); // does not wait for the end of the capture
  r.begin(hipStreamCaptureModeRelaxed);
  CHECK(hipStreamBeginCapture(r.on, hipStreamCaptureModeRelaxed) == hipErrorIllegalState);
  (void)hipGetLastError();
  OK(hipFree(device<float>(4)));
  OK(hipStreamSynchronize(nullptr));
  OK(launch_plus_one(r.x, r.y, 64, 64, r.on));
  r.end();
  OK(hipGraphDestroy(r.graph)); // the executable one stands for itself
  r.graph = nullptr;
  OK(hipGraphLaunch(r.exec, r.on));
}

void test_graphs() {
  expect("attributes of the device", 0, "", attributes);
  expect("graph, launched twice", 0, "", replay);
  expect("graph, launched twice on changed memory", 0, "", replay_on_device);
  expect("graph, launched on two streams", 0, "", replay_on_two_streams);
  expect("graph, events in its capture", 0, "", events_in_capture);
  expect("graph, states of a capture", 0, "", states_of_capture);
  test_forbidden_calls();
  expect("graphs that are not freed", LEFT, "at exit: 1 streams, 0 events, 1 graphs, 2 executable",
         [] {
           hipStream_t on = stream();
           hipGraph_t graph;
           hipGraphExec_t exec;
           OK(hipStreamBeginCapture(on, hipStreamCaptureModeGlobal));
           OK(hipStreamEndCapture(on, &graph));
           OK(hipGraphInstantiate(&exec, graph, nullptr, nullptr, 0));
           OK(hipGraphInstantiate(&exec, graph, nullptr, nullptr, 0));
         });
  expect("a stream destroyed while it captures", LEFT, "end its capture first", [] {
    recording r;
    r.begin();
  });
}

// A call that must abort on `text`; it gets 256 bytes of each kind of memory.
void misuse(const char *name, const char *text,
            const std::function<hipError_t(float *, float *, float *)> &call) {
  expect(name, ABORTED, text, [=] {
    float plain[64] = {};
    (void)call(plain, pinned(64), device<float>(64));
  });
}

void misuse_of_graph(const char *name, const char *text,
                     const std::function<hipError_t(recording &)> &call) {
  expect(name, ABORTED, text, [=] {
    recording r;
    r.record();
    (void)call(r);
  });
}

void test_misuse() {
  misuse("copy from memory that is not pinned", "not pinned", [](float *h, float *, float *d) {
    return hipMemcpyAsync(d, h, 256, hipMemcpyHostToDevice, nullptr);
  });
  misuse("copy to memory that is not pinned", "not pinned", [](float *h, float *, float *d) {
    return hipMemcpyAsync(h, d, 256, hipMemcpyDeviceToHost, nullptr);
  });
  misuse("copy in the wrong direction", "says device memory", [](float *, float *p, float *d) {
    return hipMemcpyAsync(p, d, 256, hipMemcpyHostToDevice, nullptr);
  });
  misuse("copy of too much", "260 bytes from 0 bytes into", [](float *, float *p, float *d) {
    return hipMemcpyAsync(d, p, 260, hipMemcpyDefault, nullptr);
  });
  misuse("memset of too much", "252 bytes from 8 bytes into",
         [](float *, float *, float *d) { return hipMemsetAsync(d + 2, 0, 252, nullptr); });
  misuse("memset of the host", "says device memory",
         [](float *, float *p, float *) { return hipMemsetAsync(p, 0, 4, nullptr); });
  misuse("copy to freed memory", "into a freed allocation", [](float *, float *p, float *d) {
    OK(hipFree(d));
    return hipMemcpyAsync(d, p, 256, hipMemcpyHostToDevice, nullptr);
  });
  misuse("a destroyed stream", "a stream that was destroyed", [](float *, float *, float *d) {
    hipStream_t on = stream();
    OK(hipStreamDestroy(on));
    return launch_plus_one(d, d, 64, 64, on);
  });
  misuse("a destroyed event", "an event that was destroyed", [](float *, float *, float *) {
    hipEvent_t gone = event();
    OK(hipEventDestroy(gone));
    return hipEventRecord(gone, nullptr);
  });
  misuse_of_graph("a destroyed executable graph", "an executable graph that was destroyed",
                  [](recording &r) {
                    OK(hipGraphExecDestroy(r.exec));
                    return hipGraphLaunch(r.exec, r.on);
                  });
  misuse_of_graph("a destroyed graph", "a graph that was destroyed", [](recording &r) {
    OK(hipGraphDestroy(r.graph));
    return hipGraphInstantiate(&r.exec, r.graph, nullptr, nullptr, 0);
  });
  misuse_of_graph("no graph", "not an executable graph",
                  [](recording &r) { return hipGraphLaunch(nullptr, r.on); });
  misuse_of_graph("a graph destroyed while it runs", "a launch of the graph is not waited for",
                  [](recording &r) {
                    OK(hipGraphLaunch(r.exec, r.on));
                    return hipGraphExecDestroy(r.exec);
                  });
  misuse_of_graph("a graph with freed memory", "an argument points 0 bytes into a freed allocation",
                  [](recording &r) {
                    OK(hipFree(r.y));
                    return hipGraphLaunch(r.exec, r.on);
                  });
  misuse_of_graph("a second stream joins a capture", "a second stream joins a capture",
                  [](recording &r) {
                    hipEvent_t fork = event();
                    OK(hipStreamBeginCapture(r.on, hipStreamCaptureModeGlobal));
                    OK(hipEventRecord(fork, r.on));
                    return hipStreamWaitEvent(stream(), fork, 0);
                  });
  misuse("no event", "not an event",
         [](float *, float *, float *) { return hipStreamWaitEvent(nullptr, nullptr, 0); });
  misuse("no stream", "not a stream", [](float *, float *p, float *) {
    return hipStreamSynchronize(reinterpret_cast<hipStream_t>(p));
  });
}

// ---- failing calls ----

void careful(int careless) {
  std::vector<float> values = numbers(300), want = values;
  hipError_t error = plus_one_on_device(values.data(), 300, careless);
  if (error) {
    exit(REFUSED);
  }
  for (size_t i = 0; i < want.size(); i++) {
    CHECK(values[i] == want[i] + 1);
  }
}

void careful_graph(int careless) {
  std::vector<float> values = numbers(300), want = values;
  hipError_t error = plus_two_by_graph(values.data(), 300, careless);
  if (error) {
    exit(REFUSED);
  }
  for (size_t i = 0; i < want.size(); i++) {
    CHECK(values[i] == want[i] + 2);
  }
}

// Each of the calls fails once: a careful host ends well and leaves nothing, a careless one is
// caught.
void fail_each(const char *name, void (*host)(int careless), long want_calls) {
  outcome got = run("SIMT_COUNT=1", [=] { host(0); });
  long calls = 0;
  bool counted =
      sscanf(got.text.c_str(), "simt: calls=%ld device_bytes=2400 pinned_bytes=1200", &calls) == 1;
  report(counted && got.status == 0 && calls == want_calls,
         std::string(name) + ", calls and bytes are counted", got);
  for (long n = 1; n <= calls; n++) {
    std::string fail = "SIMT_FAIL=" + std::to_string(n);
    expect(
        std::string(name) + ", careful, " + fail, REFUSED, "", [=] { host(0); }, fail);
    expect(
        std::string(name) + ", careless, " + fail, n == 1 ? REFUSED : LEFT,
        n == 1 ? "" : "not freed at exit", [=] { host(1); }, fail);
  }
  expect(
      std::string(name) + ", no call too many", 0, "", [=] { host(0); },
      "SIMT_FAIL=" + std::to_string(calls + 1));
}

void test_failing_calls() {
  fail_each("two streams", careful, 12);
  fail_each("graph", careful_graph, 15);
  expect(
      "a setting that is no number", ABORTED, "SIMT_FAIL: want a number, got \"x\"",
      [] { careful(0); }, "SIMT_FAIL=x");
}

} // namespace

int main() {
  test_kernels();
  test_matrices();
  test_order_dependent();
  test_lanes();
  test_memory();
  test_streams();
  test_graphs();
  test_misuse();
  test_failing_calls();
  printf("1..%d\n", cases);
  return failures != 0;
}
