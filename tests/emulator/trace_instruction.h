// What the timing model knows of an instruction.
#ifndef EMULATOR_TRACE_INSTRUCTION_H
#define EMULATOR_TRACE_INSTRUCTION_H

#include "instruction.h"

enum TraceKind : u8 {
  TRACE_VALU,
  TRACE_TRANSCENDENTAL,
  TRACE_MFMA,
  TRACE_SALU,
  TRACE_SMEM,
  TRACE_LOAD,
  TRACE_STORE,
  TRACE_ATOMIC,
  TRACE_LDS,
  TRACE_BRANCH,
  TRACE_WAIT,
  TRACE_BARRIER,
  TRACE_NOP,
  TRACE_END,
};

enum LdsKind : u8 {
  LDS_NOTHING,
  LDS_READ,
  LDS_WRITE,
  LDS_READ_TWICE,
  LDS_WRITE_TWICE,
  LDS_PERMUTE,
  LDS_ATOMIC_RETURNS,
  LDS_ATOMIC_ONLY,
};

enum MemorySpace : u8 { SPACE_GLOBAL, SPACE_FLAT, SPACE_SCRATCH, SPACE_BUFFER };

// VGPRs are 0 to 255, AGPRs from 256 on. count 0: none.
struct Registers {
  u16 first, count;
};

enum { ANY = 255 };

// What the core knows of an instruction.
struct TraceInstruction {
  TraceKind kind;
  u8 passes;         // of the matrix pipe, or issue cycles / 4
  u8 vmcnt, lgkmcnt; // counts that s_waitcnt waits for, or ANY
  u8 nops;           // cycles / 4 of s_nop and s_sleep
  u8 width;          // bytes of memory per lane
  u8 lanes;          // of memory that one cycle of L1 looks up
  LdsKind lds;       //
  bool strides_64;   // of two accesses to LDS
  MemorySpace space;
  u8 sources;
  Registers result, source[3]; // of MFMA: A, B and C in their places
  u32 line;                    // of the code, 64 bytes each
};

#endif
