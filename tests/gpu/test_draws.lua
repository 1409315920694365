-- Draws from a vocabulary of gpt-oss's size on a device: tests/gpu/draws.c, linked with the kernels of a small model
-- that has such a vocabulary. Prints TAP. `lua5.4 tests/gpu/test_draws.lua MACHINE DRAWS`: a machine of
-- tests/gpu/trees.lua; how many times each distribution is drawn from.

package.path = "./?.lua;" .. package.path
local support = require "tests.support"
local trees = require "tests.gpu.trees"

local VOCAB <const> = 201088
local KINDS <const> = 3     -- DRAW_KINDS of tests/runtime/draw_support.h
local AT_A_TIME <const> = 2 -- kinds

local machine, draws = trees.machine(arg[1]), arg[2]
local config = support.write("config.json",
  (support.read("tests/models/rand_mxfp4/config.json"):gsub('("vocab_size": )%d+', "%1" .. VOCAB)))
local tree = trees.large_vocabulary(machine, config)
local program = machine.folder .. "/" .. tree.name .. "/draws"
trees.build(machine, { tree })
trees.link_program(machine, tree, "tests/gpu/draws.c", program,
  function(link) return (link:gsub("%S+/libgetp%.a", machine.folder .. "/gpu/draw_support.o %0")) end)

local commands = {}
for kind = 0, KINDS - 1 do
  commands[kind + 1] = string.format("%s %d %s >%s.%d 2>&1", program, kind, draws, program, kind)
end
local good = trees.run_all(commands, AT_A_TIME)
for kind = 0, KINDS - 1 do
  io.write((support.read(program .. "." .. kind):gsub("ok ", "ok " .. tree.name .. ": ")))
end
os.exit(good)
