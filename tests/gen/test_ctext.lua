-- gen/ctext.lua: every number, name and symbol of generated C, and where long lines are broken.
-- luacheck: globals TestNumbers TestNames TestWrapped
package.path = "./?.lua;" .. package.path

local ctext = require "gen.ctext"
local lu = require "luaunit"

TestNumbers = {}

function TestNumbers.test_integers()
  lu.assertEquals(ctext.integer(0), "0")
  lu.assertEquals(ctext.integer(-7), "-7")
  lu.assertEquals(ctext.integer(1 << 40), "1099511627776")
end

function TestNumbers.test_integer_refuses_floats_even_whole_ones()
  lu.assertErrorMsgContains("ctext.integer: want an integer, got 2880.0", ctext.integer, 2880.0)
  lu.assertErrorMsgContains('want an integer, got "1"', ctext.integer, "1")
  lu.assertErrorMsgContains("want an integer, got nil", ctext.integer, nil)
end

function TestNumbers.test_floats_are_float_literals()
  lu.assertEquals(ctext.f32(1), "1.0f")
  lu.assertEquals(ctext.f32(1.0), "1.0f")
  lu.assertEquals(ctext.f32(-0.125), "-0.125f")
  lu.assertEquals(ctext.f32(-0.0), "-0.0f")
  lu.assertEquals(ctext.f32(1e-5), "1e-05f")
  lu.assertEquals(ctext.f32(150000.0), "150000.0f")
  lu.assertEquals(ctext.f32(1e10), "1e+10f")
  lu.assertEquals(ctext.f32(1.3465735902799727), "1.34657359f")
end

-- 1 + 2^-24 - 2^-40 is just below the midpoint of 1 and the next float; its nine digits, 1.00000006, are above it.
function TestNumbers.test_float_text_reads_back_as_the_nearest_float()
  lu.assertEquals(ctext.f32(1 + 2^-24 - 2^-40), "1.0f")
  for i = 1, 2000 do
    local x = math.sin(i) * 10.0 ^ (i % 60 - 30)
    local text = ctext.f32(x):gsub("f$", "")
    lu.assertEquals(string.pack("<f", tonumber(text)), string.pack("<f", x))
  end
end

function TestNumbers.test_float_refuses_what_has_no_literal()
  lu.assertErrorMsgContains("in the range of a float", ctext.f32, 0 / 0)
  lu.assertErrorMsgContains("in the range of a float", ctext.f32, math.huge)
  lu.assertErrorMsgContains("in the range of a float", ctext.f32, -1e39)
  lu.assertErrorMsgContains("in the range of a float", ctext.f32, 1e-50)
  lu.assertErrorMsgContains('want a number, got "1"', ctext.f32, "1")
end

function TestNumbers.test_thousands()
  lu.assertEquals(ctext.thousands(0), "0")
  lu.assertEquals(ctext.thousands(999), "999")
  lu.assertEquals(ctext.thousands(1000), "1,000")
  lu.assertEquals(ctext.thousands(-123456), "-123,456")
  lu.assertEquals(ctext.thousands(13053952), "13,053,952")
  lu.assertErrorMsgContains("want an integer, got 1000.0", ctext.thousands, 1000.0)
end

function TestNumbers.test_div_exact()
  lu.assertEquals(ctext.div_exact(2880, 32, "groups"), 90)
  lu.assertErrorMsgContains("groups: want a multiple of 32, got 2881", ctext.div_exact, 2881, 32, "groups")
  lu.assertErrorMsgContains("groups: want an integer divided", ctext.div_exact, 2880.0, 32, "groups")
  lu.assertErrorMsgContains("groups: want an integer divided", ctext.div_exact, 2880, 0, "groups")
end

TestNames = {}

function TestNames.test_identifiers()
  lu.assertEquals(ctext.identifier("launch_matmul_qkv"), "launch_matmul_qkv")
  lu.assertEquals(ctext.identifier("_W07"), "_W07")
  for _, s in ipairs { "", "7b", "gpt-oss", "a b", "a.b", "é", "float", "class" } do
    lu.assertErrorMsgContains("want a C identifier", ctext.identifier, s)
  end
  lu.assertErrorMsgContains("want a C identifier, got nil", ctext.identifier, nil)
end

function TestNames.test_symbol_follows_the_grammar_in_its_fixed_order()
  lu.assertEquals(ctext.symbol {
    act = "bf16", weight = "mf4", op = "moe_gate_up", fused = "swiglu",
    dims = { { "top", 4 }, { "k", 2880 }, { "e", 32 }, { "n", 5760 } }, target = "gfx90a",
  }, "bf16_mf4w_moe_gate_up_swiglu_n5760_k2880_e32_top4__gfx90a")
  lu.assertEquals(ctext.symbol {
    act = "f32", op = "attention", dims = { { "h", 64 }, { "g", 8 }, { "d", 64 }, { "w", 128 } }, target = "sm_90",
  }, "f32_attention_h64_g8_d64_w128__sm_90")
end

function TestNames.test_symbol_refuses_what_the_grammar_does_not_know()
  local function symbol(dims, op)
    return function() ctext.symbol { act = "f32", op = op or "matmul", dims = dims, target = "cpu" } end
  end
  lu.assertErrorMsgContains('"matmul": want dimensions out of n k h g d w e top', symbol { { "q", 1 } })
  lu.assertErrorMsgContains("dimension given twice: n", symbol { { "n", 1 }, { "n", 2 } })
  lu.assertErrorMsgContains("n: want a positive integer, got 2.0", symbol { { "n", 2.0 } })
  lu.assertErrorMsgContains('got "f32_mat-mul_n1__cpu"', symbol({ { "n", 1 } }, "mat-mul"))
end

TestWrapped = {}

local function values(n)
  local list = {}
  for i = 1, n do list[i] = string.format("value_%02d", i) end
  return list
end

function TestWrapped.test_what_fits_is_one_line()
  lu.assertEquals(ctext.wrapped("F(", { "a" }, ")"), "F(a)")
  lu.assertEquals(ctext.wrapped("F(", values(3), ");"), "F(value_01, value_02, value_03);")
end

-- 11 values of 8 letters with commas and spaces are 108 columns.
function TestWrapped.test_the_last_column()
  local line = "F(" .. table.concat(values(11), ", ") .. ")"
  local front = ("x"):rep(119 - #line)
  lu.assertEquals(ctext.wrapped(front .. "F(", values(11), ")"), front .. line)
  local broken = (front .. "x" .. line):gsub(", value_11", ",\n    value_11")
  lu.assertEquals(ctext.wrapped(front .. "xF(", values(11), ")"), broken)
  lu.assertEquals(ctext.wrapped(front .. "F(", values(11), ")", 1), (broken:gsub("^xx", "x")))
end

function TestWrapped.test_many_lines()
  local text = ctext.wrapped("F(", values(40), ")")
  lu.assertEquals((text:gsub("\n   ", "")), "F(" .. table.concat(values(40), ", ") .. ")")
  for line in text:gmatch("[^\n]+") do lu.assertTrue(#line < 120, line) end
  lu.assertEquals(select(2, text:gsub("\n    value", "")), 3)
end

os.exit(lu.LuaUnit.run())
