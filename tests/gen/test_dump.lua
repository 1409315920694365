-- gen/dump.lua: the text of every kind of value, and the same text however a table was filled.
-- luacheck: globals TestText TestStages
package.path = "./?.lua;" .. package.path

local chain = require "tests.gen.chain"
local dump = require "gen.dump"
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
    lu.assertTrue(last < key, last .. " stands before " .. key)
    last = key
  end
end

TestStages = {}

function TestStages.test_every_value_of_the_chain()
  local one, other = chain.run("tests/models/abacus/config.json"), chain.run("tests/models/abacus/config.json")
  for _, stage in ipairs { "model", "weights", "ops", "kernels", "limits", "plan", "steps" } do
    local text = dump.text(one[stage])
    lu.assertEquals(dump.text(other[stage]), text)
    lu.assertNil(text:find("0x", 1, true), stage .. " shows an address")
  end
  lu.assertEquals(dump.text(one.limits), "{\n  chunk = 128\n  context = 512\n  rows = 128\n  slots = 16\n}\n")
end

os.exit(lu.LuaUnit.run())
