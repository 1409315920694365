-- Makes a checkpoint that says what a script says: the next token depends on the last one alone. It has the shapes of
-- abacus. Attention and experts add nothing, and each token of the script has a direction of the embedding of its own.

local json = require "dkjson"
local support = require "tests.support"

local MODEL <const> = "tests/models/abacus"
local ONE <const>, ZERO <const> = "\x80\x3f", "\0\0" -- in BF16
local scripted = {}

local tokenizer = json.decode(support.read(MODEL .. "/tokenizer.json"))
local ids = {}
for text, id in pairs(tokenizer.model.vocab) do ids[text] = id end
for _, token in ipairs(tokenizer.added_tokens) do ids[token.content] = token.id end

-- The ids of a word, by the merges of tokenizer.json in their order. A space is written as Ġ, a newline as Ċ, another
-- byte that is no character as ByteLevel spells it.
function scripted.word(word)
  local pieces = {}
  for _, code in utf8.codes(word) do pieces[#pieces + 1] = utf8.char(code) end
  for _, merge in ipairs(tokenizer.model.merges) do
    local left, right = merge[1], merge[2]
    if type(merge) == "string" then left, right = merge:match("^(.+) (.+)$") end
    for i = #pieces - 1, 1, -1 do
      if pieces[i] == left and pieces[i + 1] == right then
        pieces[i] = left .. right
        table.remove(pieces, i + 1)
      end
    end
  end
  local list = {}
  for i, piece in ipairs(pieces) do list[i] = assert(ids[piece], piece) end
  return list
end

-- The ids of a script: special tokens by their name, all else as words.
local function script_ids(script)
  local list = {}
  for _, word in ipairs(script) do
    local more = ids[word] and { ids[word] } or scripted.word(word)
    table.move(more, 1, #more, #list + 1, list)
  end
  return list
end

-- A row of `columns` numbers that are 1 in the given columns and otherwise 0.
local function row(columns, set)
  local cells = {}
  for column = 1, columns do cells[column] = set[column] and ONE or ZERO end
  return table.concat(cells)
end

-- Token i of the script has column i of the embedding, all other tokens have the last column.
local function embedding(following, rows, columns)
  local column, lines = {}, {}
  for i, pair in ipairs(following) do column[pair[1]] = i end
  for id = 0, rows - 1 do lines[id + 1] = row(columns, { [column[id] or columns] = true }) end
  return table.concat(lines)
end

-- The column of a token makes the next token the most probable one.
local function unembedding(following, rows, columns)
  local lines = {}
  for id = 0, rows - 1 do
    local set = { [columns] = id == ids["<|return|>"] }
    for i, pair in ipairs(following) do set[i] = pair[2] == id end
    lines[id + 1] = row(columns, set)
  end
  return table.concat(lines)
end

-- The new bytes of a tensor.
local function fill(name, spec, bytes, following)
  if name == "model.embed_tokens.weight" then return embedding(following, table.unpack(spec.shape)) end
  if name == "lm_head.weight" then return unembedding(following, table.unpack(spec.shape)) end
  if name:find "norm%.weight$" then return ONE:rep(spec.shape[1]) end
  return name:find "_scales$" and bytes or ("\0"):rep(#bytes)
end

-- The script begins after `assistant`. Each of its tokens may occur once. The model goes on with <|return|> after
-- any other token. Returns the folder of the checkpoint.
function scripted.model(name, script)
  local list, following, seen = script_ids(script), {}, {}
  local assistant = scripted.word "assistant"
  table.insert(list, 1, assistant[#assistant])
  for i = 1, #list - 1 do
    assert(not seen[list[i]], "token " .. list[i] .. " is in the script twice")
    seen[list[i]], following[i] = true, { list[i], list[i + 1] }
  end
  local file = support.read(MODEL .. "/model.safetensors")
  local length = string.unpack("<I8", file)
  local header, parts = json.decode(file:sub(9, 8 + length)), {}
  for tensor, spec in pairs(header) do
    if tensor ~= "__metadata__" then
      local first, last = spec.data_offsets[1], spec.data_offsets[2]
      parts[#parts + 1] = { first, fill(tensor, spec, file:sub(9 + length + first, 8 + length + last), following) }
    end
  end
  table.sort(parts, function(a, b) return a[1] < b[1] end)
  for i, part in ipairs(parts) do parts[i] = part[2] end
  return support.folder(name, MODEL, { ["model.safetensors"] = file:sub(1, 8 + length) .. table.concat(parts) })
end

return scripted
