-- GETP_PARITY=N in every mode that runs the engine: it prints one line, changes no result, and refuses a bad N.
-- luacheck: globals TestParity

package.path = "./?.lua;" .. package.path
local lu = require "luaunit"
local support = require "tests.support"

local GETP = "timeout 20 " .. support.getp("abacus-cpu") .. " tests/models/abacus "
local OUT = support.scratch .. "/parity.out"
local NUMBER = "(%d%.%d%de[+-]%d%d)"
local LINE = "^getp: parity of (%d+) positions: max abs " .. NUMBER .. ", max rel " .. NUMBER
  .. ", relative L2 " .. NUMBER .. " at position (%d+)\n"

-- Runs getp with GETP_PARITY=n, or without it -> status, stdout, stderr.
local function run(n, arguments)
  return support.run((n and "GETP_PARITY=" .. n .. " " or "") .. GETP .. arguments)
end

-- Runs getp and checks the line of parity, which must be about `want` positions -> stdout, the rest of stderr.
local function compare(n, arguments, want)
  local status, out, err = run(n, arguments)
  lu.assertEquals(status, 0, err)
  local positions, abs, rel, l2, at = err:match(LINE)
  lu.assertEquals(tonumber(positions), want, err)
  lu.assertTrue(tonumber(at) < want, err)
  for _, value in ipairs { tonumber(abs), tonumber(rel), tonumber(l2) } do
    lu.assertTrue(value > 0 and value < 1e-4, err)
  end
  return out, (err:gsub(LINE, ""))
end

TestParity = {}

-- "47 + 85 =" has 7 tokens.
function TestParity.test_generate()
  for n, want in pairs { [1] = 1, [5] = 5, [7] = 7, [8] = 7, [2147483647] = 7 } do
    local out, err = compare(n, "-i '47 + 85 ='", want)
    lu.assertEquals(out, "47 + 85 = 132\n")
    lu.assertStrMatches(err, "achieved tok/s: %d+%.%d+\n")
  end
end

function TestParity.test_chat()
  local chat = "-m chat --date 2026-11-27 <" .. support.write("parity.txt", "47 + 85 =\nReverse h n u n j.\n")
  local _, want = run(nil, chat)
  lu.assertEquals(#support.lines(want), 2)
  local out, err = compare(3, chat, 3)
  lu.assertEquals({ out, err }, { want, "" }) -- only the first turn is compared
end

function TestParity.test_prompts()
  local arguments = "-m getp -i tests/demo/prompts.txt -b 3 -o " .. OUT
  lu.assertEquals(run(nil, arguments), 0)
  local want = support.read(OUT)
  compare(4, arguments, 4)
  lu.assertEquals(support.read(OUT), want)
end

function TestParity.test_logits()
  local ids = support.ids("parity.ids", { { 1, 2, 3, 4, 5, 6 }, { 7 } })
  local arguments = "-m logits --chunk 2 -i " .. ids .. " -o " .. OUT
  lu.assertEquals(run(nil, arguments), 0)
  local want = support.read(OUT)
  local out, err = compare(5, arguments, 5)
  lu.assertEquals({ out, err }, { "", "" })
  lu.assertTrue(support.read(OUT) == want)
end

function TestParity.test_nothing_to_compare()
  local none = support.prompts("parity.txt", {})
  local status, _, err = run(3, "-m getp -i " .. none .. " -o " .. OUT)
  lu.assertEquals({ status, err }, { 0, "" })
  status, _, err = run(3, "-m logits -i " .. support.ids("parity.ids", {}) .. " -o " .. OUT)
  lu.assertEquals({ status, err }, { 0, "" })
end

-- The plain forward pass is not compared with itself.
function TestParity.test_reference()
  local ids = support.ids("parity.ids", { { 1, 2, 3 } })
  local status, _, err = run(3, "-m logits --reference -i " .. ids .. " -o " .. OUT)
  lu.assertEquals({ status, err }, { 0, "" })
end

function TestParity.test_bad_numbers()
  for _, n in ipairs { "0", "-1", "x", "''", "3x" } do
    local status, out, err = run(n, "-i '47 + 85 ='")
    local want = string.format('getp: GETP_PARITY: want an integer from 1 to 2147483647, found "%s"\n', n:gsub("'", ""))
    lu.assertEquals({ status, out, err }, { 1, "", want })
  end
end

os.exit(lu.LuaUnit.run())
