// Runs the cases and prints TAP; see cases.h.

#include "cases.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

int cases, failures;

} // namespace

// ---- the body of a case ----

void check(bool good, const char *what, const char *file, int line) {
  if (!good) {
    fprintf(stderr, "%s:%d: not true: %s\n", file, line, what);
    _exit(WRONG); // skips the report at exit
  }
}

float *pinned(size_t n) {
  void *pointer;
  OK(hipHostMalloc(&pointer, n * sizeof(float), hipHostMallocDefault));
  return static_cast<float *>(pointer);
}

hipStream_t stream(unsigned flags) {
  hipStream_t made;
  OK(hipStreamCreateWithFlags(&made, flags));
  return made;
}

hipEvent_t event(unsigned flags) {
  hipEvent_t made;
  OK(hipEventCreateWithFlags(&made, flags));
  return made;
}

std::vector<float> numbers(int n) {
  std::vector<float> values;
  for (int i = 0; i < n; i++) {
    values.push_back(static_cast<float>(i * 37 % 19 - 9));
  }
  return values;
}

// ---- running cases ----

const char *const orders[4] = {"SIMT_ORDER=0", "SIMT_ORDER=1", "SIMT_ORDER=2 SIMT_SEED=1",
                               "SIMT_ORDER=2 SIMT_SEED=2"};

outcome run(const std::string &environment, const std::function<void()> &body) {
  int ends[2];
  if (pipe(ends) != 0) {
    return {-1, "pipe failed"};
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

void expect(const std::string &name, int status, const std::string &text,
            const std::function<void()> &body, const std::string &environment) {
  outcome got = run(environment, body);
  bool found = text.empty() ? got.text.empty() : got.text.find(text) != std::string::npos;
  report(got.status == status && found, name, got);
}

void kernel_case(const char *name, void (*body)(mutant), mutant which, int status,
                 const std::string &text) {
  for (const char *order : orders) {
    expect(
        std::string(name) + ", " + order, status, text, [=] { body(which); }, order);
  }
}

int main() {
  test_kernels();
  test_matrices();
  test_lanes();
  test_memory();
  test_streams();
  test_graphs();
  test_misuse();
  test_failing_calls();
  printf("1..%d\n", cases);
  return failures != 0;
}
