#include "environment.h"

#include "parameters.h"

#include <cstdio>
#include <cstdlib>
#include <thread>
#include <unistd.h>

void give_up(const std::string &message) {
  enum { ABORTED = 134 };
  fflush(nullptr);
  fprintf(stderr, "emulator: %s\n", message.c_str());
  _exit(ABORTED);
}

static u64 read_number(const char *name, u64 otherwise) {
  const char *text = getenv(name);
  if (!text)
    return otherwise;
  char *end;
  const u64 value = strtoull(text, &end, 10);
  if (*text < '0' || *text > '9' || *end)
    give_up(format("%s: want a number, found \"%.80s\"", name, text));
  return value;
}

// NAME=VALUE, separated by spaces or commas.
static void read_parameters(const std::string &text) {
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find_first_of(" ,", begin), text.size());
    const std::string each = text.substr(begin, end - begin);
    const size_t equals = each.find('=');
    char *rest = nullptr;
    const double value = equals == std::string::npos ? 0 : strtod(each.c_str() + equals + 1, &rest);
    if (!each.empty() && (!rest || *rest || !set_parameter(each.substr(0, equals), value)))
      give_up(format("EMULATOR_PARAMETERS: want NAME=NUMBER with a name of the README, found "
                     "\"%.80s\"",
                     each.c_str()));
    begin = end + 1;
  }
}

static Environment read_environment() {
  enum { MOST_THREADS = 8 };
  Environment made;
  Settings &settings = made.settings;
  const u64 cores = std::max(1u, std::thread::hardware_concurrency());
  settings.out_of_bounds_goes_on = (u32)read_number("EMULATOR_BOUNDS", 1) == 0;
  settings.race = (u32)read_number("EMULATOR_RACE", 0);
  settings.order = (u32)read_number("EMULATOR_ORDER", 0);
  settings.seed = (u32)read_number("EMULATOR_SEED", 0);
  settings.resident = (u32)read_number("EMULATOR_RESIDENT", 1);
  settings.align = (u32)read_number("EMULATOR_ALIGN", 0);
  settings.time = (u32)read_number("EMULATOR_TIME", 0);
  settings.most_instructions = read_number("EMULATOR_INSTRUCTIONS", 0);
  settings.threads = (u32)read_number("EMULATOR_THREADS", std::min<u64>(cores, MOST_THREADS));
  made.devices = (int)read_number("EMULATOR_DEVICES", 1);
  made.verbose = read_number("EMULATOR_VERBOSE", 0) != 0;
  made.time_file = getenv("EMULATOR_TIME_FILE");
  if (const char *text = getenv("EMULATOR_PARAMETERS"))
    read_parameters(text);
  return made;
}

const Environment &environment() {
  static const Environment read = read_environment();
  return read;
}
