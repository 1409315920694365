#include "parameters.h"

Parameters parameters;

bool set_parameter(const std::string &name, double value) {
#define PARAMETER(parameter, default_value)                                                        \
  if (name == #parameter) {                                                                        \
    parameters.parameter = value;                                                                  \
    return true;                                                                                   \
  }
  TIMING_PARAMETERS(PARAMETER)
#undef PARAMETER
  return false;
}
