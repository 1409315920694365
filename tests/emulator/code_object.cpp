#include "code_object.h"

#include "message_pack.h"

#include <elf.h>

static const char TARGET[] = "gfx90a";

// Not in every elf.h.
enum { MACHINE_AMDGPU = 224, FLAGS_GFX90A = 0x3f, NOTE_METADATA = 32 };
enum { R_ABS32_LO = 1, R_ABS32_HI = 2, R_ABS64 = 3, R_ABS32 = 6, R_RELATIVE64 = 13 };

static Fault refused(const std::string &message) {
  return Fault{"code object: " + message};
}

// A copy of a struct at an offset.
template <class T> static T at(const std::string &data, u64 offset) {
  T value;
  if (offset > data.size() || data.size() - offset < sizeof value)
    throw refused("want more bytes, found the end");
  memcpy(&value, data.data() + offset, sizeof value);
  return value;
}

// ---- the file ----

static u64 elf_bytes(const char *elf) {
  Elf64_Ehdr header;
  memcpy(&header, elf, sizeof header);
  return header.e_shoff + (u64)header.e_shentsize * header.e_shnum;
}

// The bundle that clang makes: a count, then per entry an offset, a size and a name.
static std::string find_in_bundle(const char *bundle) {
  const char *entry = bundle + 24;
  u64 count;
  memcpy(&count, entry, sizeof count);
  entry += sizeof count;
  for (u64 i = 0; i < count; ++i) {
    u64 head[3];
    memcpy(head, entry, sizeof head);
    const std::string name(entry + sizeof head, head[2]);
    if (name.find(TARGET) != std::string::npos && head[1] > 0)
      return std::string(bundle + head[0], head[1]);
    entry += sizeof head + head[2];
  }
  throw refused(format("want code for %s in the bundle, found none", TARGET));
}

static std::string find_elf(const void *image) {
  const char *bytes = (const char *)image;
  if (!memcmp(bytes, "__CLANG_OFFLOAD_BUNDLE__", 24))
    return find_in_bundle(bytes);
  if (!memcmp(bytes, ELFMAG, SELFMAG))
    return std::string(bytes, elf_bytes(bytes));
  throw refused("want a bundle of clang or an ELF file, found something else");
}

// ---- its parts ----

static std::vector<Elf64_Shdr> read_sections(const std::string &elf) {
  const Elf64_Ehdr header = at<Elf64_Ehdr>(elf, 0);
  std::vector<Elf64_Shdr> list;
  for (int i = 0; i < header.e_shnum; ++i)
    list.push_back(at<Elf64_Shdr>(elf, header.e_shoff + (u64)i * header.e_shentsize));
  return list;
}

static std::vector<Elf64_Phdr> read_program_headers(const std::string &elf) {
  const Elf64_Ehdr header = at<Elf64_Ehdr>(elf, 0);
  std::vector<Elf64_Phdr> list;
  for (int i = 0; i < header.e_phnum; ++i)
    list.push_back(at<Elf64_Phdr>(elf, header.e_phoff + (u64)i * header.e_phentsize));
  return list;
}

static void read_segments(CodeObject &object) {
  for (const Elf64_Phdr &each : read_program_headers(object.elf))
    if (each.p_type == PT_LOAD)
      object.segments.push_back({each.p_vaddr, each.p_memsz,
                                 object.elf.substr(each.p_offset, each.p_filesz),
                                 (each.p_flags & PF_W) != 0});
  if (object.segments.empty())
    throw refused("want a segment, found none");
}

static std::string symbol_name(const CodeObject &object, const Elf64_Shdr &strings,
                               const Elf64_Sym &symbol) {
  return object.elf.c_str() + strings.sh_offset + symbol.st_name;
}

static void read_symbols(CodeObject &object, const std::vector<Elf64_Shdr> &sections) {
  for (const Elf64_Shdr &table : sections) {
    if (table.sh_type != SHT_SYMTAB && table.sh_type != SHT_DYNSYM)
      continue;
    for (u64 i = 0; i < table.sh_size / sizeof(Elf64_Sym); ++i) {
      const auto symbol = at<Elf64_Sym>(object.elf, table.sh_offset + i * sizeof(Elf64_Sym));
      if (symbol.st_shndx != SHN_UNDEF)
        object.symbols.insert({symbol_name(object, sections[table.sh_link], symbol),
                               {symbol.st_value, symbol.st_size}});
    }
  }
}

static Relocation relocation_of(const CodeObject &object, const std::vector<Elf64_Shdr> &sections,
                                const Elf64_Shdr &table, const Elf64_Rela &entry) {
  const u32 type = ELF64_R_TYPE(entry.r_info);
  Relocation made = {entry.r_offset, (u64)entry.r_addend, Relocation::WORD64};
  if (type == R_RELATIVE64)
    return made;
  const Elf64_Shdr &symbols = sections[table.sh_link];
  const auto symbol =
      at<Elf64_Sym>(object.elf, symbols.sh_offset + ELF64_R_SYM(entry.r_info) * sizeof(Elf64_Sym));
  if (symbol.st_shndx == SHN_UNDEF)
    throw refused("want a definition of " + symbol_name(object, sections[symbols.sh_link], symbol) +
                  ", found none");
  made.value += symbol.st_value;
  if (type == R_ABS32_HI)
    made.kind = Relocation::HIGH32;
  else if (type == R_ABS32_LO || type == R_ABS32)
    made.kind = Relocation::LOW32;
  else if (type != R_ABS64)
    throw refused(format("want a relocation that the emulator knows, found type %u", type));
  return made;
}

static void read_relocations(CodeObject &object, const std::vector<Elf64_Shdr> &sections) {
  for (const Elf64_Shdr &table : sections) {
    if (table.sh_type != SHT_RELA)
      continue;
    for (u64 i = 0; i < table.sh_size / sizeof(Elf64_Rela); ++i) {
      const auto entry = at<Elf64_Rela>(object.elf, table.sh_offset + i * sizeof(Elf64_Rela));
      if (ELF64_R_TYPE(entry.r_info) != 0)
        object.relocations.push_back(relocation_of(object, sections, table, entry));
    }
  }
}

static void find_text(CodeObject &object, const std::vector<Elf64_Shdr> &sections) {
  for (const Elf64_Shdr &each : sections)
    if (each.sh_type == SHT_PROGBITS && each.sh_flags & SHF_EXECINSTR) {
      object.text_address = each.sh_addr;
      object.text_bytes = each.sh_size;
      return;
    }
  throw refused("want code, found none");
}

// ---- kernels ----

// The kernel descriptor of AMD's code object format, 64 bytes.
struct Descriptor {
  u32 lds_bytes, scratch_bytes, kernarg_bytes, reserved;
  s64 entry; // from the start of the descriptor
  u8 reserved_too[20];
  u32 rsrc3, rsrc1, rsrc2;
  u16 properties, preload;
  u32 reserved_at_end;
};
static_assert(sizeof(Descriptor) == 64, "the format of code objects");

static std::string bytes_at(const CodeObject &object, u64 address, u64 bytes) {
  for (const Segment &each : object.segments)
    if (address >= each.address && address + bytes <= each.address + each.content.size())
      return each.content.substr(address - each.address, bytes);
  throw refused("want a kernel descriptor in a segment, found it outside");
}

static void read_kernels(CodeObject &object) {
  static const std::string SUFFIX = ".kd";
  for (const auto &[name, symbol] : object.symbols) {
    if (name.size() < SUFFIX.size() || name.substr(name.size() - SUFFIX.size()) != SUFFIX)
      continue;
    const auto found = at<Descriptor>(bytes_at(object, symbol.address, sizeof(Descriptor)), 0);
    const u32 registers = ((found.rsrc1 & 63) + 1) * 8, first_agpr = ((found.rsrc3 & 63) + 1) * 4;
    Kernel kernel = {};
    kernel.name = name.substr(0, name.size() - SUFFIX.size());
    kernel.entry = symbol.address + found.entry;
    kernel.descriptor = symbol.address;
    kernel.lds_bytes = found.lds_bytes;
    kernel.scratch_bytes = found.scratch_bytes;
    kernel.kernarg_bytes = found.kernarg_bytes;
    kernel.properties = found.properties;
    kernel.rsrc1 = found.rsrc1;
    kernel.rsrc2 = found.rsrc2;
    kernel.vgprs = std::min(first_agpr, 256u);
    kernel.agprs = registers > first_agpr ? std::min(registers - first_agpr, 256u) : 0;
    kernel.most_threads = 1024;
    object.kernels[kernel.name] = kernel;
  }
}

static void add_metadata(CodeObject &object, const Value &metadata) {
  for (const Value &each : metadata.get("amdhsa.kernels").items) {
    const auto found = object.kernels.find(each.get(".name").text);
    if (found == object.kernels.end())
      continue;
    Kernel &kernel = found->second;
    if (const u64 most = each.get(".max_flat_workgroup_size").number)
      kernel.most_threads = (u32)most;
    kernel.has_dynamic_stack = each.get(".uses_dynamic_stack").number != 0;
    for (const Value &argument : each.get(".args").items)
      kernel.arguments.push_back({(u32)argument.get(".offset").number,
                                  (u32)argument.get(".size").number,
                                  argument.get(".value_kind").text});
  }
}

static u64 rounded_up_4(u64 bytes) {
  return (bytes + 3) & ~3ull;
}

static void read_metadata(CodeObject &object) {
  for (const Elf64_Phdr &each : read_program_headers(object.elf)) {
    if (each.p_type != PT_NOTE)
      continue;
    u64 offset = each.p_offset;
    while (offset + sizeof(Elf64_Nhdr) <= each.p_offset + each.p_filesz) {
      const auto note = at<Elf64_Nhdr>(object.elf, offset);
      const u64 content = offset + sizeof note + rounded_up_4(note.n_namesz);
      if (note.n_type == NOTE_METADATA)
        add_metadata(object, read_message_pack(object.elf.substr(content, note.n_descsz)));
      offset = content + rounded_up_4(note.n_descsz);
    }
  }
}

CodeObject read_code_object(const void *image) {
  CodeObject object;
  object.elf = find_elf(image);
  const Elf64_Ehdr header = at<Elf64_Ehdr>(object.elf, 0);
  if (header.e_machine != MACHINE_AMDGPU || (header.e_flags & 0xff) != FLAGS_GFX90A)
    throw refused(format("want code for %s, found code for another machine", TARGET));
  const auto sections = read_sections(object.elf);
  read_segments(object);
  read_symbols(object, sections);
  read_relocations(object, sections);
  find_text(object, sections);
  read_kernels(object);
  read_metadata(object);
  return object;
}
