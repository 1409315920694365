-- gpt-oss's own dimensions on the emulator: `lua5.4 tests/emulator/test_dimensions.lua [20b|120b]`. A model with two
-- layers of its kind and random weights must have the logits of the cpu target, without a race, and the same bits in
-- passes of many and of few rows. Prints TAP. It needs 4 GB of disk for 20b and 7 GB for 120b.

package.path = "./?.lua;" .. package.path
local json = require "dkjson"
local compile = require "tests.machine_code.gfx90a.compile"
local emulator = require "tests.emulator.emulator"
local support = require "tests.support"
local trees = require "tests.gpu.trees"

local LAYERS <const> = 2
local LENGTHS <const> = { 1, 14, 31, 40 } -- of the sequences; routers have other blocks from 65 rows on
local BOUND <const> = 1.5e-2 -- relative L2 error of a position, as tests/gpu/check.lua has it
local machine = trees.machine("gfx90a")
local failed = false

local function report(good, what, ...)
  failed = failed or not good
  print(string.format("%s %s", good and "ok" or "not ok", what:format(...)))
end

-- Writes the config of a model with its first layers alone -> its path, the config.
local function cut(model)
  local config = assert(json.decode(support.read(string.format("gen/configs/gpt-oss-%s.json", model))))
  config.num_hidden_layers = LAYERS
  config.layer_types = table.move(config.layer_types, 1, LAYERS, 1, {})
  return support.write("gpt-oss-" .. model .. ".json", json.encode(config)), config
end

-- Ids spread over the vocabulary.
local function sequences(vocab)
  local list, id = {}, 5
  for i, length in ipairs(LENGTHS) do
    list[i] = {}
    for position = 1, length do
      id = (id * 48271 + 11) % vocab
      list[i][position] = id
    end
  end
  return list
end

local function logits_of(tree, checkpoint, ids, options, prefix)
  local out = string.format("%s/%s.f32", support.scratch, tree.name)
  trees.must(string.format("%s%s %s -m logits -i %s -o %s %s", prefix or "", tree.getp, checkpoint, ids, out, options))
  return support.read(out)
end

local function check(model)
  local config_path, config = cut(model)
  local name = "two_layers_of_" .. model
  local gpu = trees.of_config(machine, config_path, name, "gfx90a")
  local cpu = trees.of_config(machine, config_path, name, "cpu")
  trees.make(machine, { gpu, cpu }, { machine.folder .. "/make_checkpoint" })
  local checkpoint = support.scratch .. "/" .. name
  trees.must(string.format("rm -rf %s && %s/make_checkpoint %s %s", checkpoint, machine.folder, config_path,
    checkpoint))
  local ids = support.ids(name .. ".ids", sequences(config.vocab_size))
  local prefix = emulator.prefix("EMULATOR_RACE=1")
  local got = logits_of(gpu, checkpoint, ids, "", prefix)
  local worst = support.worst_error(got, logits_of(cpu, checkpoint, ids, ""), config.vocab_size)
  report(worst < BOUND, "%s: logits of %d positions, worst error %.2g", name, #got // (4 * config.vocab_size), worst)
  local in_small_passes = logits_of(gpu, checkpoint, ids, "-b 1 --chunk 7", emulator.prefix())
  report(got == in_small_passes, "%s: the same bits in small passes", name)
  trees.must("rm -rf " .. checkpoint)
end

if compile.compilers[1].missing then
  print("ok 1 # SKIP " .. compile.compilers[1].missing)
  os.exit(true)
end
local is_built, output = emulator.build()
assert(is_built, output)
for _, model in ipairs(arg[1] and { arg[1] } or { "20b", "120b" }) do check(model) end
os.exit(not failed)
