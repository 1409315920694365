// A gfx90a instruction as the emulator runs it. decode.cpp makes it from a line of llvm-objdump.
#ifndef EMULATOR_INSTRUCTION_H
#define EMULATOR_INSTRUCTION_H

#include <cstdint>
#include <cstring>
#include <string>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int8_t s8;
typedef int16_t s16;
typedef int32_t s32;
typedef int64_t s64;
typedef unsigned __int128 u128;
typedef __int128 s128;

enum {
  OPERAND_NONE, // its meaning is in the encoded words: hwreg(), counters of s_waitcnt
  OPERAND_VGPR,
  OPERAND_AGPR,
  OPERAND_SGPR,
  OPERAND_INTEGER, // an inline constant
  OPERAND_FLOAT,   // an inline constant; `value` is its code, from 240
  OPERAND_LITERAL,
  OPERAND_SCC,
  OPERAND_VCCZ,
  OPERAND_EXECZ,
  OPERAND_SHARED_BASE,
  OPERAND_SHARED_LIMIT,
  OPERAND_PRIVATE_BASE,
  OPERAND_PRIVATE_LIMIT,
};

enum { MODIFIER_NEG = 1, MODIFIER_ABS = 2, MODIFIER_SEXT = 4 };

struct Operand {
  u8 kind, mod;
  u16 count; // of registers
  u32 reg;   // the first register
  u64 imm;
};

enum {
  FLAG_DPP = 1,
  FLAG_SDWA = 2,
  FLAG_GLC = 4,
  FLAG_IDXEN = 8,
  FLAG_OFFEN = 16,
  FLAG_LDS = 32,
  FLAG_VOP3 = 64,
  FLAG_VOP3P = 128,
};

enum { MOST_OPERANDS = 6 };

struct Wave;
struct Instruction;
typedef void (*Handler)(Wave &, const Instruction &);

// The fields carry the names of the CDNA2 ISA manual.
struct Instruction {
  Handler run;
  u32 address; // bytes from the start of the code
  Operand operand[MOST_OPERANDS];
  u32 flags;
  u32 immediate; // simm16 of SOPP and SOPK; of a branch, the number of the target instruction
  s32 offset;
  u16 offset0, offset1;
  u8 operands, opsel, opsel_hi, neg_lo, neg_hi, clamp, omod, size;
  u16 dpp;
  u8 row_mask, bank_mask, bound, dst_sel, dst_unused, s0_sel, s1_sel, cbsz, abid, blgp;
  u32 word0, word1;
};

// The handler of a mnemonic without its suffix _e32, _e64, _dpp or _sdwa; NULL: there is none.
Handler find_handler(const std::string &mnemonic);

// Enters a handler while the library is loaded. The files of instructions hold nothing else.
struct Registered {
  Registered(const char *mnemonic, Handler handler);
};
#define EMULATOR_JOIN(a, b) a##b
#define EMULATOR_NAME(a, b) EMULATOR_JOIN(a, b)
#define INSTRUCTION(mnemonic, ...)                                                                 \
  static const Registered EMULATOR_NAME(registered, __COUNTER__)(mnemonic, __VA_ARGS__)

#endif
