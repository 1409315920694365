-- Makes the inputs from which the fuzzers start, of what the tests have: a list of texts per target. Only `packed` gets
-- its seed from a program, seed_packed.

local json = require "dkjson"
local lfs = require "lfs"
local layouts = require "tests.getp.layouts"
local support = require "tests.support"

local MODELS <const> = "tests/models"
local seeds = {}

local function files(folder, pattern)
  local paths = {}
  for name in lfs.dir(folder) do
    if name:find(pattern) then paths[#paths + 1] = folder .. "/" .. name end
  end
  table.sort(paths)
  return paths
end

local function texts(folder, pattern)
  local list = {}
  for i, path in ipairs(files(folder, pattern)) do list[i] = support.read(path) end
  return list
end

local function conversations() return json.decode(support.read(MODELS .. "/abacus_chat/conversations.json")) end

-- The header of a safetensors file as the target wants it: `!`, the bytes of the data, the header.
local function header_of(path)
  local file <close> = assert(io.open(path, "rb"))
  local header = file:read(string.unpack("<I8", file:read(8)))
  return "!" .. string.pack("<I4", file:seek "end" - 8 - #header) .. header
end

function seeds.safetensors()
  local list = { layouts.safetensors { a = { dtype = "F32", shape = { 1 }, bytes = "1234" },
    b = { dtype = "U8", shape = { 0, 3 }, bytes = "" } } }
  for _, path in ipairs(files(MODELS .. "/odd_sharded", "%.safetensors$")) do list[#list + 1] = header_of(path) end
  list[#list + 1] = '!\8\0\0\0{"__metadata__":{"a":"b"},"x":{"dtype":"BF16","shape":[2,2],"data_offsets":[0,8]}}'
  return list
end

function seeds.index()
  local list = texts(MODELS .. "/odd_sharded", "%.index%.json$")
  local shard = '"model-0000%d-of-00003.safetensors"'
  list[#list + 1] = string.format('{"metadata":{"total_size":12},"weight_map":{"a":%s,"b":%s,"c":%s}}', shard:format(1),
    shard:format(2), shard:format(3))
  return list
end

function seeds.config()
  local list = { '{"eos_token_id":[1,2.0]}' }
  for _, folder in ipairs { "gen/configs", "tests/gen/configs", "tests/refused" } do
    table.move(texts(folder, "%.json$"), 1, 1000, #list + 1, list)
  end
  for _, folder in ipairs(files(MODELS, "^[^.]")) do list[#list + 1] = support.read(folder .. "/config.json") end
  return list
end

-- A header, and how many zeros make the file one of FP32 or BF16.
function seeds.bin()
  local folder, list = MODELS .. "/rand_mxfp4", {}
  local config = json.decode(support.read(folder .. "/config.json"))
  local header, bytes = layouts.header(config), #layouts.bin(layouts.unpacked(layouts.read(folder)), config)
  for _, size in ipairs { bytes, 2 * bytes - #header } do
    local zeros = (size - #header) // 64
    list[#list + 1] = string.pack("<I2", zeros) .. header .. ("\0"):rep(size - #header - 64 * zeros)
  end
  return list
end

-- The 256 bytes, a few merges and the special tokens of a tokenizer.json that has thousands.
function seeds.tokenizer()
  local whole = json.decode(support.read(MODELS .. "/abacus_chat/tokenizer.json"))
  local vocab, merges = {}, {}
  for token, id in pairs(whole.model.vocab) do
    if utf8.len(token) == 1 then vocab[token] = id end
  end
  for i = 1, 20 do
    local merge = whole.model.merges[i]
    local token = type(merge) == "table" and table.concat(merge) or merge:gsub(" ", "")
    vocab[token], merges[i] = whole.model.vocab[token], merge
  end
  whole.model.vocab, whole.model.merges = vocab, merges
  local list = { json.encode(whole) }
  whole.added_tokens[1].normalized = true
  whole.truncation, whole.padding = { max_length = 2 }, { pad_id = 0 }
  whole.pre_tokenizer.pretokenizers[1].pattern.Regex = "(a+)+$|(a|aa)+$"
  list[2] = json.encode(whole)
  return list
end

function seeds.encode()
  local list = { "", "a\r\n\n  b\u{9B}\u{180E}'LL 12345 <|start|><|start|" }
  for i, conversation in ipairs(conversations()) do
    if i % 20 == 0 then list[#list + 1] = conversation.prompt .. conversation.completion end
  end
  return list
end

function seeds.split()
  local tokenizer = json.decode(support.read(MODELS .. "/abacus_chat/tokenizer.json"))
  local list, text = {}, "\naab ABCabc's  1234567\r\n\n!?/ \u{65E5}\u{672C}"
  for i, pattern in ipairs { tokenizer.pre_tokenizer.pretokenizers[1].pattern.Regex, "(?i:ab)|c{1,2}?|[^\\s\\p{N}]+",
    "(a+)+$|(a|aa)+$", "(?=b)(?<!a)|(?>a|b)*", "a*?[bc]" } do
    list[i] = pattern .. text
  end
  return list
end

function seeds.packed()
  local path = "build/fuzz/seed.packed"
  assert(os.execute("build/fuzz/fuzz/seed_packed " .. path))
  return { support.read(path) }
end

function seeds.prompts()
  return { support.read "tests/demo/prompts.txt", "2\na\nb\n", "\u{FEFF}1\r\nab\r\n", "3\na\n\n", "0\n" }
end

function seeds.ids() return { "1 2 3\n\n201087\t0\r\n", "201088", "1  2 \n" } end

-- Ids of replies, 2 bytes each.
function seeds.reply()
  local list = {}
  for i, conversation in ipairs(conversations()) do
    if i % 10 == 0 then
      list[#list + 1] = string.pack(("<I2"):rep(#conversation.output_ids), table.unpack(conversation.output_ids))
    end
  end
  return list
end

local function fields(list)
  for i, field in ipairs(list) do list[i] = field .. "\0" end
  return table.concat(list)
end

function seeds.conversation()
  local list = {}
  for i, case in ipairs(json.decode(support.read "tests/vectors/harmony_cases.json").render) do
    local all = { case.date, case.effort, "" }
    for _, m in ipairs(case.messages) do
      local message = { m.content, m.name or m.role, m.recipient or "", m.channel or "", m.constrain or "" }
      table.move(message, 1, #message, #all + 1, all)
    end
    list[i] = fields(all)
  end
  return list
end

function seeds.tools()
  return { support.read "tests/demo/tools.json", '[{"type":"function","function":{"name":"f","description":"a\\nb",'
    .. '"parameters":{"type":"object","properties":{"a":{"type":["string","null"],"enum":["x",null],"default":"x"},'
    .. '"b":{"type":"array","items":{"anyOf":[{"type":"integer"},{"type":"object","properties":{}}]}}},'
    .. '"required":["a"]}}}]' }
end

function seeds.messages() return { "hi\n/new\na \\\nb\n\n\n", "a\r\n\27[200~b\27[201~", "no end" } end

function seeds.terminal()
  return { "\27]0;x\7\u{9B}\u{202E}\x9d\n\t", "\xE2\x80", "\u{65E5}\xF0\x9F\x98\x80\xC0\x80" }
end

return seeds
