-- Attention that takes the keys in parts, in the CPU harness with waves of either width: tests/gpu/attention_parts.c
-- with the kernels of a tree for 131072 positions, and of one whose rows are padded. Prints TAP.
-- `lua5.4 tests/gpu/test_attention_parts.lua [MACHINE...]`: the machines of tests/gpu/trees.lua.

package.path = "./?.lua;" .. package.path
local support = require "tests.support"
local trees = require "tests.gpu.trees"

local function check(machine, tree)
  local program = machine.folder .. "/" .. tree.name .. "/attention_parts"
  trees.link_program(machine, tree, "tests/gpu/attention_parts.c", program)
  local status, out, err = support.run("timeout 300 " .. program)
  io.write((out:gsub("ok ", "ok " .. tree.name .. ": ")), err)
  return status == 0
end

local good = true
for _, name in ipairs(arg[1] and arg or { "simt_64", "simt_32" }) do
  local machine = trees.machine(name)
  local list = trees.in_parts(machine)
  trees.build(machine, list)
  for _, tree in ipairs(list) do good = check(machine, tree) and good end
end
os.exit(good)
