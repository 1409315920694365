// A code object, as the compiler for gfx90a makes it: an ELF file with segments, symbols, kernel
// descriptors and metadata.
#ifndef EMULATOR_CODE_OBJECT_H
#define EMULATOR_CODE_OBJECT_H

#include "wave.h"

#include <map>

struct KernelArgument {
  u32 offset, bytes;
  std::string kind; // `hidden_...` is filled in by the runtime
};

struct Kernel {
  std::string name;
  u64 entry, descriptor; // addresses in the ELF file
  u32 lds_bytes, scratch_bytes, kernarg_bytes;
  u32 properties, rsrc1, rsrc2;
  u32 vgprs, agprs;
  u32 most_threads = 1024;
  bool has_dynamic_stack = false;
  std::vector<KernelArgument> arguments;
};

struct Segment {
  u64 address, bytes; // in memory
  std::string content;
  bool is_writable;
};

// A value of 8 bytes, or half of one, that depends on where the segments are loaded.
struct Relocation {
  u64 offset, value; // value relative to where they are loaded
  enum { WORD64, LOW32, HIGH32 } kind;
};

struct Symbol {
  u64 address, bytes;
};

struct CodeObject {
  std::string elf;
  std::vector<Segment> segments;
  std::vector<Relocation> relocations;
  u64 text_address = 0, text_bytes = 0;
  std::map<std::string, Symbol> symbols;
  std::map<std::string, Kernel> kernels;
};

// Reads the code object for gfx90a out of what hipcc stores in a program: a bundle, or the ELF file
// alone. Throws Fault.
CodeObject read_code_object(const void *image);

// Disassembles the code of each object into its module, by llvm-objdump. Throws Fault.
void decode(const std::vector<const CodeObject *> &objects, const std::vector<Module *> &modules);

#endif
