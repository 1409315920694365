// Each host call fails once, as SIMT_FAIL selects it.

#include "cases.h"

#include <cstdio>
#include <cstdlib>

namespace {

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

// Each call fails once. A careful host reports the error and leaves nothing allocated; a careless
// one is caught.
void fail_each(const char *name, void (*host)(int careless), long want_calls) {
  outcome got = run("SIMT_COUNT=1", [=] { host(0); });
  long calls = 0;
  bool counted =
      sscanf(got.text.c_str(), "simt: calls=%ld device_bytes=2400 pinned_bytes=1200", &calls) == 1;
  report(counted && got.status == 0 && calls == want_calls,
         std::string(name) + ", counts of calls and bytes", got);
  for (long n = 1; n <= calls; n++) {
    std::string fail = "SIMT_FAIL=" + std::to_string(n);
    expect(
        std::string(name) + ", careful, " + fail, REFUSED, "", [=] { host(0); }, fail);
    expect(
        std::string(name) + ", careless, " + fail, n == 1 ? REFUSED : LEFT,
        n == 1 ? "" : "not freed at exit", [=] { host(1); }, fail);
  }
  expect(
      std::string(name) + ", failure of a call after the last", 0, "", [=] { host(0); },
      "SIMT_FAIL=" + std::to_string(calls + 1));
}

} // namespace

void test_failing_calls() {
  fail_each("two streams", careful, 12);
  fail_each("graph", careful_graph, 15);
  expect(
      "a setting that is not a number", ABORTED, "SIMT_FAIL: want a number, got \"x\"",
      [] { careful(0); }, "SIMT_FAIL=x");
}
