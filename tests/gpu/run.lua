-- The model tests on a GPU: `ninja test-gpu`, or `lua5.4 tests/gpu/run.lua MACHINE [PRECISION] [MODEL...]`.
-- Builds the trees of each reference model in both precisions, or in the one that is named, and runs
-- tests/gpu/check.lua on each of them. Without a device it says so and exits 0. The machines simt_64 and simt_32 are
-- the CPU harness of tests/simt, which needs no device.
--
-- For an emulator, which is slow, GPU_POSITIONS=N selects sequences of up to N tokens, or the shortest if all are
-- longer, and passes of up to N rows; GPU_PROMPTS=N selects N of the prompts.

package.path = "./?.lua;" .. package.path
local support = require "tests.support"
local trees = require "tests.gpu.trees"

local AT_A_TIME <const> = 2 -- trees that are checked
local MOST_SWAPPED <const> = 0.005 -- near ties that the device decides otherwise, per choice of an expert, all models

local function precisions()
  if arg[2] == "fp32" or arg[2] == "mixed" then return { table.remove(arg, 2) } end
  return { "fp32", "mixed" }
end

local function list_trees(machine)
  local list, chosen = {}, precisions()
  local models = #arg > 1 and table.move(arg, 2, #arg, 1, {}) or trees.models()
  for _, model in ipairs(models) do
    for _, precision in ipairs(chosen) do list[#list + 1] = trees.describe(machine, model, precision) end
  end
  return list
end

-- False, after printing a line that says so, if there is no device.
local function has_device(tree)
  local ids = support.ids("gpu.probe.ids", { { 1 } })
  local status, _, message = support.run(string.format("%s tests/models/%s -m logits -i %s -o %s/gpu.probe.f32",
    tree.getp, tree.model, ids, support.scratch))
  if status == 0 or not message:find("no GPU", 1, true) then return true end
  print("ok 1 # SKIP " .. message:gsub("\n.*", ""))
  return false
end

-- The commands that check all trees, each writing to a file, and the list of those files.
local function list_commands(name, list)
  local commands, outputs = {}, {}
  for i, tree in ipairs(list) do
    outputs[i] = string.format("%s/%s-%s.tap", support.scratch, name, tree.name)
    commands[i] = string.format("lua5.4 tests/gpu/check.lua %s %s %s >%s 2>&1", name, tree.precision, tree.model,
      outputs[i])
  end
  return commands, outputs
end

local function check_swapped(swapped, choices)
  local good = swapped <= MOST_SWAPPED * choices
  print(string.format("%s all trees: %d of %d choices of experts are near ties decided otherwise",
    good and "ok" or "not ok", swapped, choices))
  return good
end

-- Checks all trees. True if all of them passed.
local function check(name, list)
  local commands, outputs = list_commands(name, list)
  local good, swapped, choices = trees.run_all(commands, AT_A_TIME), 0, 0
  for _, path in ipairs(outputs) do
    local text = support.read(path)
    io.write(text)
    local some, all = text:match("(%d+) of (%d+) choices of experts")
    swapped, choices = swapped + (some or 0), choices + (all or 0)
  end
  return (#list == 1 or check_swapped(swapped, choices)) and good
end

local name = arg[1] or "gfx90a"
local machine = trees.machine(name)
local list = list_trees(machine)
trees.build(machine, list)
os.exit(not has_device(list[1]) or check(name, list))
