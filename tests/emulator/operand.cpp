#include "operand.h"

#include <map>

static bool starts_with(const std::string &text, const char *with) {
  return text.rfind(with, 0) == 0;
}

// The text between `first` and `last`, if it begins and ends with them; sets *found.
static std::string between(const std::string &text, const std::string &first,
                           const std::string &last, bool *found) {
  *found = text.size() > first.size() + last.size() && starts_with(text, first.c_str()) &&
           text.compare(text.size() - last.size(), last.size(), last) == 0;
  return *found ? text.substr(first.size(), text.size() - first.size() - last.size()) : text;
}

struct Named {
  u32 reg;
  u16 count;
};
static const std::map<std::string, Named> NAMED = {
    {"flat_scratch", {102, 2}},
    {"flat_scratch_lo", {102, 1}},
    {"flat_scratch_hi", {103, 1}},
    {"xnack_mask", {104, 2}},
    {"xnack_mask_lo", {104, 1}},
    {"xnack_mask_hi", {105, 1}},
    {"vcc", {106, 2}},
    {"vcc_lo", {106, 1}},
    {"vcc_hi", {107, 1}},
    {"m0", {124, 1}},
    {"exec", {126, 2}},
    {"exec_lo", {126, 1}},
    {"exec_hi", {127, 1}},
};

static const std::map<std::string, u8> SPECIAL = {
    {"scc", OPERAND_SCC},
    {"src_scc", OPERAND_SCC},
    {"vccz", OPERAND_VCCZ},
    {"src_vccz", OPERAND_VCCZ},
    {"execz", OPERAND_EXECZ},
    {"src_execz", OPERAND_EXECZ},
    {"src_shared_base", OPERAND_SHARED_BASE},
    {"src_shared_limit", OPERAND_SHARED_LIMIT},
    {"src_private_base", OPERAND_PRIVATE_BASE},
    {"src_private_limit", OPERAND_PRIVATE_LIMIT},
};

// The inline constants of the ISA manual; 1 / (2 pi) is written with more or fewer digits.
static u64 inline_float(const std::string &text) {
  static const char *const FLOATS[] = {"0.5", "-0.5", "1.0", "-1.0", "2.0", "-2.0", "4.0", "-4.0"};
  u64 code = 240;
  for (const char *each : FLOATS) {
    if (text == each)
      return code;
    ++code;
  }
  return starts_with(text, "0.159") ? code : 0;
}

// A minus is a modifier before a register, and the sign of a number else.
static bool negates(const std::string &text) {
  if (text.size() < 2 || text[0] != '-')
    return false;
  const std::string rest = text.substr(1);
  return rest[0] == '|' || rest[0] == 'v' || rest[0] == 'a' || rest[0] == 's' ||
         starts_with(rest, "ttmp") || NAMED.count(rest);
}

// Removes the modifiers around a text and returns them.
static u8 remove_modifiers(std::string *text) {
  u8 modifiers = 0;
  for (;;) {
    bool found;
    if (negates(*text)) {
      *text = text->substr(1);
      modifiers |= MODIFIER_NEG;
      continue;
    }
    *text = between(*text, "sext(", ")", &found);
    if (found) {
      modifiers |= MODIFIER_SEXT;
      continue;
    }
    *text = between(*text, "neg(", ")", &found);
    if (found) {
      modifiers |= MODIFIER_NEG;
      continue;
    }
    *text = between(*text, "|", "|", &found);
    if (!found)
      *text = between(*text, "abs(", ")", &found);
    if (!found)
      return modifiers;
    modifiers |= MODIFIER_ABS;
  }
}

// Reads `v3`, `a[0:15]`, `s[4:5]` or `ttmp2`.
static bool read_register(const std::string &text, Operand *operand) {
  static const struct {
    const char *prefix;
    u8 kind;
    u32 first;
  } FILES[] = {
      {"v", OPERAND_VGPR, 0},
      {"a", OPERAND_AGPR, 0},
      {"s", OPERAND_SGPR, 0},
      {"ttmp", OPERAND_SGPR, 108},
  };
  for (const auto &file : FILES) {
    unsigned first, last;
    int end = 0;
    const std::string prefix = file.prefix;
    const bool many =
        sscanf(text.c_str(), (prefix + "[%u:%u]%n").c_str(), &first, &last, &end) == 2;
    const bool one = !many && sscanf(text.c_str(), (prefix + "%u%n").c_str(), &first, &end) == 1;
    if ((!many && !one) || end != (int)text.size())
      continue;
    operand->kind = file.kind;
    operand->reg = file.first + first;
    operand->count = many ? (u16)(last - first + 1) : 1;
    return true;
  }
  return false;
}

static bool is_integer(const std::string &text) {
  const size_t digits = text[0] == '-' ? 1 : 0;
  return text.size() > digits && text.find_first_not_of("0123456789", digits) == std::string::npos;
}

Operand read_operand(std::string text) {
  Operand operand = {};
  bool is_marked; // llvm 22 marks a literal that could be an inline constant
  operand.count = 1;
  operand.mod = remove_modifiers(&text);
  text = between(text, "lit(", ")", &is_marked);
  if (text.empty() || read_register(text, &operand))
    return operand;
  const auto named = NAMED.find(text);
  const auto special = SPECIAL.find(text);
  const u64 float_code = inline_float(text);
  if (named != NAMED.end()) {
    operand.kind = OPERAND_SGPR;
    operand.reg = named->second.reg;
    operand.count = named->second.count;
  } else if (special != SPECIAL.end()) {
    operand.kind = special->second;
  } else if (float_code != 0) {
    operand.kind = OPERAND_FLOAT;
    operand.imm = float_code;
  } else if (starts_with(text, "0x") || is_integer(text)) {
    operand.kind = text[1] == 'x' ? OPERAND_LITERAL : OPERAND_INTEGER;
    operand.imm = text[0] == '-' ? (u64)strtoll(text.c_str(), nullptr, 0)
                                 : strtoull(text.c_str(), nullptr, 0);
  }
  return operand;
}
