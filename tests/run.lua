-- Runs the tests: `ninja test` those of daily work, `ninja test-thorough` the long ones. Each suite is a command that
-- prints TAP (`ok`, `not ok`) or counts as one test by its exit status. The output of a suite that fails is printed.
-- The last line counts all tests. `lua5.4 tests/run.lua [--thorough] WORD...` runs only the suites whose name contains
-- one of the words.

package.path = "./?.lua;" .. package.path
local lfs = require "lfs"

local MODELS <const> = "tests/models"
local C_TESTS <const> = { "utf8", "replace", "checksum", "dtype", "safetensors", "config", "stop_ids", "tiles",
  "panels", "weights", "weight_source", "tokenizer", "tokenizer_json", "split", "bpe", "specials", "special_text",
  "harmony", "harmony_reply", "harmony_tools", "reference", "sampler", "draws", "batch", "parity", "terminal", "cpu",
  "engine", "packed", "simt_64", "simt_32" }
local MACHINES <const> = { "avx2", "portable" } -- for which the cpu kernels are compiled, too
local MACHINE_MODEL <const> = "rand_mxfp4" -- its tree is, too
local FINDS <const> = "tests/fuzz/finds" -- a folder per target
local AT_A_TIME <const> = 2 -- how many suites run in parallel
local thorough = arg[1] == "--thorough" and table.remove(arg, 1) ~= nil
local suites = {}

local function suite(name, command) suites[#suites + 1] = { name = name, command = command } end

-- A suite that uses all cores, or builds files that others build as well. It runs while no other suite does.
local function suite_alone(name, command) suites[#suites + 1] = { name = name, command = command, alone = true } end

local function files(folder, pattern)
  local names = {}
  for name in lfs.dir(folder) do
    if name:find(pattern) then names[#names + 1] = folder .. "/" .. name end
  end
  table.sort(names)
  return names
end

-- ---- the suites ----

local function lua_suite(path) suite(path, "lua5.4 " .. path .. " -o tap") end

local function list_sources_and_generator()
  local sources = "git ls-files -co --exclude-standard '*.c' '*.h' '*.cpp' '*.hip' | grep -v ^generated/"
  suite("format", sources .. " | xargs clang-format --dry-run -Werror")
  suite("luacheck", "luacheck -q gen tests")
  suite("shape of the sources", "lua5.4 tests/shape.lua")
  suite("words", "lua5.4 tests/words.lua")
  suite("contents of the repository", "lua5.4 tests/contents.lua")
  suite("rooms", "lua5.4 tests/rooms.lua")
  lua_suite("tests/test_rooms.lua")
  suite("headers", "lua5.4 tests/headers.lua")
  for _, path in ipairs(files("tests/gen", "^test_.*%.lua$")) do lua_suite(path) end
end

local function list_c_tests()
  for _, name in ipairs(files(MODELS, "^[^.]")) do
    suite_alone("generate " .. name, "lua5.4 gen/main.lua --target cpu --out build/tests/trees --config " .. name)
  end
  for _, machine in ipairs(MACHINES) do
    suite_alone(string.format("generate %s for %s", MACHINE_MODEL, machine), string.format(
      "lua5.4 gen/main.lua --target cpu --out build/tests/machines --config %s/%s --name %s-%s", MODELS,
      MACHINE_MODEL, MACHINE_MODEL, machine))
  end
  suite_alone("build", "ninja -f tests/build.ninja")
  suite_alone("build with sanitizers", "ninja -f tests/sanitize.ninja")
  for _, name in ipairs(C_TESTS) do
    suite(name, "CMOCKA_MESSAGE_OUTPUT=TAP build/tests/test_" .. name)
    suite(name .. " with sanitizers", "CMOCKA_MESSAGE_OUTPUT=TAP build/sanitize/test_" .. name)
  end
  for _, machine in ipairs(MACHINES) do
    suite("cpu for " .. machine, "CMOCKA_MESSAGE_OUTPUT=TAP build/tests/test_cpu_" .. machine)
  end
end

-- What the fuzzers have found, and inputs like it.
local function list_finds()
  for _, folder in ipairs(files(FINDS, "^[^.]")) do
    local target = folder:match "[^/]+$"
    suite("finds of fuzzers, " .. target, "build/sanitize/fuzz/" .. target .. " " .. folder)
  end
end

local function list_kernels()
  suite_alone("harness, waves of 64, mixed",
    "lua5.4 tests/gpu/run.lua simt_64 mixed abacus abacus_chat rand_bf16 rand_mxfp4")
  suite_alone("harness, waves of 64, fp32", "lua5.4 tests/gpu/run.lua simt_64 fp32 abacus")
  suite_alone("harness, waves of 32", "lua5.4 tests/gpu/run.lua simt_32 mixed rand_bf16 rand_mxfp4")
  suite_alone("tests/gpu/test_diff_steps.lua", "lua5.4 tests/gpu/test_diff_steps.lua -o tap")
  suite_alone("tests/gpu/test_faults.lua", "lua5.4 tests/gpu/test_faults.lua -o tap")
  lua_suite("tests/gpu/test_passes.lua")
  lua_suite("tests/gpu/test_numbers.lua")
end

local function list_programs()
  for _, folder in ipairs { "tests/machine_code", "tests/getp", "tests/bench" } do
    for _, path in ipairs(files(folder, "^test_.*%.lua$")) do lua_suite(path) end
  end
end

local function list_thorough()
  suite("kills at random moments", "lua5.4 tests/getp/test_journal.lua --kills 200")
  suite_alone("harness, waves of 64, mixed, all models", "lua5.4 tests/gpu/run.lua simt_64 mixed")
  suite_alone("harness, waves of 64, fp32, all models", "lua5.4 tests/gpu/run.lua simt_64 fp32")
  suite_alone("harness, waves of 32, all models", "lua5.4 tests/gpu/run.lua simt_32")
  suite_alone("attention in parts", "lua5.4 tests/gpu/test_attention_parts.lua")
  suite_alone("draws, waves of 64", "lua5.4 tests/gpu/test_draws.lua simt_64 1000000")
  suite_alone("draws, waves of 32", "lua5.4 tests/gpu/test_draws.lua simt_32 20000")
  suite_alone("50 kills of the generator", "lua5.4 tests/gen/test_disk.lua 50 -o tap TestKill")
  suite_alone("mutants of the kernels", "lua5.4 tests/gpu/mutants.lua")
  suite_alone("tests/emulator/test_emulator.lua", "lua5.4 tests/emulator/test_emulator.lua -o tap")
  suite_alone("gpt-oss-20b's dimensions on the emulator", "lua5.4 tests/emulator/test_dimensions.lua 20b")
  suite_alone("gpt-oss-120b's dimensions on the emulator", "lua5.4 tests/emulator/test_dimensions.lua 120b")
  suite_alone("gfx90a kernels", "lua5.4 tests/machine_code/check_gfx90a.lua")
  suite_alone("sm_90 kernels", "lua5.4 tests/machine_code/check_sm_90.lua -o tap")
end

if thorough then
  list_thorough()
else
  list_sources_and_generator()
  list_c_tests()
  list_finds()
  list_kernels()
  list_programs()
end

-- ---- running them ----

-- Starts a suite with scratch folder `number`. Waiting threads leave the cores to other suites.
local function start(each, number)
  each.began = os.time()
  each.pipe = assert(io.popen(string.format("export OMP_WAIT_POLICY=passive GETP_SCRATCH=build/tests/scratch/%d\n"
    .. "{ %s\n} 2>&1 </dev/null", number, each.command)))
end

-- Waits for a suite -> the numbers of tests that passed and failed.
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

local function is_selected(name)
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
  if is_selected(each.name) then
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
