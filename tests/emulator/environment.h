// What the environment says; README.md lists the variables.
#ifndef EMULATOR_ENVIRONMENT_H
#define EMULATOR_ENVIRONMENT_H

#include "wave.h"

struct Environment {
  Settings settings;
  int devices = 1;
  bool verbose = false;
  const char *time_file = nullptr;
};

// Reads the environment once.
const Environment &environment();

// Ends the program after a message to stderr, as a fault of the GPU would.
[[noreturn]] void give_up(const std::string &message);

#endif
