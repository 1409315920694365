-- The value of any stage as text, the same on every run: keys are sorted, lists keep their order.

local ctext = require "gen.ctext"
local tables = require "gen.tables"

local dump = {}

local function is_list(value) return #value > 0 or next(value) == nil end

local function scalar(value)
  if type(value) == "string" then return string.format("%q", value) end
  if math.type(value) == "float" then return ctext.double(value) end
  return tostring(value)
end

local function append(out, indent, label, value)
  if type(value) ~= "table" then
    out[#out + 1] = indent .. label .. scalar(value)
    return
  end
  out[#out + 1] = indent .. label .. "{"
  if is_list(value) then
    for _, item in ipairs(value) do append(out, indent .. "  ", "", item) end
  else
    for _, key in ipairs(tables.sorted_keys(value)) do
      append(out, indent .. "  ", tostring(key) .. " = ", value[key])
    end
  end
  out[#out + 1] = indent .. "}"
end

function dump.text(value)
  local out = {}
  append(out, "", "", value)
  return table.concat(out, "\n") .. "\n"
end

return dump
