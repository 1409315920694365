-- gen/dump.lua: the text of every kind of value; the order in which a table was filled does not change its text.
-- luacheck: globals TestText TestStages
package.path = "./?.lua;" .. package.path

local chain = require "tests.gen.chain"
local cpu = require("gen.target.cpu").mixed
local dump = require "gen.dump"
local gfx90a = require "gen.target.gfx90a"
local lu = require "luaunit"

TestText = {}

function TestText.test_scalars()
  lu.assertEquals(dump.text(5), "5\n")
  lu.assertEquals(dump.text(-9007199254740993), "-9007199254740993\n")
  lu.assertEquals(dump.text(true), "true\n")
  lu.assertEquals(dump.text('a "quoted" \\ word'), '"a \\"quoted\\" \\\\ word"\n')
end

function TestText.test_floats_keep_every_digit()
  lu.assertEquals(dump.text(0.1), "0.1\n")
  lu.assertEquals(dump.text(7.0), "7.0\n") -- not an integer
  for _, x in ipairs { 1 / 3, 1.3465735902799727, 5e-324, 1e300 } do
    lu.assertEquals(tonumber(dump.text(x)), x)
  end
end

function TestText.test_lists_and_records()
  lu.assertEquals(dump.text { b = { 3, 1, 2 }, a = { x = "y" }, c = {} }, [[
{
  a = {
    x = "y"
  }
  b = {
    3
    1
    2
  }
  c = {
  }
}
]])
end

function TestText.test_keys_are_sorted()
  local forth, back = {}, {}
  for i = 1, 200 do forth["key" .. i] = i end
  for i = 200, 1, -1 do back["key" .. i] = i end
  local text = dump.text(forth)
  lu.assertEquals(dump.text(back), text)
  local last = ""
  for key in text:gmatch("(key%d+) =") do
    lu.assertTrue(last < key, last .. " is before " .. key)
    last = key
  end
end

TestStages = {}

function TestStages.test_every_value_of_the_chain()
  for _, target in ipairs { cpu, gfx90a.fp32, gfx90a.mixed } do
    local function run() return chain.run("tests/models/abacus/config.json", nil, { target = target }) end
    local one, other = run(), run()
    for _, stage in ipairs { "model", "weights", "ops", "kernels", "limits", "plan", "steps", "costs" } do
      local text, where = dump.text(one[stage]), target.name .. ", " .. target.precision .. ": " .. stage
      lu.assertEquals(dump.text(other[stage]), text, where)
      lu.assertNil(text:find("0x", 1, true), where .. " shows an address")
    end
  end
end

function TestStages.test_limits()
  local function text(target)
    return dump.text(chain.run("tests/models/abacus/config.json", nil, { target = target }).limits)
  end
  lu.assertEquals(text(cpu), "{\n  chunk = 128\n  context = 512\n  logits = 128\n  rows = 128\n  slots = 16\n}\n")
  lu.assertEquals(text(gfx90a.mixed), "{\n  buckets = {\n    1\n    16\n    32\n    64\n    128\n  }\n  chunk = 128\n"
    .. "  context = 512\n  group_rows = 4\n  logits = 128\n  rows = 128\n  slots = 32\n}\n")
end

-- A buffer whose size depends on the limits names a function. Every buffer says what it is counted per, and its dtype.
function TestStages.test_buffers()
  local text = dump.text(chain.run("tests/models/abacus/config.json", nil, { target = gfx90a.mixed }).ops.buffers)
  lu.assertStrContains(text, '  {\n    count = 192\n    dtype = "F32"\n    name = "x"\n    per = "row"\n  }\n')
  lu.assertStrContains(text, '  {\n    count_of = "work_numbers"\n    dtype = "I32"\n    name = "work"\n'
    .. '    per = "pass"\n  }\n')
end

os.exit(lu.LuaUnit.run())
