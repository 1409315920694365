// Indices, shuffles, LDS, and the order of blocks.

#include "cases.h"

#include <climits>
#include <cstring>

namespace {

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

// want[i] is the first ticket of block i.
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
  const size_t by_default = (SIMT_WAVE == 64 ? 64 : 48) << 10, most = 227 << 10;
  OK(launch_dynamic_lds(by_default, 0, nullptr));
  CHECK(launch_dynamic_lds(by_default + 1, 0, nullptr) == hipErrorInvalidConfiguration);
  if (SIMT_WAVE == 32) {
    OK(launch_dynamic_lds(most, most, nullptr));
    CHECK(launch_dynamic_lds(most + 1, most + 1, nullptr) == hipErrorInvalidConfiguration);
  }
  OK(hipDeviceSynchronize());
}

} // namespace

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
  expect("launches that exceed the device", 0, "", bad_launches);
  expect("a million barriers", 0, "", [] {
    OK(launch_barriers(4000, nullptr));
    OK(hipDeviceSynchronize());
  });
}
