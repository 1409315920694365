// Turns the text of llvm-objdump into instructions. The text has the operands; modifiers that it
// writes in many ways are read from the encoded words beside it.
#include "code_object.h"
#include "operand.h"

#include <sys/mman.h>
#include <unistd.h>

#include <set>
#include <unordered_map>

namespace {

// One line: `v_add_u32_e32 v0, v1, v2 // 000000001000: 68000501`.
struct Line {
  std::string mnemonic, base, text;
  u64 address;
  std::vector<u32> words;
  std::vector<std::string> operands, modifiers;
};

// ---- running llvm-objdump ----

// hipcc 5.2 comes with version 15. A later one reads the code of later compilers.
const char *const PROGRAMS[] = {"llvm-objdump-22", "llvm-objdump-15", "llvm-objdump"};

std::string find_program() {
  static std::string found;
  if (!found.empty())
    return found;
  if (const char *given = getenv("EMULATOR_OBJDUMP"))
    return found = given;
  for (const char *each : PROGRAMS)
    if (!system(format("command -v %s >/dev/null", each).c_str()))
      return found = each;
  throw Fault{"llvm-objdump: want version 15 or 22 in PATH, found none: install llvm-15"};
}

std::string read_all(FILE *file) {
  std::string all;
  char piece[1 << 16];
  size_t count;
  while ((count = fread(piece, 1, sizeof piece, file)) > 0)
    all.append(piece, count);
  return all;
}

// Files in memory, which a child inherits.
class MemoryFiles {
public:
  ~MemoryFiles() {
    for (const int each : files)
      close(each);
  }
  // Returns the path of a file with this content.
  std::string add(const std::string &content) {
    const int file = memfd_create("code object", 0);
    if (file < 0 || write(file, content.data(), content.size()) != (ssize_t)content.size())
      throw Fault{"code object: out of memory for a copy of it"};
    files.push_back(file);
    return format("/proc/self/fd/%d", file);
  }

private:
  std::vector<int> files;
};

// The disassembly of each code object. One process makes all of them, since most of its time is its
// start.
std::vector<std::string> disassemble(const std::vector<const CodeObject *> &objects) {
  MemoryFiles files;
  std::vector<std::string> paths, texts;
  std::string command = find_program() + " -d -z";
  for (const CodeObject *each : objects) {
    paths.push_back(files.add(each->elf));
    command += " " + paths.back();
  }
  FILE *pipe = popen(command.c_str(), "r");
  const std::string all = pipe ? read_all(pipe) : "";
  if (!pipe || pclose(pipe) != 0)
    throw Fault{find_program() + ": the run failed"};
  for (const std::string &path : paths) {
    const size_t begin = all.find(path + ":\tfile format");
    const size_t end = all.find(":\tfile format", begin + path.size() + 2);
    texts.push_back(begin == std::string::npos ? "" : all.substr(begin, end - begin));
  }
  return texts;
}

// ---- reading its lines ----

// Splits at a character outside brackets and removes spaces around each part.
std::vector<std::string> split(const std::string &text, char at) {
  std::vector<std::string> parts;
  std::string part;
  int depth = 0;
  const auto add = [&] {
    const size_t first = part.find_first_not_of(' '), last = part.find_last_not_of(' ');
    if (first != std::string::npos)
      parts.push_back(part.substr(first, last - first + 1));
    part.clear();
  };
  for (const char each : text) {
    depth += (each == '[' || each == '(') - (each == ']' || each == ')');
    if (each == at && depth == 0)
      add();
    else
      part += each;
  }
  add();
  return parts;
}

std::string without_suffix(const std::string &mnemonic) {
  for (const char *suffix : {"_e32", "_e64", "_sdwa", "_dpp"}) {
    const size_t length = strlen(suffix);
    if (mnemonic.size() > length && !mnemonic.compare(mnemonic.size() - length, length, suffix))
      return mnemonic.substr(0, mnemonic.size() - length);
  }
  return mnemonic;
}

// Reads `ADDRESS: WORD WORD <label>`.
bool read_encoding(const std::string &text, Line *line) {
  char *end;
  line->address = strtoull(text.c_str(), &end, 16);
  if (end == text.c_str() || *end++ != ':')
    return false;
  for (;;) {
    const char *begin = end;
    const u64 word = strtoull(begin, &end, 16);
    if (end == begin)
      return !line->words.empty();
    line->words.push_back((u32)word);
  }
}

// False: the line has no instruction.
bool read_line(const std::string &text, Line *line) {
  const size_t comment = text.find("// ");
  if (text.empty() || text[0] != '\t' || comment == std::string::npos ||
      !read_encoding(text.substr(comment + 3), line))
    return false;
  const std::string code = text.substr(1, comment - 1);
  const size_t end = code.find_first_of(" \t");
  line->mnemonic = code.substr(0, end);
  line->base = without_suffix(line->mnemonic);
  line->text = code.substr(0, code.find_last_not_of(" \t") + 1);
  if (end != std::string::npos)
    line->operands = split(code.substr(end), ',');
  if (!line->operands.empty()) {
    // Modifiers follow the last operand without a comma.
    line->modifiers = split(line->operands.back(), ' ');
    line->operands.back() = line->modifiers.front();
    line->modifiers.erase(line->modifiers.begin());
  }
  return true;
}

std::vector<Line> read_lines(const std::string &text, const CodeObject &object) {
  std::vector<Line> lines;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    Line line;
    if (read_line(text.substr(begin, end - begin), &line) && line.address >= object.text_address &&
        line.address < object.text_address + object.text_bytes)
      lines.push_back(line);
    begin = end + 1;
  }
  return lines;
}

// ---- making instructions ----

u32 bits(u32 word, int first, int count) {
  return (word >> first) & ((1u << count) - 1);
}

bool begins(const std::string &text, const char *with) {
  return text.rfind(with, 0) == 0;
}

void set_modifiers(const Line &line, Instruction *inst) {
  static const std::map<std::string, u32> FLAGS = {
      {"glc", FLAG_GLC}, {"idxen", FLAG_IDXEN}, {"offen", FLAG_OFFEN}, {"lds", FLAG_LDS}};
  for (const std::string &each : line.modifiers) {
    const auto flag = FLAGS.find(each);
    const size_t colon = each.find(':');
    const std::string name = each.substr(0, colon);
    if (flag != FLAGS.end())
      inst->flags |= flag->second;
    if (colon == std::string::npos || each[colon + 1] == 's') // swizzle(...) is in the words
      continue;
    const long value = strtol(each.c_str() + colon + 1, nullptr, 0);
    if (name == "offset")
      inst->offset = (s32)value;
    else if (name == "offset0")
      inst->offset0 = (u16)value;
    else if (name == "offset1")
      inst->offset1 = (u16)value;
  }
}

// Packed and matrix instructions.
void set_vop3p(const Line &line, Instruction *inst) {
  const u32 word0 = inst->word0, word1 = inst->word1;
  inst->flags |= FLAG_VOP3P;
  if (line.base.find("mfma") != std::string::npos ||
      line.base.find("accvgpr") != std::string::npos) {
    inst->cbsz = bits(word0, 8, 3);
    inst->abid = bits(word0, 11, 4);
    inst->blgp = bits(word1, 29, 3);
    return;
  }
  inst->opsel = bits(word0, 11, 3);
  inst->opsel_hi = bits(word1, 27, 2) | bits(word0, 14, 1) << 2;
  inst->neg_lo = bits(word1, 29, 3);
  inst->neg_hi = bits(word0, 8, 3);
  inst->clamp = bits(word0, 15, 1);
}

void set_vop3(const Line &line, Instruction *inst) {
  // These have a second destination in the bits of opsel.
  static const std::set<std::string> TWO_RESULTS = {
      "v_add_co_u32",     "v_sub_co_u32",    "v_subrev_co_u32", "v_addc_co_u32", "v_subb_co_u32",
      "v_subbrev_co_u32", "v_div_scale_f32", "v_div_scale_f64", "v_mad_u64_u32", "v_mad_i64_i32"};
  inst->clamp = bits(inst->word0, 15, 1);
  inst->omod = bits(inst->word1, 27, 2);
  if (TWO_RESULTS.count(line.base))
    return;
  inst->flags |= FLAG_VOP3;
  inst->opsel = bits(inst->word0, 11, 4);
}

void set_dpp(Instruction *inst) {
  inst->flags |= FLAG_DPP;
  inst->dpp = bits(inst->word1, 8, 9);
  inst->bound = bits(inst->word1, 19, 1);
  inst->bank_mask = bits(inst->word1, 24, 4);
  inst->row_mask = bits(inst->word1, 28, 4);
}

void set_sdwa(const Line &line, Instruction *inst) {
  enum { WHOLE = 6, VOP1 = 0x3f };
  inst->flags |= FLAG_SDWA;
  inst->s0_sel = bits(inst->word1, 16, 3);
  inst->s1_sel = bits(inst->word0, 25, 7) == VOP1 ? (u32)WHOLE : bits(inst->word1, 24, 3);
  inst->dst_sel = WHOLE;
  if (begins(line.base, "v_cmp"))
    return;
  inst->dst_sel = bits(inst->word1, 8, 3);
  inst->dst_unused = bits(inst->word1, 11, 2);
  inst->clamp = bits(inst->word1, 13, 1);
  inst->omod = bits(inst->word1, 14, 2);
}

void set_encoding(const Line &line, Instruction *inst) {
  enum { VOP3 = 0x34, VOP3P = 0x1a7, SDWA = 0xf9, DPP = 0xfa };
  const u32 word0 = inst->word0, source = bits(word0, 0, 9);
  const bool is_vector = word0 >> 31 == 0 && line.words.size() == 2;
  if (word0 >> 26 == VOP3 && word0 >> 23 == VOP3P)
    set_vop3p(line, inst);
  else if (word0 >> 26 == VOP3)
    set_vop3(line, inst);
  else if (is_vector && source == DPP && line.mnemonic != line.base)
    set_dpp(inst);
  else if (is_vector && source == SDWA && line.mnemonic != line.base)
    set_sdwa(line, inst);
}

void raise_unknown(Wave &wave, const Instruction &inst) {
  raise_fault(wave, inst, "the emulator does not know this instruction");
}

typedef std::unordered_map<u64, s32> Index; // of instructions by address

Instruction instruction_of(const Line &line, u64 text_address, const Index &index) {
  Instruction inst = {};
  const Handler handler = find_handler(line.base);
  inst.run = handler ? handler : raise_unknown;
  inst.address = (u32)(line.address - text_address);
  inst.size = (u8)(4 * line.words.size());
  inst.word0 = line.words[0];
  inst.word1 = line.words.size() > 1 ? line.words[1] : 0;
  inst.operands = (u8)std::min<size_t>(line.operands.size(), MOST_OPERANDS);
  for (int i = 0; i < inst.operands; ++i)
    inst.operand[i] = read_operand(line.operands[i]);
  set_modifiers(line, &inst);
  set_encoding(line, &inst);
  inst.immediate = bits(inst.word0, 0, 16);
  if (begins(line.base, "s_branch") || begins(line.base, "s_cbranch") ||
      line.base == "s_call_b64") {
    const auto target = index.find(line.address + 4 + 4 * (s64)(s16)inst.immediate);
    inst.immediate = target == index.end() ? ~0u : (u32)target->second;
  }
  if (line.base == "s_set_gpr_idx_on") {
    inst.operand[1].kind = OPERAND_INTEGER;
    inst.operand[1].imm = bits(inst.word0, 8, 8);
  }
  return inst;
}

} // namespace

static void decode_text(const std::string &text, const CodeObject &object, Module &module) {
  const std::vector<Line> lines = read_lines(text, object);
  if (lines.empty())
    throw Fault{find_program() + ": want instructions of a code object, found none"};
  Index index;
  for (const Line &line : lines)
    index.insert({line.address, (s32)index.size()});
  module.text_size = object.text_bytes;
  module.index.assign(object.text_bytes / 4 + 1, -1);
  for (const Line &line : lines) {
    const u64 dword = (line.address - object.text_address) / 4;
    module.index[dword] = (s32)module.code.size();
    module.code.push_back(instruction_of(line, object.text_address, index));
    module.text.push_back(line.text);
  }
}

void decode(const std::vector<const CodeObject *> &objects, const std::vector<Module *> &modules) {
  const auto texts = disassemble(objects);
  for (size_t i = 0; i < objects.size(); ++i)
    decode_text(texts[i], *objects[i], *modules[i]);
}
