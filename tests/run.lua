-- Runs every test: `ninja test`; `ninja test-thorough` those that take longer than one waits for. Each suite is a
-- command that prints TAP (`ok`, `not ok`) or counts as one test by its exit status. What fails is printed; the last
-- line counts all. `lua5.4 tests/run.lua [--thorough] WORD...` runs only the suites whose name holds one of the words.

package.path = "./?.lua;" .. package.path
local lfs = require "lfs"

local MODELS = "tests/models"
local UNITS = { "tokenizer", "safetensors", "config", "reference", "sampler", "batch", "harmony", "parity", "tiles",
  "cpu", "engine", "packed", "simt_64", "simt_32" }
local AT_A_TIME <const> = 2 -- suites
local thorough = arg[1] == "--thorough" and table.remove(arg, 1) ~= nil
local suites = {}

local function suite(name, command) suites[#suites + 1] = { name = name, command = command } end

-- One that builds what others build, too, or keeps all cores busy.
local function suite_alone(name, command) suites[#suites + 1] = { name = name, command = command, alone = true } end

local function files(folder, pattern)
  local names = {}
  for name in lfs.dir(folder) do
    if name:find(pattern) then names[#names + 1] = folder .. "/" .. name end
  end
  table.sort(names)
  return names
end

-- ---- what there is to run ----

local function lua_suite(path) suite(path, "lua5.4 " .. path .. " -o tap") end

local function list_sources_and_generator()
  local sources = "git ls-files -co --exclude-standard '*.c' '*.h' '*.cpp' '*.hip' | grep -v ^generated/"
  suite("format", sources .. " | xargs clang-format --dry-run -Werror")
  suite("luacheck", "luacheck -q gen tests")
  suite("shape of the sources", "lua5.4 tests/shape.lua")
  for _, path in ipairs(files("tests/gen", "^test_.*%.lua$")) do lua_suite(path) end
end

local function list_units()
  for _, name in ipairs(files(MODELS, "^[^.]")) do
    suite_alone("generate " .. name, "lua5.4 gen/main.lua --target cpu --out build/tests/trees --config " .. name)
  end
  suite_alone("build", "ninja -f tests/build.ninja")
  suite_alone("build with sanitizers", "ninja -f tests/sanitize.ninja")
  for _, unit in ipairs(UNITS) do
    suite(unit, "CMOCKA_MESSAGE_OUTPUT=TAP build/tests/test_" .. unit)
    suite(unit .. " with sanitizers", "CMOCKA_MESSAGE_OUTPUT=TAP build/sanitize/test_" .. unit)
  end
end

local function list_kernels()
  suite_alone("harness, waves of 64, mixed", "lua5.4 tests/gpu/run.lua simt_64 mixed")
  suite_alone("harness, waves of 64, fp32", "lua5.4 tests/gpu/run.lua simt_64 fp32 abacus rand_mxfp4")
  suite_alone("harness, waves of 32", "lua5.4 tests/gpu/run.lua simt_32 mixed rand_bf16 rand_mxfp4")
  suite_alone("tests/gpu/test_diff_steps.lua", "lua5.4 tests/gpu/test_diff_steps.lua -o tap")
  suite_alone("tests/gpu/test_faults.lua", "lua5.4 tests/gpu/test_faults.lua -o tap")
  suite("gfx90a kernels", "lua5.4 tests/machine_code/check_gfx90a.lua")
  lua_suite("tests/gpu/test_passes.lua")
end

local function list_programs()
  for _, folder in ipairs { "tests/machine_code", "tests/getp" } do
    for _, path in ipairs(files(folder, "^test_.*%.lua$")) do lua_suite(path) end
  end
end

local function list_thorough()
  suite_alone("harness, waves of 64, fp32, all models", "lua5.4 tests/gpu/run.lua simt_64 fp32")
  suite_alone("harness, waves of 32, all models", "lua5.4 tests/gpu/run.lua simt_32")
  suite_alone("attention in parts", "lua5.4 tests/gpu/test_attention_parts.lua")
  suite_alone("mutants of the kernels", "lua5.4 tests/gpu/mutants.lua")
end

if thorough then
  list_thorough()
else
  list_sources_and_generator()
  list_units()
  list_kernels()
  list_programs()
end

-- ---- running it ----

-- Starts a suite, its files in the `place`-th scratch folder. Threads that wait leave the cores to others.
local function start(each, place)
  each.began = os.time()
  each.pipe = assert(io.popen(string.format("export OMP_WAIT_POLICY=passive GETP_SCRATCH=build/tests/scratch/%d\n"
    .. "{ %s\n} 2>&1 </dev/null", place, each.command)))
end

-- Waits for a suite -> number of tests passed and failed.
local function finish(each)
  local passed, failed, output = 0, 0, {}
  for line in each.pipe:lines() do
    output[#output + 1] = line
    if line:find("^ok") then passed = passed + 1 end
    if line:find("^not ok") and not line:find("# SKIP", 1, true) then failed = failed + 1 end
  end
  local succeeded = each.pipe:close()
  if passed + failed == 0 and succeeded then passed = 1 end
  if failed == 0 and not succeeded then failed = 1 end
  if failed > 0 then print(table.concat(output, "\n")) end
  print(string.format("%-45s %4d passed %4d failed %4d s", each.name, passed, failed, os.time() - each.began))
  return passed, failed
end

local function wanted(name)
  for _, word in ipairs(arg) do
    if name:find(word, 1, true) then return true end
  end
  return #arg == 0
end

local passed, failed, running, started = 0, 0, {}, 0

local function finish_all_but(count)
  while #running > count do
    local good, bad = finish(table.remove(running, 1))
    passed, failed = passed + good, failed + bad
  end
end

for _, each in ipairs(suites) do
  if wanted(each.name) then
    finish_all_but(each.alone and 0 or AT_A_TIME - 1)
    start(each, started % AT_A_TIME)
    started = started + 1
    running[#running + 1] = each
    finish_all_but(each.alone and 0 or AT_A_TIME)
  end
end
finish_all_but(0)
print(string.format("%d passed, %d failed", passed, failed))
os.exit(failed == 0)
