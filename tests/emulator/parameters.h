// The parameters of the timing model. README.md says where each comes from.
#ifndef EMULATOR_PARAMETERS_H
#define EMULATOR_PARAMETERS_H

#include <string>

// PARAMETER(name, default)
#define TIMING_PARAMETERS(PARAMETER)                                                               \
  PARAMETER(clock, 1.7)                                                                            \
  PARAMETER(cus, 104)                                                                              \
  PARAMETER(waves_simd, 8)                                                                         \
  PARAMETER(vgprs, 512)                                                                            \
  PARAMETER(lds_kb, 64)                                                                            \
  PARAMETER(groups_cu, 16)                                                                         \
  PARAMETER(valu, 4)                                                                               \
  PARAMETER(transcendental, 16)                                                                    \
  PARAMETER(mfma_latency, 16)                                                                      \
  PARAMETER(mfma_gap, 0)                                                                           \
  PARAMETER(salu, 4)                                                                               \
  PARAMETER(branch_taken, 20)                                                                      \
  PARAMETER(branch_not_taken, 8)                                                                   \
  PARAMETER(barrier, 12)                                                                           \
  PARAMETER(lds_latency, 64)                                                                       \
  PARAMETER(lds_bytes, 128)                                                                        \
  PARAMETER(lds_queue, 32)                                                                         \
  PARAMETER(l1_queue, 64)                                                                          \
  PARAMETER(l1_kb, 16)                                                                             \
  PARAMETER(l1_latency, 120)                                                                       \
  PARAMETER(l2_mb, 8)                                                                              \
  PARAMETER(l2_channels, 32)                                                                       \
  PARAMETER(l2_bytes, 64)                                                                          \
  PARAMETER(l2_latency, 270)                                                                       \
  PARAMETER(hbm_gbs, 1638)                                                                         \
  PARAMETER(hbm_efficiency, 0.84)                                                                  \
  PARAMETER(hbm_latency, 700)                                                                      \
  PARAMETER(l1_misses, 128)                                                                        \
  PARAMETER(scalar_latency, 60)                                                                    \
  PARAMETER(scalar_kb, 16)                                                                         \
  PARAMETER(code_kb, 32)                                                                           \
  PARAMETER(code_ahead, 1)                                                                         \
  PARAMETER(store_latency, 300)                                                                    \
  PARAMETER(group_gap, 4)                                                                          \
  PARAMETER(wave_start, 150)                                                                       \
  PARAMETER(launch_us, 2.5)                                                                        \
  PARAMETER(conflicts, 1)                                                                          \
  PARAMETER(ifetch, 1)                                                                             \
  PARAMETER(sample, 0)                                                                             \
  PARAMETER(quantum, 48)                                                                           \
  PARAMETER(ahead_mb, 1500)                                                                        \
  PARAMETER(hash, 1)

struct Parameters {
#define PARAMETER(name, value) double name = value;
  TIMING_PARAMETERS(PARAMETER)
#undef PARAMETER
};
extern Parameters parameters;

// False: there is no such parameter.
bool set_parameter(const std::string &name, double value);

#endif
