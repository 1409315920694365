-- Every reference model: the logits of its generated tree and of reference.c are close to those that transformers
-- computed in float32. Chunks, slots, threads and the instructions that the kernels may use change no bit.

package.path = "./?.lua;" .. package.path
local json = require "dkjson"
local lfs = require "lfs"
local luaunit = require "luaunit"
local support = require "tests.support"

local BOUND = 1e-4 -- relative L2 error of a position's logits
local MODELS = "tests/models"
local MACHINE_MODEL = "rand_mxfp4"
local MACHINES = { "avx2", "portable" } -- of tests/avx2.ninja and tests/portable.ninja, which build MACHINE_MODEL

TestModels = {} -- luacheck: ignore (luaunit finds it by its name)

local function read_json(path) return assert(json.decode(support.read(path))) end

-- Runs `getp -m logits` of a tree, the cpu tree by default, on all sequences of a model -> the bytes of the file.
local function logits(name, ids, options, tree)
  local out = support.scratch .. "/" .. name .. ".f32"
  local status, _, message = support.run(string.format("%s %s/%s -m logits -i %s -o %s %s",
    support.getp(tree or name .. "-cpu"), MODELS, name, ids, out, options))
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
  for _, machine in ipairs(name == MACHINE_MODEL and MACHINES or {}) do
    local tree = name .. "-" .. machine
    luaunit.assertTrue(logits(name, ids, "", tree) == whole, tree .. ": other bits")
  end
end

function TestModels.test_threads() -- luacheck: ignore
  local ids = support.ids("threads.ids", read_json(MODELS .. "/rand_tied/reference.json").sequences)
  local want = logits("rand_tied", ids, "")
  for threads = 1, 7, 2 do
    local out = support.scratch .. "/threads.f32"
    local command = string.format("OMP_NUM_THREADS=%d %s %s/rand_tied -m logits -i %s -o %s", threads,
      support.getp "rand_tied-cpu", MODELS, ids, out)
    luaunit.assertEquals(support.run(command), 0)
    luaunit.assertTrue(support.read(out) == want, threads .. " threads: other bits")
  end
end

for name in lfs.dir(MODELS) do
  if not name:find("^%.") then
    TestModels["test_" .. name] = function() check_model(name) end -- luacheck: ignore
  end
end

os.exit(luaunit.LuaUnit.run())
