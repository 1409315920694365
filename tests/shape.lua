-- Checks the shape of the sources: `lua5.4 tests/shape.lua`. A function has at most 60 lines and the body of a device
-- kernel at most 80, unless the comment right above says with the word "long" why it has more. Lines of templates and
-- of generated C and HIP have at most 120 columns; clang-format and luacheck check those of other files.

local LINES <const> = { ["function"] = 60, kernel = 80 }
local COLUMNS <const> = 120
local OPEN <const> = { c = "%)[%s%w]*{$", lua = "^[%a_].*function[%s%w_.:]*%(.*%)$" }
local CLOSE <const> = { c = "^}", lua = "^end" }
local COMMENT <const> = { c = "^//", lua = "^%-%-" }

-- Templates of data: one tensor per line, one step per line, a table.
local WIDE <const> = { ["weights.inc.in"] = true, ["schedule.inc.in"] = true, ["summary.txt.in"] = true }

local messages = {}

local function report(...) messages[#messages + 1] = string.format(...) end

-- The language of a file, "lua" or "c"; templates are in the language of what they generate. Nil for other files.
local function language_of(path)
  local ending = path:gsub("%.in$", ""):match("%.(%a+)$")
  if ending == "lua" then return "lua" end
  return (ending == "c" or ending == "h" or ending == "cpp" or ending == "hip") and "c" or nil
end

local function read_lines(path)
  local lines = {}
  for line in io.lines(path) do lines[#lines + 1] = line end
  return lines
end

-- The first line of the head of a function that opens at line `at`: a head reaches back to a blank line, a comment or
-- the end of a declaration.
local function head_of(lines, at, comment)
  while at > 1 do
    local line = lines[at - 1]
    if line == "" or line:find(comment) or line:find("[;}]$") or line:find("^[#}]") then break end
    at = at - 1
  end
  return at
end

-- True if the comment above line `at` has the word "long".
local function is_excused(lines, at, comment)
  while at > 1 and lines[at - 1]:find(comment) do
    at = at - 1
    if lines[at]:find("%f[%a]long%f[%A]") then return true end
  end
  return false
end

local function check_functions(path, lines, language)
  local start, head
  for i, line in ipairs(lines) do
    if not start and line:find(OPEN[language]) then
      start, head = i, head_of(lines, i, COMMENT[language])
    elseif start and line:find(CLOSE[language]) then
      local text = table.concat(lines, "\n", head, start)
      local kind = text:find("__global__", 1, true) and "kernel" or "function"
      if i - start > LINES[kind] and not is_excused(lines, head, COMMENT[language]) then
        report("%s:%d: want at most %d lines in a %s, found %d", path, head, LINES[kind], kind, i - start)
      end
      start = nil
    end
  end
end

-- The first line of a generated file has one form, whatever the names in it.
local function check_columns(path, lines)
  for i, line in ipairs(lines) do
    if #line > COLUMNS and not line:find("DO NOT EDIT.", 1, true) then
      report("%s:%d: want at most %d columns, found %d", path, i, COLUMNS, #line)
    end
  end
end

for path in io.popen("git ls-files -co --exclude-standard"):lines() do
  local language, file = language_of(path), io.open(path)
  local is_template = path:find("^templates/") and not WIDE[path:match("[^/]*$")]
  if file then file:close() end
  if file and (language or is_template) then
    local lines = read_lines(path)
    if language then check_functions(path, lines, language) end
    if is_template or path:find("^generated/") then check_columns(path, lines) end
  end
end
for _, message in ipairs(messages) do print(message) end
os.exit(#messages == 0)
