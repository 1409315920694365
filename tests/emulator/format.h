// printf into a string.
#ifndef EMULATOR_FORMAT_H
#define EMULATOR_FORMAT_H

#include <string>

std::string format(const char *pattern, ...) __attribute__((format(printf, 1, 2)));

#endif
