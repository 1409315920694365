#include "message_pack.h"

#include "wave.h"

const Value &Value::get(const std::string &name) const {
  static const Value NONE;
  const auto found = fields.find(name);
  return found == fields.end() ? NONE : found->second;
}

namespace {

struct Reader {
  const std::string &data;
  size_t offset = 0;

  std::string bytes(u64 count);
  u64 number(u32 bytes);
  Value list(u64 count);
  Value map(u64 count);
  Value read_long(u8 kind);
  Value read();
};

Value of_number(u64 number) {
  Value value;
  value.number = number;
  return value;
}

Value of_text(const std::string &text) {
  Value value;
  value.text = text;
  return value;
}

std::string Reader::bytes(u64 count) {
  if (count > data.size() - offset)
    throw Fault{"metadata: want more bytes, found the end"};
  offset += count;
  return data.substr(offset - count, count);
}

u64 Reader::number(u32 count) {
  u64 value = 0;
  for (const char each : bytes(count))
    value = value << 8 | (u8)each;
  return value;
}

Value Reader::list(u64 count) {
  Value value;
  while (count-- > 0)
    value.items.push_back(read());
  return value;
}

Value Reader::map(u64 count) {
  Value value;
  while (count-- > 0) {
    const std::string name = read().text;
    value.fields[name] = read();
  }
  return value;
}

// The kinds whose first byte says only which kind it is, and how long its length or number is.
Value Reader::read_long(u8 kind) {
  if (kind == 0xc0 || kind == 0xc2) // nothing, false
    return Value();
  if (kind == 0xc3) // true
    return of_number(1);
  if (kind >= 0xcc && kind <= 0xcf) // numbers without a sign
    return of_number(number(1u << (kind - 0xcc)));
  if (kind >= 0xd0 && kind <= 0xd3) // and with one
    return of_number(number(1u << (kind - 0xd0)));
  if (kind >= 0xd9 && kind <= 0xdb)
    return of_text(bytes(number(1u << (kind - 0xd9))));
  if (kind == 0xdc || kind == 0xdd)
    return list(number(kind == 0xdc ? 2 : 4));
  if (kind == 0xde || kind == 0xdf)
    return map(number(kind == 0xde ? 2 : 4));
  throw Fault{format("metadata: want a value of MessagePack, found byte 0x%x", kind)};
}

Value Reader::read() {
  const u8 kind = (u8)number(1);
  if (kind < 0x80)
    return of_number(kind);
  if (kind < 0x90)
    return map(kind & 15);
  if (kind < 0xa0)
    return list(kind & 15);
  if (kind < 0xc0)
    return of_text(bytes(kind & 31));
  return kind >= 0xe0 ? of_number((u64)(s64)(s8)kind) : read_long(kind);
}

} // namespace

Value read_message_pack(const std::string &data) {
  return Reader{data}.read();
}
