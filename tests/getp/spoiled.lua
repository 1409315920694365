-- Checkpoints of abacus whose logits are no numbers after some prompts, and what a getp must say of them. The same
-- checks run on every target and precision: tests/getp/test_numbers.lua, tests/gpu/test_numbers.lua.

local json = require "dkjson"
local lu = require "luaunit"
local abacus = require "tests.getp.abacus"
local support = require "tests.support"

local MODEL <const>, VOCAB <const> = abacus.MODEL, abacus.VOCAB
local OUT <const>, PROMPTS <const> = support.scratch .. "/spoiled.out", support.scratch .. "/spoiled.prompts"
local WEIGHTS <const> = support.read(MODEL .. "/model.safetensors")
local HEADER_BYTES <const> = string.unpack("<I8", WEIGHTS)
local HEADER <const> = json.decode(WEIGHTS:sub(9, 8 + HEADER_BYTES))
local BF16_NAN <const>, BF16_LARGEST <const> = "\xc0\x7f", "\x7f\x7f"

local spoiled = {}

-- A copy of abacus in which change(bytes) is the content of each tensor whose name matches a pattern.
local function spoil(pattern, change)
  local data, changed = WEIGHTS, 0
  for name, tensor in pairs(HEADER) do
    if name:find(pattern) then
      local first, last = 9 + HEADER_BYTES + tensor.data_offsets[1], 8 + HEADER_BYTES + tensor.data_offsets[2]
      data, changed = data:sub(1, first - 1) .. change(data:sub(first, last)) .. data:sub(last + 1), changed + 1
    end
  end
  assert(changed > 0 and #data == #WEIGHTS, pattern)
  return support.folder("spoiled", MODEL, { ["model.safetensors"] = data })
end

-- The bytes with those from `offset`, counted from 0, on replaced.
local function with(bytes, offset, by) return bytes:sub(1, offset) .. by .. bytes:sub(offset + #by + 1) end

-- Runs -m getp on prompts -> status, lines of ids, stderr without the progress.
local function answer(getp, checkpoint, prompts, flags)
  local status, _, err = support.run(string.format("%s %s -m getp -i %s -o %s -n 40 %s", getp, checkpoint,
    support.prompts("spoiled.prompts", prompts), OUT, flags))
  return status, support.lines(support.read(OUT)), (err:gsub("[^\n]*\r", ""))
end

-- ---- a number in the checkpoint that is NaN ----

local QUESTIONS <const> = { "What is 27 + 4?", "Count from 53 to 57.", "Sort 74 82 25.", "Thank you!", "12 + 5 =" }
local SPOILED <const>, TOKEN <const>, LAST <const> = 2, 536, 9 -- the prompt that has "Count", its id; its last position

-- A checkpoint in which the embedding of "Count" is NaN.
function spoiled.folder()
  local bytes_of_row = 2 * HEADER["model.embed_tokens.weight"].shape[2]
  return spoil("^model%.embed_tokens%.weight$", function(bytes)
    return with(bytes, TOKEN * bytes_of_row, BF16_NAN:rep(bytes_of_row // 2))
  end)
end

-- Only the prompt with "Count" fails there; all other lines are as they are without it, also in the slot that it had.
function spoiled.check_one_request_fails(getp)
  local checkpoint = spoiled.folder()
  local message = string.format("getp: %s:%d: position %d: want logits that are numbers, found NaN: its line ends " ..
    "there\n", PROMPTS, SPOILED + 1, LAST)
  for _, sampling in ipairs { "", "-t 1 -p 1 -s 3", "-t 1 -p 0.9 --top-k 40 -s 3" } do
    local _, want = answer(getp, MODEL, QUESTIONS, sampling)
    want[SPOILED] = ""
    for _, batch in ipairs { " -b 1", " -b 2 --chunk 3" } do
      local status, got, err = answer(getp, checkpoint, QUESTIONS, sampling .. batch)
      lu.assertEquals({ status, err, got }, { 1, message, want }, sampling .. batch)
    end
  end
end

-- ---- finite numbers with which the arithmetic leaves the numbers ----

-- The beginnings of some reference sequences up to a "=" or "?": getp's tokenizer gives the same ids for their text.
local function heads()
  local list = {}
  for _, sequence in ipairs(abacus.REFERENCE.sequences) do
    local n = math.min(#sequence, 20)
    while n > 0 and sequence[n] ~= 426 and sequence[n] ~= 30 do n = n - 1 end
    if n > 0 and #list < 6 then list[#list + 1] = { table.unpack(sequence, 1, n) } end
  end
  return list
end

local HEADS <const> = heads()

-- How many of the logits from byte `first` on, up to byte `last`, are NaN.
local function count_nan(bytes, first, last)
  local n = 0
  for at = first, last, 4 do
    local value = string.unpack("<f", bytes, at)
    if value ~= value then n = n + 1 end
  end
  return n
end

-- Runs -m logits on HEADS -> whether the last logits of each have NaN. It must say how many have.
local function spoiled_heads(getp, checkpoint)
  local ids, list, at = support.ids("spoiled.ids", HEADS), {}, 1
  local status, _, err = support.run(string.format("%s %s -m logits -i %s -o %s", getp, checkpoint, ids, OUT))
  lu.assertEquals(status, 0, err)
  local all = support.read(OUT)
  for i, head in ipairs(HEADS) do
    at = at + 4 * VOCAB * #head
    list[i] = count_nan(all, at - 4 * VOCAB, at - 1) > 0
  end
  lu.assertEquals(tonumber(err:match("want logits that are numbers, found NaN: (%d+) in all") or 0),
    count_nan(all, 1, #all), err)
  return list
end

-- { pattern of tensors, their content }
local CHANGES <const> = {
  { "lm_head", function(bytes) return with(bytes, 384 * 7, BF16_LARGEST:rep(192)) end },
  { "layers%.1%.mlp%.experts%.gate_up_proj_scales", function(bytes) return with(bytes, 0, "\xff") end },
  { "layers%.2%.mlp%.experts%.down_proj_scales", function(bytes) return ("\xfe"):rep(#bytes) end },
  { "layers%.0%.self_attn%.v_proj%.weight", function(bytes) return BF16_LARGEST:rep(#bytes // 2) end },
  { "layers%.3%.mlp%.router%.weight", function(bytes) return with(bytes, 384, BF16_LARGEST:rep(192)) end },
}

-- A prompt fails, greedily or drawn, at its last position if and only if -m logits has NaN there, and says so. Returns
-- how many prompts did.
function spoiled.check_against_logits(getp)
  local texts = abacus.decode(HEADS)
  local spoilt = 0
  for number, change in ipairs(CHANGES) do
    local checkpoint = spoil(table.unpack(change))
    local wanted = spoiled_heads(getp, checkpoint)
    local status, lines, err = answer(getp, checkpoint, texts, number % 2 == 1 and "-b 1" or "-t 1 -p 1 -s 3")
    for i, head in ipairs(HEADS) do
      local message = string.format("%s:%d: position %d: want logits that are numbers, found NaN", PROMPTS, i + 1,
        #head - 1)
      lu.assertEquals(err:find(message, 1, true) ~= nil, wanted[i], change[1] .. " " .. i .. ": " .. err)
      lu.assertEquals(lines[i] == "", wanted[i], change[1])
      if wanted[i] then lu.assertEquals(status, 1) end
      spoilt = spoilt + (wanted[i] and 1 or 0)
    end
  end
  return spoilt
end

return spoiled
