-- getp --plan prints the memory of summary.txt, to the byte, without a checkpoint or a device.
-- luacheck: globals TestPlan

package.path = "./?.lua;" .. package.path
local lu = require "luaunit"
local support = require "tests.support"

local function getp_plan(tree, arguments)
  local program = support.getp(tree)
  local status, out, err = support.run("timeout 20 " .. program .. " --plan " .. (arguments or ""))
  lu.assertEquals({ status, err }, { 0, "" })
  return out
end

-- The paragraph about memory in the summary.txt of one of the tests' own trees.
local function summary(tree)
  local text = support.read("build/tests/trees/" .. tree .. "/summary.txt")
  return assert(text:match("\nmemory in bytes\n(.-\n)\n"))
end

TestPlan = {}

-- The weights by hand: a panel of q, k, v or the router (8 experts in 16 features) has 192 columns, one of o has 512;
-- a panel of gate and up has 1536 bytes of codes and 128 of scales, one of down 1024 and 64. RoPE: 512 positions, 32
-- cosines and 32 sines each. KV cache: 16 slots, keys and values of 2 heads of 64 floats.
function TestPlan.test_abacus()
  lu.assertEquals(getp_plan "abacus-cpu", [[
weights read in place, BF16: 393,216
weights packed, F32: 80,128
weights packed, BF16: 2,383,872
weights packed, MXFP4: 1,269,760
KV cache: 22,020,096
arena: 753,664
RoPE cos and sin: 131,072
rows: 2,596
rows of two passes on the host: 5,192
logits on the host: 524,288
sum on the device: 27,034,404
sum on the host: 529,480
memory of the device: not bounded
]])
end

function TestPlan.test_is_the_summary()
  for _, tree in ipairs { "abacus-cpu", "rand_mxfp4-cpu", "odd_f32-cpu", "odd_no_window-cpu" } do
    lu.assertEquals(getp_plan(tree), summary(tree), tree)
  end
end

function TestPlan.test_other_arguments_are_ignored()
  local want = getp_plan "abacus-cpu"
  lu.assertEquals(getp_plan("abacus-cpu", "nowhere -m getp"), want)
  lu.assertEquals(getp_plan("abacus-cpu", "-i x -b 3"), want)
end

os.exit(lu.LuaUnit.run())
