-- The files tests/bench/*.csv: one line per measurement. A new measurement replaces the line with the same tree and the
-- same `what`.

local record = {}

local KNOWN <const> = { "H100", "H200", "MI250", "MI300", "Xeon", "EPYC", "Ryzen" }
local HEADER <const> = "date,tree,what,value,unit,command"

local function output_of(command)
  local pipe = assert(io.popen(command))
  local text = pipe:read("a")
  return pipe:close() and text or nil
end

-- The name of this machine in file names: "NVIDIA H200" -> "h200", "Intel(R) Xeon(R) CPU @ 2.60GHz" of two cores ->
-- "xeon-2". Nil if none of the names is known.
function record.machine(is_cpu)
  local text = is_cpu and output_of("grep -m 1 'model name' /proc/cpuinfo")
    or output_of("nvidia-smi --query-gpu=name --format=csv,noheader 2>/dev/null | head -n 1")
    or output_of("rocminfo 2>/dev/null | grep -m 1 'Marketing Name.*Instinct'")
  local cores = is_cpu and "-" .. output_of("nproc"):match("%d+") or ""
  for _, word in ipairs(KNOWN) do
    if text and text:find(word, 1, true) then return word:lower() .. cores end
  end
end

local function read_lines(path)
  local lines, file = {}, io.open(path)
  if not file then return nil end
  for line in file:lines() do lines[#lines + 1] = line end
  file:close()
  return lines
end
record.read_lines = read_lines

-- One line. Commas, quotes and line ends in a field become spaces. value: text, or a number of four digits or more.
function record.line(tree, what, value, unit, command)
  local text = type(value) == "number" and string.format(value < 1000 and "%.4g" or "%.0f", value) or value
  local fields = { os.date("%Y-%m-%d"), tree, what, text, unit, command }
  for i, field in ipairs(fields) do fields[i] = field:gsub("[,\"\n]", " ") end
  return table.concat(fields, ",")
end

local function key_of(line) return line:match("^[^,]*,([^,]*,[^,]*),") end

local function value_of(line) return tonumber(line:match("^[^,]*,[^,]*,[^,]*,([^,]*)")) end

-- Writes lines to the file, in place of those with the same key or at the end. -> for each line, the number that was
-- there before, or nil in its place.
function record.write(path, new_lines)
  local lines, at, before = read_lines(path) or { HEADER }, {}, {}
  for i, line in ipairs(lines) do at[key_of(line) or ""] = i end
  for i, line in ipairs(new_lines) do
    local key = key_of(line)
    before[i] = at[key] and value_of(lines[at[key]])
    at[key] = at[key] or #lines + 1
    lines[at[key]] = line
  end
  local file = assert(io.open(path, "w"))
  file:write(table.concat(lines, "\n"), "\n")
  file:close()
  return before
end

return record
