-- The trees of the reference models for a machine: which there are, and how they and programs that are linked with
-- them are built.

local lfs = require "lfs"
local support = require "tests.support"

local trees = {}

-- `first` has to be built before the trees.
local MACHINES <const> = {
  gfx90a = { target = "gfx90a", folder = "build/gpu", ninja = "tests/gpu.ninja" },
  sm_90 = { target = "sm_90", folder = "build/gpu", ninja = "tests/gpu.ninja" },
  simt_64 = { target = "gfx90a", folder = "build/simt_64", ninja = "tests/simt_64.ninja",
    first = "harness" },
  simt_32 = { target = "sm_90", folder = "build/simt_32", ninja = "tests/simt_32.ninja",
    first = "harness" },
}

-- Trees with more slots than the default's, and so with more rows in a pass: an expert then has more rows than the
-- largest work item.
local SLOTS <const> = { odd_one_expert = 300, rand_mxfp4 = 300 }

-- Positions of a part of the keys (attention_part of gen/precision/mixed.lua) in trees whose sequences should fill
-- several.
local PART <const> = { odd_no_window = 128, odd_sharded = 128, rand_bf16 = 128 }

function trees.machine(name) return MACHINES[name] or error("want gfx90a, sm_90, simt_64 or simt_32", 0) end

local function named(machine, name, fields)
  fields.name, fields.sources = name, machine.folder .. "/trees/" .. name
  fields.getp = machine.folder .. "/" .. name .. "/getp"
  fields.same_bits = machine.folder .. "/" .. name .. "/same_bits" -- of mixed
  return fields
end

-- The machine and the description of a built tree, by its folder: one of the reference models, or one of build.ninja.
function trees.of_folder(path)
  local folder, name = path:match("^(.*)/([^/]+)/*$")
  for _, machine in pairs(MACHINES) do
    if machine.folder == folder then return machine, named(machine, name, {}) end
  end
  local tree = { name = name, sources = "generated/" .. (name or ""), getp = path .. "/getp" }
  if folder == "build" then return { folder = folder, ninja = "build.ninja" }, tree end
  error(path .. ": want a folder of a built tree, say build/abacus-cpu or build/simt_64/abacus-gfx90a", 0)
end

-- The output of a command that must succeed.
function trees.must(command)
  local status, out, err = support.run(command)
  if status ~= 0 then error(string.format("%s%s%s: exit status %d", out, err, command, status), 0) end
  return out
end

-- Runs shell commands, at_a_time of them at a time. True if all succeed.
function trees.run_all(commands, at_a_time)
  local file = support.write("commands", table.concat(commands, "\n") .. "\n")
  return support.run(string.format("xargs -a %s -d '\\n' -P %d -n 1 sh -c", file, at_a_time)) == 0
end

-- The names of all reference models.
function trees.models()
  local names = {}
  for name in lfs.dir("tests/models") do
    if not name:find("^%.") then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

-- One tree: its model, target and precision, its folder of sources and its programs.
function trees.describe(machine, model, precision)
  local suffix = precision == "fp32" and "-fp32" or ""
  return named(machine, model .. "-" .. machine.target .. suffix,
    { model = model, target = machine.target, precision = precision, slots = precision == "mixed" and SLOTS[model],
      part = precision == "mixed" and PART[model] })
end

-- Trees whose first layer has full attention in parts: one for all positions of gpt-oss, with a cache of 128 MiB per
-- layer, and one whose heads and rows are padded.
function trees.in_parts(machine)
  return {
    named(machine, "odd_default_rope-long-" .. machine.target,
      { model = "odd_default_rope", target = machine.target, precision = "mixed", slots = 2, context = 131072 }),
    named(machine, "odd_f32-parts-" .. machine.target,
      { model = "odd_f32", target = machine.target, precision = "mixed", part = 128 }),
  }
end

-- A tree of a config that is not one of the reference models'.
function trees.large_vocabulary(machine, config)
  return named(machine, "large_vocabulary-" .. machine.target,
    { config = config, target = machine.target, precision = "mixed" })
end

-- The tree of a config for any target, with 4 sequences of 256 positions.
function trees.of_config(machine, config, name, target)
  return named(machine, name .. "-" .. target,
    { config = config, target = target, precision = "mixed", slots = 4, context = 256 })
end

-- The tree of the CPU that a model's other trees are compared with.
function trees.reference(machine, model)
  return named(machine, model .. "-cpu", { model = model, target = "cpu", precision = "mixed" })
end

function trees.generate(machine, tree)
  local slots = tree.slots and " --slots " .. tree.slots or ""
  local context = tree.context and " --context " .. tree.context or ""
  local part = tree.part and string.format("-e 'require(\"gen.target.%s\").mixed.attention_part = %d'", tree.target,
    tree.part) or ""
  trees.must(string.format("lua5.4 %s gen/main.lua --config %s --target %s --precision %s --name %s --out %s/trees%s%s",
    part, tree.config or "tests/models/" .. tree.model, tree.target, tree.precision, tree.name, machine.folder, slots,
    context))
end

-- The command by which ninja makes a file, from the lines of all commands.
function trees.command_of(commands, output)
  for _, line in ipairs(commands) do
    if (line .. " "):find(" -o " .. output .. " ", 1, true) then return line end
  end
  error("want a command that makes " .. output, 0)
end

-- The text with each `what` replaced by `with`, and how many there were.
function trees.replace(text, what, with)
  return text:gsub(what:gsub("%p", "%%%0"), (with:gsub("%%", "%%%%")))
end

-- The command that links same_bits, from the one that links getp.
function trees.link_same_bits(machine, link, tree)
  return (trees.replace(link, "-o " .. tree.getp, "-o " .. tree.same_bits .. " " .. machine.folder .. "/same_bits.o"))
end

-- The lines of all commands that make some goals of a machine's ninja file.
function trees.commands(machine, goals)
  return support.lines(trees.must(string.format("ninja -f %s -t commands %s", machine.ninja, goals)))
end

-- Compiles a C program against the headers of a tree and links it with the tree's objects in place of getp's main.
-- `change`, if it is given, makes the command that links it from the one that links the tree as it is.
function trees.link_program(machine, tree, source, program, change)
  trees.must(string.format("cc -std=c11 -D_GNU_SOURCE -O2 -Wall -Wextra -Wpedantic -Wshadow -Werror -fopenmp -Iruntime "
    .. "-I%s -c %s -o %s.o", tree.sources, source, program))
  local link = trees.command_of(trees.commands(machine, tree.name), tree.getp)
  link = trees.replace(link, "-o " .. tree.getp, string.format("-o %s %s.o", program, program))
  trees.must(change and change(link) or link)
end

-- Generates trees and builds them, and more goals of the machine's ninja file. Returns the goals as one string.
function trees.make(machine, list, more)
  local goals = table.move(more or {}, 1, more and #more or 0, 1, {})
  for _, tree in ipairs(list) do
    trees.generate(machine, tree)
    goals[#goals + 1] = tree.name
  end
  local names = table.concat(goals, " ")
  if machine.first then trees.must("ninja -f " .. machine.ninja .. " " .. machine.first) end
  trees.must("ninja -f " .. machine.ninja .. " " .. names)
  return names
end

-- Builds all trees of a list, what their programs are compared with, and same_bits of those of mixed.
function trees.build(machine, list)
  local all = table.move(list, 1, #list, 2, { trees.reference(machine, "abacus") })
  local names = trees.make(machine, all, { machine.folder .. "/near_ties", machine.folder .. "/same_bits.o",
    machine.folder .. "/gpu/draw_support.o" })
  local commands = trees.commands(machine, names)
  for _, tree in ipairs(list) do
    if tree.precision == "mixed" then
      trees.must(trees.link_same_bits(machine, trees.command_of(commands, tree.getp), tree))
    end
  end
end

return trees
