#ifndef EMULATOR_OPERAND_H
#define EMULATOR_OPERAND_H

#include "instruction.h"

// Reads an operand as llvm-objdump writes it: `v[2:3]`, `-|s4|`, `vcc_lo`, `0x3f80`, `1.0`.
Operand read_operand(std::string text);

#endif
