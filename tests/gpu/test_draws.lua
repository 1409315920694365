-- Draws from a vocabulary of gpt-oss's size on a device: tests/gpu/draws.c, linked with the kernels of a small model that
-- has such a vocabulary. Prints TAP. `lua5.4 tests/gpu/test_draws.lua [DRAWS [MACHINE...]]`: how many times each
-- distribution is drawn from; the machines of tests/gpu/trees.lua.

package.path = "./?.lua;" .. package.path
local support = require "tests.support"
local trees = require "tests.gpu.trees"

local VOCAB <const> = 201088
local draws = arg[1] or "1000000"
local config = support.write("config.json",
  (support.read("tests/models/rand_mxfp4/config.json"):gsub('("vocab_size": )%d+', "%1" .. VOCAB)))

local function check(machine)
  local tree = trees.large_vocabulary(machine, config)
  local program = machine.folder .. "/" .. tree.name .. "/draws"
  trees.build(machine, { tree })
  trees.link_program(machine, tree, "tests/gpu/draws.c", program,
    function(link) return (link:gsub("%S+/libgetp%.a", machine.folder .. "/gpu/draw_support.o %0")) end)
  local status, out, err = support.run(program .. " " .. draws)
  io.write((out:gsub("ok ", "ok " .. tree.name .. ": ")), err)
  return status == 0
end

local good = true
for _, name in ipairs(arg[2] and { table.unpack(arg, 2) } or { "simt_64", "simt_32" }) do
  good = check(trees.machine(name)) and good
end
os.exit(good)
