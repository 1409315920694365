-- getp --profile and --trace: the table and the trace have every step of every pass once, the results do not change,
-- and a trace that cannot be written is refused with one line and exit status 1.
-- luacheck: globals TestProfile TestTrace TestRefused

package.path = "./?.lua;" .. package.path
local json = require "dkjson"
local lu = require "luaunit"
local support = require "tests.support"

local GETP = "timeout 60 " .. support.getp("abacus-cpu")
local MODEL = "tests/models/abacus"
local LAYERS <const>, ROLES <const> = 4, 16
local STEPS <const> = 3 + 12 * LAYERS -- embed, the layers, a norm and the head
local PROMPTS = { "47 + 85 =", "What is 12 times 9?", "Reverse q w e r t y." }
local OUT, TRACE = support.scratch .. "/profile.out", support.scratch .. "/profile.json"

-- `-m getp` on the prompts -> its output file, stderr.
local function run(flags)
  local prompts = support.prompts("profile.prompts", PROMPTS)
  local command = string.format("%s %s -m getp -i %s -o %s -n 40 %s", GETP, MODEL, prompts, OUT, flags)
  local status, _, err = support.run(command)
  lu.assertEquals(status, 0, err)
  return support.read(OUT), err
end

-- The table of stderr -> passes, [role] = { calls, seconds, percent of the busy time }, list of roles.
local function parse(text)
  local passes = math.tointeger(text:match("device: (%d+) passes, busy for [%d.]+ of [%d.]+ s\n"))
  local of, order = {}, {}
  for role, calls, seconds, percent in text:gmatch("\n([%w_]+) +(%d+) +([%d.]+) +([%d.]+) %%") do
    of[role] = { calls = math.tointeger(calls), seconds = tonumber(seconds), percent = tonumber(percent) }
    order[#order + 1] = role
  end
  return passes, of, order
end

local function read_trace() return assert(json.decode(support.read(TRACE))) end

TestProfile = {}

function TestProfile.test_table()
  local plain = run("")
  local timed, text = run("--profile")
  lu.assertEquals(timed, plain)
  local passes, of, order = parse(text)
  lu.assertEquals(#order, ROLES + 1, text)
  lu.assertEquals(order[#order], "all")
  lu.assertEquals(of.all.calls, passes * STEPS)
  lu.assertEquals(of.embed.calls, passes)
  lu.assertEquals(of.matmul_qkv.calls, passes * LAYERS)
  local calls, percent = 0, 0
  for i = 1, ROLES do
    calls, percent = calls + of[order[i]].calls, percent + of[order[i]].percent
    lu.assertTrue(i == 1 or of[order[i]].seconds <= of[order[i - 1]].seconds)
  end
  lu.assertEquals(calls, of.all.calls)
  lu.assertAlmostEquals(percent, 100, 1)
  for _, what in ipairs { "open device", "allocate memory", "prepare", "submit", "collect" } do
    lu.assertNotNil(text:find("host: " .. what .. ": [%d.]+ s\n"), what)
  end
  lu.assertNotNil(text:find("host: load weights: [%d.]+ s, [%d.]+ GB/s\n"), text)
end

-- With several threads each step is still reported once.
function TestProfile.test_threads()
  local _, text = run("--profile -b 1")
  local passes, of = parse(text)
  lu.assertEquals(of.all.calls, passes * STEPS)
end

function TestProfile.test_other_modes()
  for _, flags in ipairs { "-i '47 + 85 ='", "-m chat -i '47 + 85 =' </dev/null",
    "-m logits -o " .. OUT .. " -i " .. support.ids("profile.ids", { { 296, 268, 220 } }) } do
    local status, _, err = support.run(string.format("%s %s --profile %s", GETP, MODEL, flags))
    lu.assertEquals(status, 0, err)
    lu.assertNotNil(parse(err), flags)
  end
end

TestTrace = {}

-- The spans of a thread do not overlap.
function TestTrace.test_spans()
  local _, text = run("--profile --trace " .. TRACE)
  local passes, of = parse(text)
  local ended, count = { [0] = 0, [1] = 0 }, {}
  for _, event in ipairs(read_trace()) do
    if event.ph == "X" then
      lu.assertTrue(event.ts >= ended[event.tid] - 0.01 and event.dur >= 0)
      ended[event.tid] = event.ts + event.dur
      count[event.name] = (count[event.name] or 0) + 1
      lu.assertEquals(event.args ~= nil, event.tid == 1)
    else
      lu.assertEquals(event.name, "thread_name")
    end
  end
  for role, total in pairs(of) do
    if role ~= "all" then lu.assertEquals(count[role], total.calls, role) end
  end
  lu.assertEquals(count.submit, passes)
  lu.assertEquals(count.collect, passes)
  lu.assertEquals(count.prepare, 2 * passes)
  for _, what in ipairs { "open device", "allocate memory", "load weights" } do lu.assertEquals(count[what], 1) end
end

-- The steps of a pass are in the order of the schedule, with their layers.
function TestTrace.test_order()
  run("--trace " .. TRACE)
  local schedule, seen = {}, 0
  for layer, role in support.read("build/tests/trees/abacus-cpu/schedule.inc"):gmatch("\nSTEP%((%-?%d+), ([%w_]+),") do
    schedule[#schedule + 1] = role .. " " .. layer
  end
  lu.assertEquals(#schedule, STEPS)
  for _, event in ipairs(read_trace()) do
    if event.tid == 1 and event.ph == "X" then
      lu.assertEquals(event.name .. " " .. event.args.layer, schedule[seen % STEPS + 1])
      seen = seen + 1
    end
  end
  lu.assertEquals(seen % STEPS, 0)
end

TestRefused = {}

local function refused(flags, message)
  local status, _, err = support.run(string.format("%s %s", GETP, flags))
  lu.assertEquals(status, 1, flags)
  lu.assertEquals(err:match("[^\n]*\n$"), "getp: " .. message .. "\n")
end

function TestRefused.test_files()
  refused(MODEL .. " -i a --trace build/none/trace", "build/none/trace: No such file or directory")
  refused(MODEL .. " -i a --trace /dev/full", "/dev/full: No space left on device")
  refused(MODEL .. " -i a --trace ''", '--trace: want the name of a file, found "": see --help')
end

function TestRefused.test_modes_without_steps()
  refused("decode -z z -i a --profile", "--profile: want a mode that runs steps, found decode: see --help")
  refused(MODEL .. " -m logits -i a -o b --reference --trace t",
    "--trace: want a mode that runs steps, found --reference: see --help")
end

os.exit(lu.LuaUnit.run())
