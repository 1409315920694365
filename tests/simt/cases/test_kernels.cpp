// Kernels with barriers, shuffles and copies to LDS, and mistakes in them.

#include "cases.h"

#include <cstring>

namespace {

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

#if SIMT_WAVE == 32
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

// Lanes that run in the right order by chance hide this mistake, so at least one order must show
// it.
void test_order_dependent() {
  bool caught = false;
  outcome got = {};
  for (const char *order : orders) {
    got = run(order, [] { block_sum(NO_BARRIER); });
    caught = caught || got.status == WRONG;
  }
  report(caught, "block sum, no barrier, shows in some order", got);
}

} // namespace

void test_kernels() {
  kernel_case("reverse", reverse, SOUND, 0, "");
  kernel_case("reverse, no barrier", reverse, NO_BARRIER, WRONG, "not true");
  kernel_case("reverse, barrier in a branch", reverse, BARRIER_IN_BRANCH, ABORTED,
              "has left the kernel");
  kernel_case("reverse, two barriers for one", reverse, TWO_BARRIERS_FOR_ONE, ABORTED,
              "not all threads reach one barrier");
  kernel_case("reverse, wrong index", reverse, WRONG_INDEX, WRONG, "not true");
  kernel_case("reverse, one too far", reverse, ONE_TOO_FAR, ABORTED,
              "0 bytes past the end of an allocation of 4096 bytes");
  kernel_case("reverse, one too early", reverse, ONE_TOO_EARLY, ABORTED,
              "4 bytes before an allocation of 4096 bytes");
  kernel_case("reverse, LDS not written", reverse, LDS_NOT_WRITTEN, WRONG, "not true");
  kernel_case("matmul", matmul, SOUND, 0, "");
  kernel_case("matmul, no barrier", matmul, NO_BARRIER, WRONG, "not true");
  kernel_case("matmul, no second barrier", matmul, NO_SECOND_BARRIER, WRONG, "not true");
  kernel_case("matmul, wrong index", matmul, WRONG_INDEX, WRONG, "not true");
  kernel_case("matmul, LDS too small", matmul, LDS_TOO_SMALL, ABORTED, "kernel matmul, block (");
  kernel_case("block sum", block_sum, SOUND, 0, "");
  kernel_case("block sum, early return", block_sum, EARLY_RETURN, ABORTED, "has left the kernel");
  kernel_case("wave sum", wave_sum, SOUND, 0, "");
  kernel_case("wave sum, early return", wave_sum, EARLY_RETURN, ABORTED, "is not active");
  kernel_case("wave sum, barrier in a branch", wave_sum, BARRIER_IN_BRANCH, ABORTED,
              "not all threads reach one barrier");
  kernel_case("wave sum, wrong lane", wave_sum, WRONG_LANE, WRONG, "not true");
#if SIMT_WAVE == 32
  kernel_case("copies", copies, SOUND, 0, "");
  kernel_case("copies, no barrier", copies, NO_BARRIER, WRONG, "not true");
  kernel_case("copies, buffer in use", copies, BUFFER_IN_USE, WRONG, "not true");
  kernel_case("copies, wait too late", copies, WAIT_TOO_LATE, WRONG, "not true");
  kernel_case("copies, wait for too few groups", copies, WAIT_FOR_TOO_FEW, WRONG, "not true");
  kernel_case("copies, no wait", copies, NO_WAIT, ABORTED,
              "leaves the kernel without waiting for a copy");
  kernel_case("copies, source changes meanwhile", copies, SOURCE_CHANGES, ABORTED,
              "changed before the lane waited for it");
  kernel_case("copies, target not in LDS", copies, NO_LDS, ABORTED, "its target is not in LDS");
  kernel_case("copies, no wait for the previous kernel", copies, NOT_AWAITED, ABORTED,
              "ends without waiting for the previous kernel");
  kernel_case("copies, not aligned", copies, NOT_ALIGNED, ABORTED, "is no multiple of 16 bytes");
#endif
  test_order_dependent();
}
