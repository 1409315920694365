-- The two READMEs say the truth: functions that the walks name exist, rooms are folders, the excerpt of the schedule is
-- in the tree, and the commands of abacus-cpu work.
-- luacheck: globals TestWalks TestReadme

package.path = "./?.lua;" .. package.path
local lfs = require "lfs"
local lu = require "luaunit"
local support = require "tests.support"

local TREE <const> = "generated/gpt-oss-20b-gfx90a/"
local README = support.read "README.md"
local WALKS = support.read "runtime/README.md"

local function lines_with(text, pattern)
  local found = {}
  for _, line in ipairs(support.lines(text)) do found[#found + 1] = line:match(pattern) end
  return found
end

-- ---- runtime/README.md ----

TestWalks = {}

-- The text of a file of the runtime or of the tree.
local function source(name)
  for _, folder in ipairs { "runtime/", TREE } do
    if support.exists(folder .. name) then return support.read(folder .. name) end
  end
  return lu.fail(name .. ": want a file of runtime/ or of " .. TREE)
end

-- Whether C text defines a function: a type, the name, parameters and a body.
local function defines(text, name)
  return text:find("[%w_>*]%s+%*?" .. name .. "%b()%s*c?o?n?s?t?%s*{") ~= nil
end

function TestWalks.test_files_and_functions()
  local count = 0
  for file, what in WALKS:gmatch("`([%w_/]+%.[%w_]+): ([^`]+)`") do
    count = count + 1
    local text = source(file)
    local found = what:find("^[%w_]+$") and defines(text, what) or text:find(what, 1, true)
    lu.assertTrue(found and true or false, file .. ": " .. what)
  end
  lu.assertTrue(count > 50, count)
  lu.assertFalse(defines("int f(int x);\n", "f") or defines("  return f(x);\n", "f"))
end

function TestWalks.test_other_names_of_files()
  for file in WALKS:gmatch("`([%w_]+/[%w_/]+%.[%w_]+)`") do source(file) end
end

-- The first name of each line of the list is a folder, and every folder of runtime/ is in the list.
function TestWalks.test_rooms()
  local listed = {}
  for _, line in ipairs(lines_with(WALKS, "^%d+%. (`[%w_]+/?`.*)")) do
    for room in line:gmatch("`([%w_]+)/`") do listed[room] = true end
  end
  for name in lfs.dir "runtime" do
    if name:find("^[^.]") and lfs.attributes("runtime/" .. name, "mode") == "directory" then
      lu.assertTrue(listed[name], name)
      listed[name] = nil
    end
  end
  lu.assertEquals(listed, {})
end

function TestWalks.test_one_screen() lu.assertTrue(#support.lines(WALKS) <= 90) end

-- ---- README.md ----

TestReadme = {}

function TestReadme.test_excerpt_of_the_schedule()
  local excerpt = assert(README:match("```\n(// layer.-\n)```"))
  local found = support.read(TREE .. "schedule.inc"):find("\n" .. excerpt .. "\n", 1, true)
  lu.assertNotNil(found, "the excerpt is not in the tree:\n" .. excerpt)
end

-- The indented commands of abacus-cpu, in their order: the output of one is the input of another.
function TestReadme.test_commands()
  local commands = lines_with(README, "^    (build/abacus[%w_]*%-cpu/getp .*)")
  lu.assertTrue(#commands >= 8, #commands)
  for _, command in ipairs(commands) do
    local status, _, err = support.run("timeout 60 " .. command .. " </dev/null")
    lu.assertEquals(status, 0, command .. ": " .. err)
  end
end

-- The conversation with abacus_chat is what chat prints. Lines with a prompt are what the user types.
function TestReadme.test_conversation()
  local command = lines_with(README, "^    (build/abacus_chat%-cpu/getp .*)")[1]
  local conversation, typed, printed = assert(README:match("```\n(> .-)```")), {}, {}
  for _, line in ipairs(support.lines(conversation)) do
    local message = line:match "^[%w._]*> (.*)"
    local list = message and typed or printed
    list[#list + 1] = (message or line) .. "\n"
  end
  local status, out = support.run(string.format("timeout 60 %s --date 2026-11-27 <%s 2>&1", command,
    support.write("typed.txt", table.concat(typed))))
  lu.assertEquals({ status, out }, { 0, table.concat(printed) })
end

function TestReadme.test_folders_and_links()
  for path in README:gmatch("%]%(([%w_/.-]+)%)") do lu.assertTrue(support.exists(path), path) end
  for row in README:gmatch("\n| (`[^|]+/`) |") do
    for folder in row:gmatch("`([^`]+)`") do lu.assertTrue(support.exists(folder), folder) end
  end
end

os.exit(lu.LuaUnit.run())
