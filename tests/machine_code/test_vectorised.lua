-- Checks by the compiler's own report that every loop marked `#pragma omp simd` is vectorised, in the cpu kernels and
-- their header. The two trees have every kind of kernel, even and odd sizes; one must vectorise the loop.

package.path = "./?.lua;" .. package.path
local luaunit = require "luaunit"
local support = require "tests.support"

local HEADER = "runtime/target/cpu/rows.h"
local TREES = { "abacus-cpu", "odd_narrow-cpu" }

-- The compile commands of a tree's kernels, but for those with products alone, changed to report vectorised loops
-- instead of writing an object.
local function commands(tree)
  local list = {}
  local _, text = support.run("ninja -f tests/build.ninja -t commands " .. tree)
  for line in text:gmatch("[^\n]+") do
    if line:find("%-march=native.* %-c ") then
      line = line:gsub(" %-MMD %-MF %S+", ""):gsub(" %-o %S+$", " -o /dev/null -fopt-info-vec-optimized")
      local file = line:match(" %-c (%S+)")
      local source = support.read(file)
      if source:find("#pragma omp simd", 1, true) or not source:find("multiply_rows", 1, true) then
        list[#list + 1] = { command = line, file = file }
      end
    end
  end
  return list
end

-- The marked loops of a file: { [line number] = "file name:first line of the body" }. The compiler names a loop by the
-- number of that line.
local function marked(path)
  local loops, n, pragma, loop = {}, 0, false, false
  for line in io.lines(path) do
    n = n + 1
    if loop then loops[n] = path:match("[^/]+$") .. ":" .. line end
    loop = pragma and line:find("^%s*for ") ~= nil
    pragma = line:find("#pragma omp simd", 1, true) ~= nil
  end
  return loops
end

-- Adds each marked loop of a file to `seen`: true if any report so far says that it was vectorised.
local function collect(seen, path, report)
  local loops = marked(path)
  for _, loop in pairs(loops) do seen[loop] = seen[loop] or false end
  for file, line in report:gmatch("(%S+):(%d+):%d+: optimized:[^\n]*vectorized") do
    local loop = file == path and loops[tonumber(line)]
    if loop then seen[loop] = true end
  end
end

function TestVectorised() -- luacheck: ignore (luaunit finds it by its name)
  local seen, left = {}, {}
  for _, tree in ipairs(TREES) do
    local list = commands(tree)
    luaunit.assertTrue(#list >= 8, tree)
    for _, each in ipairs(list) do
      local status, _, report = support.run(each.command)
      luaunit.assertEquals(status, 0, report)
      collect(seen, each.file, report)
      collect(seen, HEADER, report)
    end
  end
  for loop, vectorised in pairs(seen) do
    if not vectorised then left[#left + 1] = loop end
  end
  luaunit.assertEquals(left, {})
end

os.exit(luaunit.LuaUnit.run())
