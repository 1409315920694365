-- The kernels of sm_90 trees compile without a warning, where nvcc is installed.
-- luacheck: globals TestSm90

package.path = "./?.lua;" .. package.path
local lu = require "luaunit"
local trees = require "tests.gpu.trees"

-- Models whose kernels differ in more than numbers: without padding, with padding everywhere, with attention in parts.
local MODELS <const> = { "abacus", "odd_f32", "rand_bf16" }

TestSm90 = {}

function TestSm90.test_no_warning()
  if not os.execute("command -v nvcc >/dev/null") then lu.skip("nvcc is not installed") end
  local machine, list = trees.machine("sm_90"), {}
  for _, model in ipairs(MODELS) do
    for _, precision in ipairs { "mixed", "fp32" } do list[#list + 1] = trees.describe(machine, model, precision) end
  end
  trees.make(machine, list)
end

os.exit(lu.LuaUnit.run())
