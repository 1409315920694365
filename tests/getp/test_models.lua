-- Every reference model: the logits of its generated tree and of reference.c are close to those that transformers
-- computed in float32, and chunks and slots change no bit.

package.path = "./?.lua;" .. package.path
local json = require "dkjson"
local lfs = require "lfs"
local luaunit = require "luaunit"
local support = require "tests.support"

local BOUND = 1e-4 -- relative L2 error of a position's logits
local MODELS = "tests/models"

TestModels = {} -- luacheck: ignore (luaunit finds it by its name)

local function read_json(path) return assert(json.decode(support.read(path))) end

-- Runs `getp -m logits` on all sequences of a model; -> the bytes of the file.
local function logits(name, ids, options)
  local out = support.scratch .. "/" .. name .. ".f32"
  local status, _, message = support.run(string.format("%s %s/%s -m logits -i %s -o %s %s",
    support.getp(name .. "-cpu"), MODELS, name, ids, out, options))
  luaunit.assertEquals(status, 0, name .. " " .. options .. ": " .. message)
  return support.read(out)
end

local function check_model(name)
  local folder = MODELS .. "/" .. name
  local sequences = read_json(folder .. "/reference.json").sequences
  local vocab = read_json(folder .. "/config.json").vocab_size
  local ids = support.ids(name .. ".ids", sequences)
  local want = support.read(folder .. "/logits.f32")
  local whole = logits(name, ids, "")
  local worst = support.worst_error(whole, want, vocab)
  local reference = support.worst_error(logits(name, ids, "--reference"), want, vocab)
  print(string.format("# %s: largest error of a position %.2g, of reference.c %.2g", name, worst, reference))
  luaunit.assertTrue(worst < BOUND, name)
  luaunit.assertTrue(reference < BOUND, name)
  for _, options in ipairs { "--chunk 1", "--chunk 5 -b 1", "--chunk 64 -b 3" } do
    luaunit.assertTrue(logits(name, ids, options) == whole, name .. ": other bits with " .. options)
  end
end

for name in lfs.dir(MODELS) do
  if not name:find("^%.") then
    TestModels["test_" .. name] = function() check_model(name) end -- luacheck: ignore
  end
end

os.exit(luaunit.LuaUnit.run())
