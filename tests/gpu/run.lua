-- The model tests on a GPU: `ninja test-gpu`, or `lua5.4 tests/gpu/run.lua MACHINE [PRECISION] [MODEL...]`.
-- Builds the trees of each reference model in both precisions, or in the one that is named, and runs
-- tests/gpu/check.lua on each of them. The machines simt_64 and simt_32 are the CPU harness of tests/simt, which needs
-- no device. Without a device gfx90a runs on the emulator of tests/emulator, which looks for races in LDS, too; sm_90
-- says that there is none and exits 0.
--
-- GPU_POSITIONS=N selects sequences of up to N tokens, or the shortest if all are longer, and passes of up to N rows;
-- GPU_PROMPTS=N selects N of the prompts. The emulator is slow, so it has its own numbers, and fewer models in fp32.

package.path = "./?.lua;" .. package.path
local emulator = require "tests.emulator.emulator"
local support = require "tests.support"
local trees = require "tests.gpu.trees"

local AT_A_TIME <const> = 2 -- trees that are checked
local MOST_SWAPPED <const> = 0.005 -- near ties that the device decides otherwise, per choice of an expert, all models

-- What the emulator runs if nobody says otherwise. In 150 positions of rand_bf16, keys fill two parts.
local EMULATED <const> = {
  prompts = 2, positions = { mixed = 24, fp32 = 45 }, more_positions = { ["rand_bf16-gfx90a"] = 150 },
  fp32 = { "abacus", "rand_bf16", "rand_mxfp4", "rand_tied" },
}

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

-- Why the machine has no device; nil: it has one.
local function missing_device(tree)
  local ids = support.ids("gpu.probe.ids", { { 1 } })
  local status, _, message = support.run(string.format("%s tests/models/%s -m logits -i %s -o %s/gpu.probe.f32",
    tree.getp, tree.model, ids, support.scratch))
  return status ~= 0 and message:match("want a GPU for this getp, found none[^\n]*") or nil
end

-- ---- the emulator ----

-- The trees that the emulator checks, of a list that nobody has chosen.
local function emulated(list)
  local kept = {}
  for _, tree in ipairs(list) do
    local is_kept = tree.precision ~= "fp32"
    for _, model in ipairs(EMULATED.fp32) do is_kept = is_kept or tree.model == model end
    if is_kept then kept[#kept + 1] = tree end
  end
  return kept
end

-- What runs a command for a tree on the emulator.
local function emulator_prefix(tree)
  local positions = EMULATED.more_positions[tree.name] or EMULATED.positions[tree.precision]
  return emulator.prefix(string.format("EMULATOR_RACE=1 GPU_POSITIONS=%s GPU_PROMPTS=%s",
    os.getenv("GPU_POSITIONS") or positions, os.getenv("GPU_PROMPTS") or EMULATED.prompts))
end

-- ---- all trees ----

-- The commands that check all trees, each writing to a file, and the list of those files. prefix_of(tree): what runs
-- the command.
local function list_commands(name, list, prefix_of)
  local commands, outputs = {}, {}
  for i, tree in ipairs(list) do
    outputs[i] = string.format("%s/%s-%s.tap", support.scratch, name, tree.name)
    commands[i] = string.format("%slua5.4 tests/gpu/check.lua %s %s %s >%s 2>&1", prefix_of(tree), name,
      tree.precision, tree.model, outputs[i])
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
local function check(name, list, prefix_of)
  local commands, outputs = list_commands(name, list, prefix_of)
  local good, swapped, choices = trees.run_all(commands, AT_A_TIME), 0, 0
  for _, path in ipairs(outputs) do
    local text = support.read(path)
    io.write(text)
    local some, all = text:match("(%d+) of (%d+) choices of experts")
    swapped, choices = swapped + (some or 0), choices + (all or 0)
  end
  return (#list == 1 or check_swapped(swapped, choices)) and good
end

local function no_prefix() return "" end

-- Checks all trees on the emulator.
local function check_emulated(name, list)
  local is_built, output = emulator.build()
  if not is_built then
    print("not ok the emulator cannot be built: " .. output)
    return false
  end
  return check(name, list, emulator_prefix)
end

local name = arg[1] or "gfx90a"
local machine = trees.machine(name)
local is_chosen = #arg > 1
local list = list_trees(machine)
trees.build(machine, { list[1] })
local missing = missing_device(list[1])
if missing and machine.target ~= "gfx90a" then
  print("ok 1 # SKIP " .. missing)
  os.exit(true)
end
if missing and not is_chosen then list = emulated(list) end
trees.build(machine, list)
os.exit(missing and check_emulated(name, list) or not missing and check(name, list, no_prefix))
