-- Every HIP call that can fail is made to fail once, in the CPU harness: getp ends with one line that
-- names the call, a status, and nothing left allocated. `lua5.4 tests/gpu/run.lua simt_64 abacus` builds
-- what this runs.

package.path = "./?.lua;" .. package.path
local luaunit = require "luaunit"
local support = require "tests.support"

local GETP = "build/simt_64/abacus-gfx90a-fp32/getp tests/models/abacus"
local LEAK = 86 -- the harness's exit status when memory is left allocated
local EVERY = 40 -- calls from the first on that each fail once; from there on every STEPth
local STEP = 23
local FINISH = 2 -- the last calls wait in engine_finish: the logits are out, so there is nothing to report

TestFaults = {} -- luacheck: ignore (luaunit finds it by its name)

local function logits(environment)
  local ids = support.ids("faults.ids", { { 296, 268, 220 }, { 23, 434 } })
  return support.run(string.format("timeout 60 env %s %s -m logits -i %s -o %s/faults.f32", environment, GETP, ids,
    support.scratch))
end

local function calls()
  local status, _, report = logits("SIMT_COUNT=1")
  luaunit.assertEquals(status, 0, report)
  return tonumber(report:match("calls=(%d+)"))
end

local function check_failure(n)
  local status, _, message = logits("SIMT_FAIL=" .. n)
  luaunit.assertNotEquals(status, LEAK, message)
  luaunit.assertEquals(status, 1, "call " .. n .. ": " .. message)
  luaunit.assertStrMatches(message, "getp: [^\n]+\n", nil, nil, "call " .. n)
end

function TestFaults.test_every_failing_call() -- luacheck: ignore
  local most = calls()
  luaunit.assertTrue(most > EVERY)
  for n = 1, most - FINISH do
    if n <= EVERY or n % STEP == 0 then check_failure(n) end
  end
end

function TestFaults.test_no_memory() -- luacheck: ignore
  local status, _, message = logits("SIMT_MEMORY=1000000")
  luaunit.assertEquals(status, 1)
  luaunit.assertStrMatches(message, "getp: hipMalloc for weights: [^:]+: want %d+ bytes, %d+ of 1000000 are free: .*\n")
end

function TestFaults.test_engine_in_the_harness() -- luacheck: ignore
  local status, out, message = support.run("ninja -f tests/simt_64.ninja build/simt_64/test_engine_gfx90a "
    .. "&& build/simt_64/test_engine_gfx90a")
  luaunit.assertEquals(status, 0, out .. message)
end

os.exit(luaunit.LuaUnit.run())
