-- gen/template.lua: the texts it renders; every error is one line that names the template's line.
-- luacheck: globals TestRender TestRefusals
package.path = "./?.lua;" .. package.path

local lu = require "luaunit"
local template = require "gen.template"

local function render(text, parameters)
  return template.render(text, "templates/x.in", parameters or {})
end

local function assert_refused(message, text, parameters)
  local ok, found = pcall(render, text, parameters)
  lu.assertFalse(ok)
  lu.assertEquals(found, message)
end

TestRender = {}

function TestRender.test_text_is_kept_byte_for_byte()
  for _, text in ipairs { "", "\n", "a", "a\n", "\n\na\\n\"'%s\t\r\n\0}", "x = a[b[0]]; // 5 $ -- ]]\n" } do
    lu.assertEquals(render(text), text)
  end
end

function TestRender.test_values()
  lu.assertEquals(render("${s}-${n}${n}:\n", { s = "a\nb", n = -3 }), "a\nb--3-3:\n")
  lu.assertEquals(render("${list[2].x}", { list = { {}, { x = 7 } } }), "7")
  lu.assertEquals(render("${format('%02d', n)} ${'$'}", { n = 7 }), "07 $")
end

function TestRender.test_a_value_is_not_expanded_again()
  lu.assertEquals(render("${s}\n", { s = "${n}" }), "${n}\n")
end

function TestRender.test_control_lines_leave_no_line()
  local text = "$for i, x in ipairs(xs) do\n  a[${i}] = ${x};\n$  if i < #xs then\n\n$  end\n$end\n$\nend"
  lu.assertEquals(render(text, { xs = { "p", "q" } }), "  a[1] = p;\n\n  a[2] = q;\nend")
end

function TestRender.test_a_dollar_inside_a_line_is_text()
  lu.assertEquals(render(" $x\n"), " $x\n")
end

function TestRender.test_false_is_a_parameter()
  lu.assertEquals(render("$if not bias then\nno\n$end\n", { bias = false }), "no\n")
end

function TestRender.test_twice_gives_the_same()
  local parameters = { xs = { 1, 2, 3 } }
  local text = "$local sum = 0\n$for _, x in ipairs(xs) do\n$sum = sum + x\n$end\n${sum}\n"
  lu.assertEquals(render(text, parameters), "6\n")
  lu.assertEquals(render(text, parameters), "6\n")
end

TestRefusals = {}

function TestRefusals.test_undefined_name()
  assert_refused("templates/x.in:4: undefined template variable 'n_exprts'", "a\n$local b = 1\nb\n${n_exprts}\n")
  assert_refused("templates/x.in:1: undefined template variable 'n_exprts'", "$if n_exprts then\n$end\n")
end

function TestRefusals.test_line_numbers_survive_newlines_in_text()
  assert_refused("templates/x.in:3: undefined template variable 'x'", "a \\\n\n${x}")
end

function TestRefusals.test_missing_field()
  assert_refused("templates/x.in:2: ${m.vocb}: want a string or an integer, got a nil", "\n${m.vocb}", { m = {} })
end

function TestRefusals.test_other_types()
  assert_refused("templates/x.in:1: ${n}: want a string or an integer, got a float", "${n}", { n = 1.0 })
  assert_refused("templates/x.in:1: ${t}: want a string or an integer, got a table", "${t}", { t = {} })
  assert_refused("templates/x.in:1: ${b}: want a string or an integer, got a boolean", "${b}", { b = true })
end

function TestRefusals.test_the_rest_of_lua()
  assert_refused("templates/x.in:1: undefined template variable 'os'", "${os.getenv('HOME')}")
  assert_refused("templates/x.in:1: undefined template variable 'require'", "$require 'io'")
  assert_refused("templates/x.in:2: assignment to 'n': declare it local", "\n$n = 2\n", { n = 1 })
end

function TestRefusals.test_asserts_of_a_template()
  local text = "$assert(top_k <= 8, 'top_k: want at most 8')\nok"
  lu.assertEquals(render(text, { top_k = 8 }), "ok")
  assert_refused("templates/x.in:1: top_k: want at most 8", text, { top_k = 9 })
end

function TestRefusals.test_syntax()
  assert_refused("templates/x.in:2: a '${' has no '}'", "a\n${n} ${n\n}", { n = 1 })
  assert_refused("templates/x.in:2: unexpected symbol near ')'", "a\n${}")
  local unclosed = "templates/x.in:4: 'end' expected (to close 'if' at line 1)"
  lu.assertErrorMsgContains(unclosed, render, "$if n then\na\n\nb", { n = 1 })
end

os.exit(lu.LuaUnit.run())
