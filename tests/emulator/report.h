// What a timed launch says.
#ifndef EMULATOR_REPORT_H
#define EMULATOR_REPORT_H

#include "timing.h"

// Writes a line of the time file, if there is one, and four lines to stderr if the environment says
// so. A table of all kernels follows at the end of the program.
void report_time(const std::string &symbol, const Launch &launch, const TimeResult &result);

#endif
