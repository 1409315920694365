-- The template engine: the text of a template and a table of parameters -> C text. It knows nothing about kernels. A
-- line that begins with `$` is Lua and leaves no line in the output. `${expr}` in other lines is a string or an
-- integer. Each template line becomes one line of a Lua chunk with the template's name, so that every error names the
-- template's line. It refuses undefined names; floats, nil, booleans and tables in `${}`; assignment to a name that is
-- not local; and all library functions but the three below.

local template = {}

-- `assert` that puts the template's position in front of the message.
local function checked(condition, message)
  if not condition then error(message or "assertion failed", 2) end
  return condition
end

local LIBRARY = { assert = checked, format = string.format, ipairs = ipairs }

local function value_text(expression, value)
  if type(value) == "string" then return value end
  if math.type(value) == "integer" then return string.format("%d", value) end
  local found = math.type(value) or type(value)
  error(string.format("${%s}: want a string or an integer, got a %s", expression, found), 3)
end

local function append_literal(code, text)
  if text == "" then return end
  local quoted = string.format("%q", text):gsub("\\\n", "\\n")
  code[#code + 1] = string.format("_text(%s)", quoted)
end

-- One template line, with its newline if it has one -> one Lua line. where: the line's position, for errors.
local function compile_line(line, where)
  if line:find("^%$") and not line:find("^%${") then return line:match("^%$([^\n]*)") end
  local code, from = {}, 1
  for open, expression, close in line:gmatch("()%${([^}\n]*)}()") do
    append_literal(code, line:sub(from, open - 1))
    code[#code + 1] = string.format("_value(%q, (%s))", expression, expression)
    from = close
  end
  if line:find("${", from, true) then error(where .. ": a '${' has no '}'", 0) end
  append_literal(code, line:sub(from))
  return table.concat(code, " ")
end

local function compile(text, name)
  local lines = {}
  for line in text:gmatch("[^\n]*\n?") do
    if line ~= "" then
      lines[#lines + 1] = compile_line(line, string.format("%s:%d", name, #lines + 1))
    end
  end
  return "local _text, _value = ... " .. table.concat(lines, "\n")
end

-- The globals of a template.
local function environment(parameters)
  local function lookup(_, key)
    local value = parameters[key]
    if value == nil then value = LIBRARY[key] end
    if value == nil then error(string.format("undefined template variable '%s'", key), 2) end
    return value
  end
  local function refuse(_, key)
    error(string.format("assignment to '%s': declare it local", key), 2)
  end
  return setmetatable({}, { __index = lookup, __newindex = refuse })
end

-- Renders `text`. name: the template's path, for errors, which are raised as one line without a traceback. parameters
-- maps names to strings, integers, booleans, lists and records; an optional value that is absent is `false`, because
-- nil is an undefined name.
function template.render(text, name, parameters)
  local out = {}
  local function append(piece) out[#out + 1] = piece end
  local function append_value(expression, value) append(value_text(expression, value)) end
  local chunk, message = load(compile(text, name), "@" .. name, "t", environment(parameters))
  if not chunk then error(message, 0) end
  local ok, failure = pcall(chunk, append, append_value)
  if not ok then error(failure, 0) end
  return table.concat(out)
end

return template
