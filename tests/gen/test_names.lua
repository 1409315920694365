-- The names that a tree must not have: all that the ninja files, the folder build/ and the root of the repository have.
-- luacheck: globals TestNames
package.path = "./?.lua;" .. package.path

local lfs = require "lfs"
local lu = require "luaunit"
local options = require "gen.options"
local program = require "tests.gen.program"
local support = require "tests.support"

local SCRATCH <const> = program.scratch .. "/names"

-- The output of a shell command, word by word.
local function words(command)
  local pipe, list = assert(io.popen(command)), {}
  for word in pipe:read("a"):gmatch("%S+") do list[#list + 1] = word end
  pipe:close()
  return list
end

-- { [name] = where it is used }: targets and the first folders or files of outputs below $builddir in all ninja files.
local function names_of_the_build()
  local names = {}
  for _, path in ipairs(words("git ls-files '*.ninja' ':!generated'")) do
    local text = support.read(path):gsub("#[^\n]*", ""):gsub("%$\n%s*", ""):gsub("%$wave", "64")
    for outputs in text:gmatch("\nbuild ([^:]+):") do
      for output in outputs:gmatch("[^%s|]+") do
        local name = output:gsub("^%$builddir/", ""):gsub("^build/", ""):match("^[^/]+")
        if not name:find("^%$") then names[name] = path end
      end
    end
    for name in text:gmatch("%$builddir/([%w_.-]+)") do names[name] = path end
    for name in text:gmatch("%f[%w]build/([%w_.-]+)") do names[name] = path end
  end
  for _, name in ipairs(words("git ls-files | grep -v ^[.] | cut -d/ -f1 | sort -u")) do names[name] = "the root" end
  for name in lfs.dir("generated") do
    if name:find("%.ninja$") then names[name] = "generated" end
  end
  return names
end

-- Trees that tests build are no names of the build.
local function is_tree(name) return name:find("%-cpu$") or name:find("%-gfx90a$") or name:find("%-sm_90$")
  or name:find("%-fp32$") end

local function refusal(name)
  return select(2, pcall(options.tree_name, { config = "a.json", target = "cpu", name = name }, "a.json"))
end

TestNames = {}

function TestNames.test_names_of_the_build()
  local count = 0
  for name, path in pairs(names_of_the_build()) do
    if options.is_name(name) and not is_tree(name) then
      for _, each in ipairs { name, name:upper(), name:sub(1, 1):upper() .. name:sub(2) } do
        lu.assertEquals(refusal(each), string.format('--name: want a name that the build does not use, got "%s"', each),
          path)
      end
      count = count + 1
    end
  end
  lu.assertTrue(count >= 60, "too few names found: " .. count)
end

function TestNames.test_names_that_broke_builds()
  for _, name in ipairs { "test-gpu", "libgetp.a", "check.stamp", "build.ninja", "own.ninja", "trees.ninja", "Demo",
    "device_cpu.o", "runtime", "BUILD", "check.stamp.d", "x.getp-part" } do
    lu.assertEquals(refusal(name), string.format('--name: want a name that the build does not use, got "%s"', name))
  end
end

function TestNames.test_other_names()
  for _, name in ipairs { "abacus-cpu", "tests-cpu", "test_model-cpu", "my.model", "a", "gpu2", "_x", "demo-1" } do
    lu.assertEquals({ pcall(options.tree_name, { config = "a.json", target = "cpu", name = name }, "a.json") },
      { true, name, "a-cpu" })
  end
end

function TestNames.test_length()
  lu.assertEquals(refusal(("x"):rep(101)), "--name: want at most 100 letters, got 101")
  lu.assertEquals(refusal(("x"):rep(100)), ("x"):rep(100))
end

function TestNames.test_only_case_differs()
  assert(os.execute("rm -rf " .. SCRATCH))
  local words_of = "--config tests/models/abacus --target cpu --out " .. SCRATCH
  program.succeed(words_of .. " --name Mine")
  program.refused(words_of .. " --name mine",
    string.format('--name: want a name that differs from %s/Mine in more than case, got "mine"', SCRATCH))
  program.succeed(words_of .. " --name Mine")
end

os.exit(lu.LuaUnit.run())
