// MessagePack, the format of a code object's metadata.
#ifndef EMULATOR_MESSAGE_PACK_H
#define EMULATOR_MESSAGE_PACK_H

#include <cstdint>
#include <map>
#include <string>
#include <vector>

// A value has one of these; a boolean is a number.
struct Value {
  uint64_t number = 0;
  std::string text;
  std::vector<Value> items;
  std::map<std::string, Value> fields;

  // The field of a name, or an empty value.
  const Value &get(const std::string &name) const;
};

// Throws Fault.
Value read_message_pack(const std::string &data);

#endif
