-- Tests of the emulator: `lua5.4 tests/emulator/test_emulator.lua -o tap`. Programs that hipcc builds compare what
-- their kernels compute with what the host computes; kernels with one mistake must be refused with the right message;
-- the times of two kernels must be near what the data sheet allows.
-- luacheck: globals TestValues TestMistakes TestTimes TestTable

package.path = "./?.lua;" .. package.path
local lu = require "luaunit"
local compile = require "tests.machine_code.gfx90a.compile"
local emulator = require "tests.emulator.emulator"
local passes = require "tests.emulator.passes"
local support = require "tests.support"

local PROGRAMS <const> = "build/emulator/programs/"

if compile.compilers[1].missing then
  print("ok 1 # SKIP " .. compile.compilers[1].missing)
  os.exit(true)
end
local is_built, output = emulator.build()
assert(is_built, output)
local status, out, err = support.run("ninja --quiet -f tests/emulator/programs.ninja")
assert(status == 0, out .. err)

-- Runs a program with settings -> its exit status, stdout, stderr.
local function run(program, settings) return support.run(emulator.prefix(settings) .. PROGRAMS .. program) end

-- A program must report so many checks, none of which failed.
local function check_all(program, count, settings)
  local exit, text, message = run(program, settings)
  lu.assertEquals({ exit, message }, { 0, "" })
  local good = 0
  for _, line in ipairs(support.lines(text)) do
    lu.assertStrMatches(line, "ok .*")
    good = good + 1
  end
  lu.assertEquals(good, count)
end

TestValues = {}

function TestValues.test_expressions() check_all("values", 34) end

function TestValues.test_lanes() check_all("lanes", 19) end

function TestValues.test_matrix_instructions() check_all("matrix", 9) end

function TestValues.test_memory() check_all("memory", 8) end

function TestValues.test_code_without_optimization() check_all("memory_O0", 8) end

-- No result depends on the order of waves or on how many workgroups run at a time.
function TestValues.test_orders()
  for _, settings in ipairs { "EMULATOR_ORDER=1", "EMULATOR_ORDER=2 EMULATOR_SEED=3", "EMULATOR_RESIDENT=4",
    "EMULATOR_THREADS=1", "EMULATOR_RACE=1" } do
    check_all("memory", 8, settings)
  end
end

TestMistakes = {}

local WHERE <const> = "block (0,0,0) wave %d pc 0x"

-- The program must end with a message that has these parts.
local function check_refused(which, settings, kernel, wave, message)
  local exit, _, text = run("mistakes " .. which, settings)
  lu.assertEquals(exit, 134)
  lu.assertStrContains(text, "emulator: _Z" .. #kernel .. kernel)
  if wave then lu.assertStrContains(text, WHERE:format(wave)) end
  lu.assertStrContains(text, message)
end

function TestMistakes.test_load_outside()
  check_refused("load", "", "load_outside", 1,
    "`: load of 4 bytes by lane 63 out of bounds: at offset 512 of hipMalloc number 1 of 512 bytes\n")
end

function TestMistakes.test_store_outside()
  check_refused("store", "", "store_outside", 0,
    "`: store of 4 bytes by lane 0 out of bounds: 4 bytes before hipMalloc number 2 of 512 bytes\n")
end

function TestMistakes.test_lds_outside()
  check_refused("lds", "", "lds_outside", 1, "`: LDS read of 4 bytes by lane 63 out of bounds: at offset 512 of 512 "
    .. "bytes of LDS, or of 0 bytes of scratch per lane\n")
end

function TestMistakes.test_race()
  check_refused("race", "EMULATOR_RACE=1", "race", 1,
    "`: LDS race: lane 0 of wave 1 writes byte 256 of LDS that wave 0 read, and no barrier is in between\n")
  local exit, text = run("mistakes race", "")
  lu.assertEquals({ exit, text }, { 0, "64 wrong\n" })
end

function TestMistakes.test_trap() check_refused("trap", "", "trap", 0, "`: s_trap 2") end

-- With one thread and one workgroup at a time, a block that waits for the next one never ends.
function TestMistakes.test_endless_loop()
  check_refused("wait", "EMULATOR_THREADS=1 EMULATOR_INSTRUCTIONS=100000", "wait", nil,
    ": want at most 100000 instructions in a launch, found more: an endless loop?\n")
  local exit = run("mistakes wait", "EMULATOR_THREADS=1 EMULATOR_RESIDENT=2")
  lu.assertEquals(exit, 0)
end

function TestMistakes.test_out_of_bounds_goes_on()
  local exit, _, text = run("mistakes store", "EMULATOR_BOUNDS=0")
  lu.assertEquals(exit, 0)
  lu.assertStrContains(text, "4 bytes before hipMalloc number 2 of 512 bytes\n")
end

function TestMistakes.test_too_many_threads()
  local exit, text, message = run("mistakes threads", "")
  lu.assertEquals({ exit, text }, { 0, "hipErrorLaunchFailure\n" })
  lu.assertEquals(message, "emulator: _Z4racePKiPi: want at most 1024 threads in a block, found 2048\n")
end

function TestMistakes.test_settings()
  for settings, message in pairs {
    ["EMULATOR_RACE=yes"] = 'EMULATOR_RACE: want a number, found "yes"',
    ["EMULATOR_PARAMETERS=clocks=1"] =
      'EMULATOR_PARAMETERS: want NAME=NUMBER with a name of the README, found "clocks=1"',
    ["EMULATOR_OBJDUMP=false"] = "false: the run failed",
  } do
    local exit, _, text = run("mistakes load", settings)
    lu.assertEquals({ exit, text }, { 134, "emulator: " .. message .. "\n" })
  end
end

TestTimes = {}

-- The kernels of a timed run, by name; of several launches the list of them.
local function time(settings)
  local path = support.write("times.txt", "")
  local exit, _, message = run("times", "EMULATOR_TIME=1 EMULATOR_TIME_FILE=" .. path .. " " .. (settings or ""))
  lu.assertEquals({ exit, message }, { 0, "" })
  return passes.parse(support.read(path) .. "step all 1\n")[1].kernels
end

function TestTimes.test_rates()
  local kernels = time()
  lu.assertEquals(#kernels, 4)
  local triad, products = kernels[1], kernels[2]
  -- BabelStream reaches 1280 to 1370 GB/s on one GCD of an MI250X.
  lu.assertStrMatches(triad.kernel, "triad")
  lu.assertEquals(triad.bound, "HBM")
  lu.assertTrue(triad.gbs > 1250 and triad.gbs < 1400, triad.gbs)
  -- A loop of independent products keeps the matrix pipes busy.
  lu.assertStrMatches(products.kernel, "products")
  lu.assertEquals(products.bound, "MFMA")
  lu.assertTrue(products.mfma > 0.93 and products.mfma <= 1, products.mfma)
end

-- 8 lanes that write 16 bytes each use all banks at once; at a stride of 2 KiB they use the same banks.
function TestTimes.test_bank_conflicts()
  local kernels = time()
  lu.assertTrue(kernels[3].conflicts < 0.01, kernels[3].conflicts)
  lu.assertTrue(kernels[4].conflicts > 0.8, kernels[4].conflicts)
end

function TestTimes.test_parameters()
  local as_is, half = time(), time("EMULATOR_PARAMETERS=clock=0.85,hbm_gbs=819")
  for i = 1, 2 do lu.assertAlmostEquals(half[i].us / as_is[i].us, 2, 0.1) end
end

function TestTimes.test_same_times_in_each_run()
  local one, two = time(), time()
  for i = 1, #one do lu.assertAlmostEquals(one[i].us / two[i].us, 1, 0.01) end
end

TestTable = {}

-- The text of a file of two layers, the first of which a pass has three times.
function TestTable.test_sums()
  local steps = passes.parse("kernel=a\tus=10.0\tlaunch_us=2.5\n" .. "kernel=b\tus=30.0\tlaunch_us=2.5\n"
    .. "step matmul 3\n" .. "kernel=a\tus=20.0\tlaunch_us=2.5\nstep matmul 1\n" .. "step moe_sort 1\n")
  lu.assertEquals({ steps[1].role, steps[1].times, steps[1].launches, steps[1].us }, { "matmul", 4, 7, 140 })
  lu.assertEquals(steps[1].longest.kernel, "b")
  lu.assertEquals({ steps[2].role, steps[2].times, steps[2].us }, { "moe_sort", 1, 0 })
  lu.assertAlmostEquals(passes.milliseconds(steps), 0.1575, 1e-9)
  lu.assertEquals(passes.summary(steps, "64"), "64 rows: 0.16 ms, 406349 tok/s")
end

os.exit(lu.LuaUnit.run())
