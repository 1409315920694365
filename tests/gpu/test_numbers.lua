-- Logits that are no numbers end one request, in both precisions of gfx90a, in the CPU harness. `lua5.4
-- tests/gpu/run.lua simt_64 mixed abacus`, and fp32, build what this runs.
-- luacheck: globals TestNumbers

package.path = "./?.lua;" .. package.path
local lu = require "luaunit"
local spoiled = require "tests.getp.spoiled"

local GETP <const> = "OMP_NUM_THREADS=1 timeout 300 build/simt_64/abacus-gfx90a%s/getp"

TestNumbers = {}

for name, ending in pairs { mixed = "", fp32 = "-fp32" } do
  local getp <const> = GETP:format(ending)
  TestNumbers["test_one_request_fails_" .. name] = function() spoiled.check_one_request_fails(getp) end
  TestNumbers["test_against_logits_" .. name] = function()
    lu.assertTrue(spoiled.check_against_logits(getp) >= 20)
  end
end

os.exit(lu.LuaUnit.run())
