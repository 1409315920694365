-- Runs every test: `ninja test`. Each suite is a command that prints TAP (`ok`, `not ok`) or counts as
-- one test by its exit status. What fails is printed; the last line counts all.
-- `lua5.4 tests/run.lua WORD...` runs only the suites whose name holds one of the words.

package.path = "./?.lua;" .. package.path
local lfs = require "lfs"

local MODELS = "tests/models"
local UNITS = { "tokenizer", "safetensors", "config", "reference", "sampler", "batch", "harmony", "parity", "tiles",
  "cpu", "engine", "packed", "simt_64", "simt_32" }
local suites = {}

local function suite(name, command) suites[#suites + 1] = { name = name, command = command } end

local function files(folder, pattern)
  local names = {}
  for name in lfs.dir(folder) do
    if name:find(pattern) then names[#names + 1] = folder .. "/" .. name end
  end
  table.sort(names)
  return names
end

-- ---- what there is to run ----

local SOURCES = "git ls-files -co --exclude-standard '*.c' '*.h' '*.cpp' '*.hip' | grep -v ^generated/"
suite("format", SOURCES .. " | xargs clang-format --dry-run -Werror")
suite("luacheck", "luacheck -q gen tests")
suite("shape of the sources", "lua5.4 tests/shape.lua")
for _, path in ipairs(files("tests/gen", "^test_.*%.lua$")) do suite(path, "lua5.4 " .. path .. " -o tap") end
for _, name in ipairs(files(MODELS, "^[^.]")) do
  suite("generate " .. name, "lua5.4 gen/main.lua --target cpu --out build/tests/trees --config " .. name)
end
suite("build", "ninja -f tests/build.ninja")
suite("build with sanitizers", "ninja -f tests/sanitize.ninja")
for _, unit in ipairs(UNITS) do
  suite(unit, "CMOCKA_MESSAGE_OUTPUT=TAP build/tests/test_" .. unit)
  suite(unit .. " with sanitizers", "CMOCKA_MESSAGE_OUTPUT=TAP build/sanitize/test_" .. unit)
end
suite("harness, waves of 64", "lua5.4 tests/gpu/run.lua simt_64")
suite("harness, waves of 32", "lua5.4 tests/gpu/run.lua simt_32 abacus rand_bf16")
suite("mutants of the kernels", "lua5.4 tests/gpu/mutants.lua")
for _, name in ipairs { "passes", "faults" } do
  suite("tests/gpu/test_" .. name .. ".lua", "lua5.4 tests/gpu/test_" .. name .. ".lua -o tap")
end
suite("attention in parts", "lua5.4 tests/gpu/test_attention_parts.lua")
suite("gfx90a kernels", "lua5.4 tests/kernels/check_gfx90a.lua")
for _, folder in ipairs { "tests/kernels", "tests/getp" } do
  for _, path in ipairs(files(folder, "^test_.*%.lua$")) do suite(path, "lua5.4 " .. path .. " -o tap") end
end

-- ---- running it ----

-- -> number of tests passed and failed
local function run(each)
  local passed, failed, output = 0, 0, {}
  local pipe = assert(io.popen("{ " .. each.command .. "\n} 2>&1 </dev/null"))
  for line in pipe:lines() do
    output[#output + 1] = line
    if line:find("^ok") then passed = passed + 1 end
    if line:find("^not ok") and not line:find("# SKIP", 1, true) then failed = failed + 1 end
  end
  local succeeded = pipe:close()
  if passed + failed == 0 and succeeded then passed = 1 end
  if failed == 0 and not succeeded then failed = 1 end
  if failed > 0 then print(table.concat(output, "\n")) end
  return passed, failed
end

local function wanted(name)
  for _, word in ipairs(arg) do
    if name:find(word, 1, true) then return true end
  end
  return #arg == 0
end

local passed, failed = 0, 0
for _, each in ipairs(suites) do
  if wanted(each.name) then
    local began = os.time()
    local good, bad = run(each)
    passed, failed = passed + good, failed + bad
    print(string.format("%-45s %4d passed %4d failed %4d s", each.name, good, bad, os.time() - began))
  end
end
print(string.format("%d passed, %d failed", passed, failed))
os.exit(failed == 0)
