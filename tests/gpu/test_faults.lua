-- Every HIP call that can fail is made to fail once in the CPU harness: getp then prints one line that names the call,
-- exits with status 1 and leaves nothing allocated. `lua5.4 tests/gpu/run.lua simt_64 abacus` builds what this runs:
-- the fp32 tree launches each step, the mixed tree captures the steps and replays them.

package.path = "./?.lua;" .. package.path
local luaunit = require "luaunit"
local support = require "tests.support"

local LEAK = 86 -- the harness's exit status when memory is left allocated
local FINISH = 2 -- the last calls are those of engine_finish: the work is done, so there is nothing to report

-- Each of the first `every` calls fails in a run of its own; after them every `stride`-th call does.
local LOGITS = { getp = "build/simt_64/abacus-gfx90a-fp32/getp", arguments = "-m logits -o %s/faults.f32 -i %s",
  every = 40, stride = 23 }
local GREEDY = { getp = "build/simt_64/abacus-gfx90a/getp", arguments = "-i '47 + 85 =' -n 12", every = 20, stride = 9 }
local SAMPLED = { getp = GREEDY.getp, arguments = "-i '47 + 85 =' -n 12 -t 1 --profile", every = 0, stride = 37 }

TestFaults = {} -- luacheck: ignore (luaunit finds it by its name)

local function run(environment, case)
  local ids = support.ids("faults.ids", { { 296, 268, 220 }, { 23, 434 } })
  local arguments = case.arguments:format(support.scratch, ids)
  return support.run(string.format("timeout 60 env %s %s tests/models/abacus %s", environment, case.getp, arguments))
end

local function calls(case)
  local status, _, report = run("SIMT_COUNT=1", case)
  luaunit.assertEquals(status, 0, report)
  return tonumber(report:match("calls=(%d+)"))
end

local function check_failure(n, case)
  local status, _, message = run("SIMT_FAIL=" .. n, case)
  luaunit.assertNotEquals(status, LEAK, message)
  luaunit.assertEquals(status, 1, "call " .. n .. ": " .. message)
  luaunit.assertStrMatches(message:match("[^\n]*\n$"), "getp: [^\n]+\n", nil, nil, "call " .. n)
end

local function check_every_failure(case)
  local most = calls(case)
  luaunit.assertTrue(most > 100)
  for n = 1, most - FINISH do
    if n <= case.every or n % case.stride == 0 then check_failure(n, case) end
  end
end

function TestFaults.test_launched_steps() check_every_failure(LOGITS) end -- luacheck: ignore
function TestFaults.test_captured_steps() check_every_failure(GREEDY) end -- luacheck: ignore
function TestFaults.test_timed_steps() check_every_failure(SAMPLED) end -- luacheck: ignore

function TestFaults.test_no_memory() -- luacheck: ignore
  local status, _, message = run("SIMT_MEMORY=1000000", LOGITS)
  luaunit.assertEquals(status, 1)
  luaunit.assertStrMatches(message, "getp: hipMalloc: out of memory for weights: want %d+ bytes, "
    .. "found %d+ of 1000000 free: .*\n")
end

function TestFaults.test_engine_in_the_harness() -- luacheck: ignore
  for _, program in ipairs { "build/simt_64/test_engine_fp32", "build/simt_64/test_engine_mixed" } do
    local status, out, message = support.run(string.format("ninja -f tests/simt_64.ninja %s && %s", program, program))
    luaunit.assertEquals(status, 0, out .. message)
  end
end

os.exit(luaunit.LuaUnit.run())
