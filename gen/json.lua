-- JSON text -> values, as strict as jansson, which reads the same files in the program: what one of them refuses, the
-- other refuses, too. A number without fraction and exponent is an integer, any other a float. Arrays and objects are
-- tables; json.is says which. null is json.null.

local json = { null = setmetatable({}, { __tostring = function() return "null" end }) }

local MAX_DEPTH <const> = 2048 -- nested values, as in jansson
local KINDS = { array = {}, object = {} } -- metatables
local WORDS <const> = { ["true"] = true, ["false"] = false, null = json.null }
local ESCAPES <const> = { ['"'] = '"', ["\\"] = "\\", ["/"] = "/", b = "\b", f = "\f", n = "\n", r = "\r", t = "\t" }

-- Raised where the text is no JSON: { at = byte, what = message }.
local function refuse(at, format, ...) error({ at = at, what = string.format(format, ...) }, 0) end

function json.is(value, kind) return type(value) == "table" and getmetatable(value) == KINDS[kind] end

-- A text as JSON shows it: control characters have escapes.
function json.quote(text)
  local escaped = text:gsub('[%c"\\]', function(c)
    if c == '"' or c == "\\" then return "\\" .. c end
    return string.format("\\u%04x", c:byte())
  end)
  return '"' .. escaped .. '"'
end

local function skip_space(text, at) return text:find("[^ \t\r\n]", at) or #text + 1 end

-- The four digits after \u.
local function hex_at(text, at)
  local digits = text:match("^%x%x%x%x", at)
  if not digits then refuse(at, "want four hexadecimal digits after \\u") end
  return tonumber(digits, 16)
end

-- at: the u of an escape -> the character, and the byte after the escape.
local function read_unicode(text, at)
  local code = hex_at(text, at + 1)
  at = at + 5
  if code == 0 then refuse(at - 6, "want no \\u0000") end
  if code >= 0xDC00 and code <= 0xDFFF then refuse(at - 6, "want a high surrogate before a low one") end
  if code < 0xD800 or code > 0xDBFF then return utf8.char(code), at end
  local low = text:sub(at, at + 1) == "\\u" and hex_at(text, at + 2) or 0
  if low < 0xDC00 or low > 0xDFFF then refuse(at - 6, "want a low surrogate after a high one") end
  return utf8.char(0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00)), at + 6
end

-- at: the opening quote -> the text, and the byte after the closing quote.
local function read_string(text, at)
  local start, pieces = at, {}
  at = at + 1
  while true do
    local stop = text:find('[%c"\\]', at)
    while stop and text:byte(stop) == 0x7F do stop = text:find('[%c"\\]', stop + 1) end
    if not stop then refuse(start, "want a closing quote") end
    local plain, c = text:sub(at, stop - 1), text:sub(stop, stop)
    if not utf8.len(plain) then refuse(at - 1 + select(2, utf8.len(plain)), "want UTF-8") end
    pieces[#pieces + 1] = plain
    if c == '"' then return table.concat(pieces), stop + 1 end
    if c ~= "\\" then refuse(stop, "want no control character in a string") end
    local escape = text:sub(stop + 1, stop + 1)
    if escape == "u" then
      pieces[#pieces + 1], at = read_unicode(text, stop + 1)
    else
      pieces[#pieces + 1], at = ESCAPES[escape] or refuse(stop, "want an escape of JSON"), stop + 2
    end
  end
end

local function read_number(text, at)
  local whole = text:match("^-?%d+", at)
  if not whole or whole:find("^-?0%d") then refuse(at, "want a value") end
  local stop, is_float = at + #whole, false
  for _, part in ipairs { "^%.%d+", "^[eE][+-]?%d+" } do
    local found = text:match(part, stop)
    if found then stop, is_float = stop + #found, true end
  end
  local word = text:sub(at, stop - 1)
  if text:find("^[%w.+-]", stop) then refuse(at, "want a number of JSON") end
  local number = tonumber(word)
  if not is_float and math.type(number) ~= "integer" then refuse(at, "want an integer of 64 bits") end
  if math.abs(number) == math.huge then refuse(at, "want a number in the range of a double") end
  return number, stop
end

local read_value

-- The byte after a list of entries. read_entry(at) reads one and returns the byte after it.
local function read_entries(text, at, close, read_entry)
  at = skip_space(text, at + 1)
  if text:sub(at, at) == close then return at + 1 end
  while true do
    at = skip_space(text, read_entry(at))
    local c = text:sub(at, at)
    if c == close then return at + 1 end
    if c ~= "," then refuse(at, "want ',' or '%s'", close) end
    at = skip_space(text, at + 1)
  end
end

local function read_array(text, at, depth)
  local array = setmetatable({}, KINDS.array)
  return array, read_entries(text, at, "]", function(from)
    local value, stop = read_value(text, from, depth + 1)
    array[#array + 1] = value
    return stop
  end)
end

local function read_object(text, at, depth)
  local object = setmetatable({}, KINDS.object)
  return object, read_entries(text, at, "}", function(from)
    if text:sub(from, from) ~= '"' then refuse(from, "want a key in quotes") end
    local key, stop = read_string(text, from)
    if object[key] ~= nil then refuse(from, "want each key once: %s is there twice", json.quote(key)) end
    stop = skip_space(text, stop)
    if text:sub(stop, stop) ~= ":" then refuse(stop, "want ':'") end
    object[key], stop = read_value(text, skip_space(text, stop + 1), depth + 1)
    return stop
  end)
end

-- The value at a byte that is no space, and the byte after it.
function read_value(text, at, depth)
  if depth > MAX_DEPTH then refuse(at, "want at most %d nested values", MAX_DEPTH) end
  local c = text:sub(at, at)
  if c == '"' then return read_string(text, at) end
  if c == "[" then return read_array(text, at, depth) end
  if c == "{" then return read_object(text, at, depth) end
  local word = text:match("^%a+", at)
  if word == nil then return read_number(text, at) end
  if WORDS[word] == nil then refuse(at, "want a value") end
  return WORDS[word], at + #word
end

-- -> the value, or nil and what is wrong, with line and column.
function json.decode(text)
  local ok, result = pcall(function()
    local value, stop = read_value(text, skip_space(text, 1), 1)
    stop = skip_space(text, stop)
    if stop <= #text then refuse(stop, "want nothing after the first value") end
    return { value = value }
  end)
  if ok then return result.value end
  if type(result) ~= "table" then error(result, 0) end
  local before = text:sub(1, result.at - 1)
  local _, newlines = before:gsub("\n", "")
  return nil, string.format("%s at line %d, column %d", result.what, newlines + 1, #before:match("[^\n]*$") + 1)
end

return json
