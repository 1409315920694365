-- Names the first wrong step of a pass: `lua5.4 tests/gpu/diff_steps.lua MODEL [MACHINE [PRECISION]] [--ids FILE]
-- [--last N]` builds the tree of a reference model for a machine (simt_64) and a precision (mixed), runs one pass in it
-- and in the tree for the CPU, and compares what each step leaves. `... MODEL TREE TREE` does so with two built trees,
-- say build/simt_64/abacus-gfx90a and build/simt_32/abacus-sm_90; the second is the reference.
--
-- Prints a line for each quantity: layer, role in each tree, quantity, the largest relative L2 difference of a row, and
-- which row that is; then the first step that differs by more than the bound. Exit status 0 if none does, 1 if one
-- does, 2 if there is no result.
--
-- The pass has all tokens of each sequence of the file of ids (one sequence a line), or the last N; the tokens before
-- them run first. One sequence and --last 1 make a pass of a single row.

package.path = "./?.lua;" .. package.path
local support = require "tests.support"
local steps = require "tests.gpu.steps"
local trees = require "tests.gpu.trees"

-- The command line -> its words and { ids = a path or nil, last = 0 or N }.
local function parse_arguments()
  local words, options, i = {}, { last = 0 }, 1
  while arg[i] do
    local name = arg[i]:match("^%-%-(.*)")
    if name == "ids" and arg[i + 1] then
      options.ids = arg[i + 1]
    elseif name == "last" and math.tointeger(tonumber(arg[i + 1])) then
      options.last = math.tointeger(tonumber(arg[i + 1]))
    elseif name then
      error(arg[i] .. ": want --ids FILE or --last N", 0)
    else
      words[#words + 1] = arg[i]
    end
    i = i + (name and 2 or 1)
  end
  if #words == 0 or #words > 3 then error("usage: diff_steps.lua MODEL [MACHINE [PRECISION] | TREE TREE]", 0) end
  return words, options
end

-- The programs of two trees that are built.
local function link_trees(...)
  local programs = {}
  for i, folder in ipairs { ... } do
    local machine, tree = trees.of_folder(folder)
    programs[i] = steps.build(machine, tree)
  end
  return table.unpack(programs)
end

-- The programs of a model's tree for a machine and of the one for the CPU.
local function build_trees(model, name, precision)
  local machine = trees.machine(name)
  local tree, reference = trees.describe(machine, model, precision), trees.reference(machine, model)
  trees.make(machine, { tree, reference })
  return steps.build(machine, tree), steps.build(machine, reference)
end

local function run()
  local words, options = parse_arguments()
  local folder = words[1]:find("/", 1, true) and words[1] or "tests/models/" .. words[1]
  local one, other
  if words[3] and words[3]:find("/", 1, true) then
    one, other = link_trees(words[2], words[3])
  else
    one, other = build_trees(words[1], words[2] or "simt_64", words[3] or "mixed")
  end
  local ids = options.ids or steps.write_ids(folder)
  local lines, first = steps.diff(steps.dump(one, folder, ids, options.last),
    steps.dump(other, folder, ids, options.last))
  print(table.concat(lines, "\n"))
  return first == nil
end

support.scratch = support.scratch .. "/diff_steps"
local succeeded, good = pcall(run)
if not succeeded then io.stderr:write("diff_steps: ", good, "\n") end
os.exit(succeeded and good or succeeded and 1 or 2)
